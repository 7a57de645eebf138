"""What a text is like in itself: long, repetitive, copied, evasive. Neither good nor bad: compare it with labels."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from cloze.scoring.contents import is_lettered, names_in, split_dialogue

MEASURES = {
    "words": "words",
    "rep4": "share of 4-grams that repeat one before",
    "copy4": "share of 4-grams that stand in the context's lettering",
    "copied_span": "longest run of words that stands in the lettering of a context panel",
    "unsupported_names": "names that stand nowhere in the context's lettering",
    "same_opening": "share of texts that open with the commonest four words",
    "prompt_echo": "share of 4-grams that stand in the prompt's instructions",
    "refusal": "share of texts that refuse",
}

ORDER = 4
PLACEHOLDERS = frozenset(("none", "null", "nan", "n/a", "na", "no text", "undefined"))

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_REFUSAL = re.compile(
    r"""\W*(?: i['’]?\s?a?m\ (?:very\ )?sorry\b
         | (?:unfortunately|sorry),?\ (?:but\ )?i\ (?:can|am)
         | i\ (?:can(?:no|['’])t|can\ not)\b
         | i(?:['’]m|\ am)\ (?:unable|not\ able)\b )
      | .*\bas\ an?\ (?:ai|artificial\ intelligence|large\ language\ model)\b""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def measure(texts: Sequence[str], shown: Sequence[str], prompt: str = "") -> dict[str, np.ndarray]:
    """Measure each text.

    Args:
        texts: one per example.
        shown: the lettering that was shown for each example, as `runs_of` writes it.
        prompt: the instructions that the model was given, without lettering; empty where unknown.

    Returns:
        For each of MEASURES an array (n,) of floats. NaN where it cannot be known: shares of 4-grams of a text of
        fewer words, names in a text in capitals, an opening of a text without words, `prompt_echo` without a prompt.

    Raises:
        ValueError: the lengths differ.

    Source: `rep4` is seq-rep-4 of Welleck et al. 2020, arXiv:1908.04319.
    """
    words = [words_of(text) for text in texts]
    grams = [_grams(text) for text in words]
    asked = runs_of([prompt])
    openings = [" ".join(text[:ORDER]) for text in words]
    commonest = _commonest(openings)
    columns = {
        "words": [float(len(text)) for text in words],
        "rep4": [1 - len(set(text)) / len(text) if text else np.nan for text in grams],
        "copy4": [_share(text, runs) for text, runs in zip(grams, shown, strict=True)],
        "copied_span": [float(longest_copy(text, runs)) for text, runs in zip(words, shown, strict=True)],
        "unsupported_names": [_n_unsupported(text, runs) for text, runs in zip(texts, shown, strict=True)],
        "same_opening": [float(opening == commonest) if opening else np.nan for opening in openings],
        "prompt_echo": [_share(text, asked) if prompt else np.nan for text in grams],
        "refusal": [float(is_refusal(text)) for text in texts],
    }
    return {name: np.array(values, dtype=float) for name, values in columns.items()}


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; apostrophes belong to them."""
    return _WORD.findall(text.replace("’", "'").casefold())


def runs_of(panels: Sequence[str]) -> str:
    """The words of each panel between single blanks, a line each, so that `in` finds runs of words in one panel."""
    return "\n".join(f" {' '.join(words_of(panel))} " for panel in panels)


def longest_copy(words: Sequence[str], runs: str) -> int:
    """Words in the longest run of `words` that stands in one panel of `runs`, which `runs_of` made."""
    longest = 0
    for start in range(len(words)):
        while start + longest < len(words) and f" {' '.join(words[start : start + longest + 1])} " in runs:
            longest += 1
    return longest


def is_refusal(text: str) -> bool:
    """Whether the writer of a text refuses to write it; what somebody says in it does not count."""
    return _REFUSAL.match(split_dialogue(text).scene) is not None


def is_placeholder(text: str) -> bool:
    """Whether a text is only the word that programs write where there is none, such as `None`."""
    return text.strip(" \t\r\n.'\"[]()<>").casefold() in PLACEHOLDERS


def measure_signatures() -> dict[str, str]:
    """What each measure is."""
    return {f"measure/{name}": f"{name}|{meaning}|mean over examples" for name, meaning in MEASURES.items()}


def _grams(words: Sequence[str], n: int = ORDER) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def _share(grams: Sequence[tuple[str, ...]], runs: str) -> float:
    return sum(f" {' '.join(gram)} " in runs for gram in grams) / len(grams) if grams else np.nan


def _commonest(openings: Sequence[str]) -> str:
    """The commonest opening, of equally common ones the first in the alphabet."""
    counts = Counter(opening for opening in openings if opening)
    return min(counts, key=lambda opening: (-counts[opening], opening), default="")


def _n_unsupported(text: str, runs: str) -> float:
    if is_lettered(text):
        return np.nan
    return float(sum(f" {name} " not in runs and f" {name}'s " not in runs for name in names_in(text)))
