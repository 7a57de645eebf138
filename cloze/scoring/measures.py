"""What a text is like in itself: long, repetitive, copied, evasive. Neither good nor bad: compare it with labels."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from cloze.scoring.contents import is_lettered, names_in, split_dialogue, words_in

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


def measure(texts: Sequence[str], lettering: Sequence[Sequence[str]], prompt: str = "") -> dict[str, np.ndarray]:
    """Measure each text.

    Args:
        texts: one per example.
        lettering: of the panels that were shown for each example.
        prompt: the instructions that the model was given, without lettering; empty where unknown.

    Returns:
        For each of MEASURES an array (n,) of floats. NaN where it cannot be known: shares of 4-grams of a text of
        fewer words, names in a text in capitals, an opening of a text without words, `prompt_echo` without a prompt.

    Raises:
        ValueError: the lengths differ.

    Source: `rep4` is seq-rep-4 of Welleck et al. 2020, arXiv:1908.04319.
    """
    words = [words_of(text) for text in texts]
    shown = [[words_of(panel) for panel in panels] for panels in lettering]
    grams = [_grams(text) for text in words]
    told = set(_grams(words_of(prompt)))
    pairs = list(zip(words, shown, strict=True))
    copies = [
        (text, {gram for panel in panels for gram in _grams(panel)})
        for text, (_, panels) in zip(grams, pairs, strict=True)
    ]
    openings = [" ".join(text[:ORDER]) for text in words]
    commonest = _commonest(openings)
    columns = {
        "words": [float(len(text)) for text in words],
        "rep4": [1 - len(set(text)) / len(text) if text else np.nan for text in grams],
        "copy4": [_share(text, panels) for text, panels in copies],
        "copied_span": [float(longest_copy(text, panels)) for text, panels in pairs],
        "unsupported_names": [_n_unsupported(text, panels) for text, panels in zip(texts, lettering, strict=True)],
        "same_opening": [float(opening == commonest) if opening else np.nan for opening in openings],
        "prompt_echo": [_share(text, told) if told else np.nan for text in grams],
        "refusal": [float(is_refusal(text)) for text in texts],
    }
    return {name: np.array(values, dtype=float) for name, values in columns.items()}


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; apostrophes belong to them."""
    return _WORD.findall(text.replace("’", "'").casefold())


def longest_copy(words: Sequence[str], panels: Sequence[Sequence[str]]) -> int:
    """Words in the longest run of `words` that stands in one of the panels."""
    there = "\n".join(f" {' '.join(panel)} " for panel in panels)
    longest = 0
    for start in range(len(words)):
        while start + longest < len(words) and f" {' '.join(words[start : start + longest + 1])} " in there:
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


def _share(grams: Sequence[tuple[str, ...]], there: set[tuple[str, ...]]) -> float:
    return sum(gram in there for gram in grams) / len(grams) if grams else np.nan


def _commonest(openings: Sequence[str]) -> str:
    """The commonest opening, of equally common ones the first in the alphabet."""
    counts = Counter(opening for opening in openings if opening)
    return min(counts, key=lambda opening: (-counts[opening], opening), default="")


def _n_unsupported(text: str, panels: Sequence[str]) -> float:
    return np.nan if is_lettered(text) else float(len(names_in(text) - words_in(" ".join(panels))))
