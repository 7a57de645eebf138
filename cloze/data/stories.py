"""Where stories begin.

`v1` is the original study's, exactly; `v2` mends what it takes for titles and endings (docs/cleaning.md has the
measurements).
"""

import numpy as np
import pyarrow as pa

from cloze.data.patterns import SPACE, UPPER, search
from cloze.data.runs import Pages, join_texts, run_lengths, run_starts, spread

# What the original study took for a title, an ending.
V1_TITLES = (
    r"\bIN:\s",
    r"\bSTARRING\b",
    r"\bPRESENTS\b",
    r"\bFEATURING\b",
    r"\bINTRODUCING\b",
    r"\bCHAPTER\s+[\dIVX]+",
    r"\bPART\s+[\dIVX]+",
    r"\bEPISODE\s+[\dIVX]+",
    r"\bVS\.?\b",
    r"\bVERSUS\b",
    r"THE ADVENTURES? OF\b",
    r"\bMEETS?\b",
    r"\bBY\s+[A-Z][A-Z]+",
    r"WRITTEN BY\b",
    r"DRAWN BY\b",
    r"ART BY\b",
    r"STORY BY\b",
    r"^THE\s+AMAZING\b",
    r"^THE\s+INCREDIBLE\b",
    r"^THE\s+MIGHTY\b",
    r"^THE\s+SPECTACULAR\b",
    r"^THE\s+FANTASTIC\b",
    r"^THE\s+UNCANNY\b",
    r"^CAPTAIN\s+[A-Z]",
    r"^SERGEANT\s+[A-Z]",
    r"^CORPORAL\s+[A-Z]",
    r"^DOCTOR\s+[A-Z]",
    r"^DETECTIVE\s+[A-Z]",
    r"^AGENT\s+[A-Z]",
    r"^PROFESSOR\s+[A-Z]",
)
V1_ENDINGS = (
    r"\bTHE\s+END\b",
    r"^END$",
    r"\bFINIS\b",
    r"\bTO\s+BE\s+CONTINUED\b",
    r"\bCONTINUED\s+NEXT\b",
)

# A story is announced by its credits, or by words that say so where a title stands: at the very beginning.
V2_TITLES = (
    r"\b(?:WRITTEN|DRAWN|ILLUSTRATED|ART|STORY|SCRIPT|PICTURES)\s+BY\b",
    rf"^(?:[^{SPACE}]+\s+){{0,7}}IN\s?:",
    rf"^(?:[^{SPACE}]+\s+){{0,5}}(?:STARRING|FEATURING|PRESENTS|INTRODUCING)\b",
    rf"^(?:[^{SPACE}]+\s+){{0,3}}THE\s+ADVENTURES?\s+OF\b",
    rf"^(?:[^{SPACE}]+\s+){{0,3}}(?:CHAPTER|EPISODE)\s+(?:\d+|[IVX]+|ONE|TWO|THREE|FOUR|FIVE)\b",
    rf"^(?:[^{SPACE}]+\s+){{0,3}}PART\s+(?:\d+|[IVX][IVX]+|ONE|TWO|THREE|FOUR|FIVE)\b",
)
# A short line is a title only on a page of few panels (a splash), and not if it sounds like speech or a caption.
V2_SPLASH_PANELS = 3
V2_TALK = (
    r"[!?…]",
    r"\.\s?\.",
    r"\b(?:I|ME|MY|YOU|YOUR|HE|HIM|HIS|SHE|HER|WE|US|OUR|THEY|THEM|IT|ITS|THIS|THAT|WHAT|WHO|WHY|HOW|WHERE|WHEN)\b",
    r"\b(?:IS|ARE|AM|WAS|WERE|BE|GET|GO|COME|LOOK|HEY|OH|AH|YES|NO|NOT|HELP|STOP|WAIT|HERE|THERE|NOW|LET|LETS)\b",
    r"\b(?:LATER|SOON|MEANWHILE|SUDDENLY|NEXT|THEN|AND|BUT|SO|AS|AT|AFTER|BEFORE|UNTIL|BACK|ONE|LL|VE|RE|DON|T)\b",
)
# "THE END" ends a story where it is the page's last word, not part of a sentence ("IS THIS THE END?").
V2_ENDINGS = (
    r"\bTHE\s+END[^\p{L}\p{N}?]*$",
    r"^[^\p{L}\p{N}]*END[^\p{L}\p{N}?]*$",
    r"\bFINIS[^\p{L}\p{N}?]*$",
    r"\bTO\s+BE\s+CONTINUED\b",
    r"\bCONTINUED\s+(?:IN\s+THE\s+)?NEXT\s+(?:ISSUE|MONTH|WEEK|TIME)\b",
)
V2_NO_ENDING = (
    r"\b(?:IS|ITS|S|THATS|BE|WAS|MEANS|MEAN|NOT|AT|TO|IN|OF|BY|FROM|FOR|ON|TILL|UNTIL|NEAR|ALMOST|SEE|WATCH|HEARD|REACH)"
    r"\s+THE\s+END[^\p{L}\p{N}?]*$",
)


