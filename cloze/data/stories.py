"""Where stories begin.

`v1` is the original study's, exactly; `v2` mends what it takes for titles and endings (docs/cleaning.md has the
measurements).
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cloze.data.patterns import SPACE, UPPER, search

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
    r"\b(?:IS|ITS|S|THATS|BE|WAS|MEANS|MEAN|NOT|AT|TO|IN|OF|BY|FROM|FOR|ON|TILL|UNTIL|NEAR|ALMOST|SEE|HEARD|REACH)"
    r"\s+THE\s+END[^\p{L}\p{N}?]*$",
)


class Pages(NamedTuple):
    """The pages of all books, sorted by book and page; each has a panel at least.

    Attributes:
        books: (n_pages,) int32.
        numbers: (n_pages,) int32, the page's number in its book.
        starts: (n_pages,) position of its first panel among all panels.
        n_panels: (n_pages,) how many it has.
    """

    books: np.ndarray
    numbers: np.ndarray
    starts: np.ndarray
    n_panels: np.ndarray


def pages_of(books: np.ndarray, numbers: np.ndarray) -> Pages:
    """The pages of panels sorted by book and page.

    Args:
        books: (n,) int32, book of each panel.
        numbers: (n,) int32, page of each panel.
    """
    changes = (np.diff(books, prepend=-1) != 0) | (np.diff(numbers, prepend=-1) != 0)
    starts = np.flatnonzero(changes)
    return Pages(books[starts], numbers[starts], starts, np.diff(starts, append=len(books)))


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
    first = pages.starts
    if rules == "v1":
        begins = v1_begins(texts.take(pa.array(first)), spoken.take(pa.array(first)))
        boundaries = v1_boundaries(pages, begins, v1_ends(pages, texts, spoken))
    else:
        boundaries = v2_boundaries(pages, v2_begins(pages, spoken), v2_ends(pages, spoken))
    story = np.cumsum(boundaries)
    book_starts = np.flatnonzero(np.diff(pages.books, prepend=-1))
    n_pages = np.diff(book_starts, append=len(story))
    return (story - np.repeat(story[book_starts], n_pages)).astype(np.int32)


def v1_begins(texts: pa.Array, spoken: pa.Array) -> np.ndarray:
    """Whether the first panel of a page is a title: a pattern, or 2 to 6 words mostly in capitals.

    Args:
        texts: (n_pages,) lettering of first panels as it is.
        spoken: (n_pages,) the same in capitals.
    """
    import pyarrow.compute as pc

    n_words = pc.count_substring_regex(texts, pattern=f"[^{SPACE}]+").to_numpy()
    n_upper = pc.count_substring_regex(texts, pattern=f"[{UPPER}]").to_numpy()
    n_letters = pc.count_substring_regex(texts, pattern=r"\p{L}").to_numpy()
    in_capitals = (n_letters > 0) & (4 * n_upper > 3 * n_letters)
    return _mask(search(spoken, V1_TITLES)) | (n_words >= 2) & (n_words <= 6) & in_capitals


def v1_ends(pages: Pages, texts: pa.Array, spoken: pa.Array) -> np.ndarray:
    """Whether the lettering of a page, all panels together, holds an ending.

    The original study's table had `nan` where a panel has no lettering, and joined that too.
    """
    import pyarrow.compute as pc

    spoken = pc.if_else(pc.equal(texts, ""), "NAN", spoken)
    found = np.zeros(len(pages.books), bool)
    step = 1 << 16  # Arrow joins at most 2 GiB of text at once
    for start in range(0, len(found), step):
        here = slice(start, start + step)
        offsets = np.append(pages.starts[here], pages.starts[here][-1] + pages.n_panels[here][-1])
        panels = spoken.slice(offsets[0], offsets[-1] - offsets[0])
        lists = pa.ListArray.from_arrays(pa.array(offsets - offsets[0], pa.int32()), panels)
        found[here] = _mask(search(pc.binary_join(lists, " "), V1_ENDINGS))
    return found


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
    first = np.flatnonzero(np.diff(pages.books, prepend=-1))
    n_pages = np.diff(first, append=len(pages.books))
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

    lettered = np.where(_mask(pc.not_equal(spoken, "")), np.arange(len(spoken)), 0)
    last = spoken.take(pa.array(np.maximum(np.maximum.reduceat(lettered, pages.starts), pages.starts)))
    return _mask(search(last, V2_ENDINGS)) & ~_mask(search(last, V2_NO_ENDING))


def v2_boundaries(pages: Pages, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which pages begin a story: the first of a book, after a gap or an ending, or with a title."""
    is_first = np.diff(pages.books, prepend=-1) != 0
    gap = np.diff(pages.numbers, prepend=0) > 1
    return is_first | gap | np.append(False, ends[:-1]) | begins


def _mask(found: pa.Array) -> np.ndarray:
    return found.to_numpy(zero_copy_only=False)