def story_numbers(rules: str, pages: Pages, texts: pa.Array, spoken: pa.Array) -> np.ndarray:
    """Number of each page's story in its book, from 0.

    Args:
        rules: `v1` or `v2`.
        pages: of the panels that are left once covers and advertisements are out.
        texts: (n,) lettering of these panels as it is.
        spoken: (n,) the same in capitals.

    Returns:
        (n_pages,) int32.
    """
    if rules == "v1":
        first_panel = pa.array(pages.starts)
        begins = v1_begins(texts.take(first_panel), spoken.take(first_panel))
        boundaries = v1_boundaries(pages, begins, v1_ends(pages, texts, spoken))
    else:
        boundaries = v2_boundaries(pages, v2_begins(pages, spoken), v2_ends(pages, spoken))
    story = np.cumsum(boundaries)
    first = run_starts(pages.books)
    return (story - spread(story[first], first, len(story))).astype(np.int32)


def v1_begins(texts: pa.Array, spoken: pa.Array) -> np.ndarray:
    """Whether the first panel of a page is a title: a pattern, or 2 to 6 words mostly in capitals.

    Args:
        texts: (n_pages,) lettering of first panels as it is.
        spoken: (n_pages,) the same in capitals.
    """
    import pyarrow.compute as pc

    n_words = pc.count_substring_regex(texts, pattern=f"[^{SPACE}]+").to_numpy()
    is_title = _mask(search(spoken, V1_TITLES))
    short = np.flatnonzero((n_words >= 2) & (n_words <= 6))  # counting letters takes a while
    n_upper, n_letters = (
        pc.count_substring_regex(texts.take(pa.array(short)), pattern=f"[{kind}]").to_numpy()
        for kind in (UPPER, r"\p{L}")
    )
    is_title[short] |= (n_letters > 0) & (4 * n_upper > 3 * n_letters)
    return is_title


def v1_ends(pages: Pages, texts: pa.Array, spoken: pa.Array) -> np.ndarray:
    """Whether the lettering of a page, all panels together, holds an ending.

    The original study's table had `nan` where a panel has no lettering, and joined that too.
    """
    import pyarrow.compute as pc

    spoken = pc.if_else(pc.equal(texts, ""), "NAN", spoken)
    return _mask(search(join_texts(spoken, pages.n_panels), V1_ENDINGS))


def v1_boundaries(pages: Pages, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which pages begin a story, as the original study went through them.

    Whether a page begins a story depends on where the last one began, so pages are taken in turn: the second page of
    all books at once, then the third of all that have one, and so on.

    Args:
        pages: of all books.
        begins: (n_pages,) whether the first panel looks like a title.
        ends: (n_pages,) whether the page holds an ending.

    Returns:
        (n_pages,) booleans.
    """
    first = run_starts(pages.books)
    n_pages = run_lengths(first, len(pages.books))
    boundaries = np.zeros(len(pages.books), bool)
    boundaries[first] = True
    last_boundary = pages.numbers[first]
    is_pending = np.zeros(len(first), bool)  # the page before held an ending that was noted
    for turn in range(1, int(n_pages.max(initial=0))):
        books = np.flatnonzero(n_pages > turn)
        here = first[books] + turn
        number = pages.numbers[here]
        gap = number - pages.numbers[here - 1] > 1
        after_end = ~gap & is_pending[books]
        title = ~gap & ~after_end & begins[here] & (number - last_boundary[books] > 2)
        boundaries[here] = gap | after_end | title
        is_pending[books] = ~gap & ~after_end & ends[here]  # other pages' endings went unnoticed
        last_boundary[books] = np.where(boundaries[here], number, last_boundary[books])
    return boundaries


def v2_begins(pages: Pages, spoken: pa.Array) -> np.ndarray:
    """Whether a page opens with credits, the words of a title, or a short line on a splash."""
    import pyarrow.compute as pc

    first = spoken.take(pa.array(pages.starts))
    n_words = pc.count_substring_regex(first, pattern=f"[^{SPACE}]+").to_numpy()
    is_short = (n_words >= 2) & (n_words <= 6) & ~_mask(search(first, V2_TALK))
    return _mask(search(first, V2_TITLES)) | is_short & (pages.n_panels <= V2_SPLASH_PANELS)


def v2_ends(pages: Pages, spoken: pa.Array) -> np.ndarray:
    """Whether the last lettering of a page is an ending."""
    import pyarrow.compute as pc

    if not len(pages.starts):
        return np.zeros(0, bool)
    lettered = np.where(_mask(pc.not_equal(spoken, "")), np.arange(len(spoken)), 0)
    last = spoken.take(pa.array(np.maximum(np.maximum.reduceat(lettered, pages.starts), pages.starts)))
    return _mask(search(last, V2_ENDINGS)) & ~_mask(search(last, V2_NO_ENDING))


def v2_boundaries(pages: Pages, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which pages begin a story: the first of a book, after a gap or an ending, or with a title."""
    boundaries = begins.copy()
    boundaries[1:] |= (np.diff(pages.numbers) > 1) | ends[:-1]
    boundaries[run_starts(pages.books)] = True
    return boundaries


def _mask(found: pa.Array) -> np.ndarray:
    return found.to_numpy(zero_copy_only=False).copy()  # Arrow's own cannot be changed
