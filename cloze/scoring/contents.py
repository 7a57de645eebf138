"""What a text tells, beyond its words: whom it names, what is said in it, and what the rest describes."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cloze.scoring.metrics import has_words, signatures

METRICS = ("names", "names_f1", "rougeL_dialogue", "rougeL_scene")

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# Words that may begin with a capital; no part of a word does.
_CAPITALISED = re.compile(r"(?<![^\W_])(?<![^\W_]['’])[^\W\d_a-z][^\W_]*(?:['’][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’]s$", re.IGNORECASE)
_TITLES = frozenset(["mr", "mrs", "ms", "miss", "dr", "prof", "st", "capt", "captain", "lt", "sgt", "col", "gen"])
# Written with a capital in the middle of a sentence, and nobody's name.
_NAMELESS = _TITLES | frozenset(
    ["i", "panel", "panels", "comic", "the", "a", "an", "and", "of", "in", "on", "at", "he", "she", "it", "they", "ok"]
)
_ENDS = frozenset(".!?:;…\n")
_MARKS = " \t\"'“”„‘’«»‹›「」()[]*_-—–"
_SMALL = bytes(range(ord("a"), ord("z") + 1))
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
_QUOTING = frozenset("\"'“”„‘’«»‹›「」")

# A quotation ends at its mark or, unless it is in single ones, with its line: what a model was cut in is said, too.
_QUOTATIONS = re.compile(
    r"""  "(?P<straight>[^"”\n]*)(?:["”]|$)
        | “(?P<curly>[^”"\n]*)(?:[”"]|$)
        | „(?P<low>[^“”"\n]*)(?:[“”"]|$)
        | «(?P<guillemets>[^»\n]*)(?:»|$)
        | »(?P<turned>[^«»\n]*)«
        | ‹(?P<angles>[^›\n]*)›
        | 「(?P<corners>[^」\n]*)(?:」|$)
        | (?<![\w'’])['‘](?P<single>(?=\S)(?:[^'‘’\n]|(?<=\w)['’](?=\w))+)['’](?!\w)
    """,
    re.VERBOSE | re.MULTILINE,
)


class Parts(NamedTuple):
    """A text taken apart: what is said in it, and the rest."""

    dialogue: str
    scene: str


def split_dialogue(text: str) -> Parts:
    """What stands in quotation marks, and the rest.

    Knows straight, curly, low, angular and corner marks, and single ones where they are no apostrophes: outside of
    words, and what they hold begins with a capital or ends like a sentence. A quotation that is not closed ends with
    its line. A text without any, written mostly in capitals, is lettering as comics have it, and all of it is said.
    """
    said: list[str] = []

    def take(match: re.Match[str]) -> str:
        content = match[str(match.lastgroup)]
        if match.lastgroup == "single" and not _is_speech(content):
            return match[0]
        said.append(content)
        return " "

    scene = _QUOTATIONS.sub(take, text)
    return Parts(text, "") if not said and is_lettered(text) else Parts(" ".join(said), scene)


def is_lettered(text: str) -> bool:
    """Whether most letters are capitals, as in the lettering of comics: capitals tell no names apart there."""
    if text.isascii():  # ten times faster
        letters = text.encode().translate(None, _NO_LETTERS)
        return 2 * len(letters.translate(None, _SMALL)) > len(letters)
    return 2 * sum(map(str.isupper, text)) > sum(map(str.isalpha, text))


def names_in(text: str) -> set[str]:
    """Names in a text, in lower case: words with a capital in the middle of a sentence.

    There is no list of names and no model behind it. Words all in capitals, titles (`Mr`) and some words that prompts
    call for (`Panel`) are left out; of names of several words each word counts. A name that only ever begins
    sentences is not found; a text in capitals has none. Measured in docs/scores.md.
    """
    if is_lettered(text):
        return set()
    found = _CAPITALISED.finditer(text)
    return {
        _bare(word[0]) for word in found if _is_capitalised(word[0]) and not _begins_sentence(text, word.start())
    } - _NAMELESS


def words_in(text: str) -> set[str]:
    """The words of a text in lower case, without 's."""
    return {word.removesuffix("'s") for word in _WORD.findall(text.replace("’", "'").casefold())}


def casts(texts: Sequence[str], groups: np.ndarray) -> dict[int, set[str]]:
    """The names that the texts of each book hold, by book."""
    found: dict[int, set[str]] = defaultdict(set)
    for text, group in zip(texts, groups.tolist(), strict=True):
        found[group] |= names_in(text)
    return found


class Contents:
    """What references tell, ready to be compared with texts.

    Args:
        references: one per example; empty where there is none.
        lettering: all the lettering that was shown for each example.
        groups: (n,) the book of each example.
    """

    def __init__(self, references: Sequence[str], lettering: Sequence[str], groups: np.ndarray) -> None:
        cast = casts(references, groups)
        self._knowable = [words_in(shown) & cast[g] for shown, g in zip(lettering, groups.tolist(), strict=True)]
        self._named = [
            {_bare(word) for word in _CAPITALISED.findall(text) if _is_capitalised(word)} & knowable
            for text, knowable in zip(references, self._knowable, strict=True)
        ]
        self._parts = [split_dialogue(text) for text in references]

    def score(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """How far texts name whom the references name, say what is said there and describe what is described there.

        A name counts if it could be known: if the lettering that was shown has it. `names` is the share of the
        reference's names that the text holds, in any case. It is easily had by naming everybody; `names_f1` is its
        harmonic mean with the share of the text's names (those of the book's cast that could be known) that the
        reference holds.

        Returns:
            For each of METRICS an array (n,) of values from 0 to 1. NaN where the reference has nothing of the kind.
        """
        pairs = list(zip(texts, self._named, self._knowable, strict=True))
        found = np.array([_name_scores(words_in(text) & knowable, named) for text, named, knowable in pairs])
        parts = [split_dialogue(text) for text in texts]
        return {
            "names": found[:, 0],
            "names_f1": found[:, 1],
            "rougeL_dialogue": _rouge_l([p.dialogue for p in parts], [p.dialogue for p in self._parts]),
            "rougeL_scene": _rouge_l([p.scene for p in parts], [p.scene for p in self._parts]),
        }


def contents_signatures() -> dict[str, str]:
    """What makes the values of each of METRICS."""
    rouge = signatures()["rougeL"].removeprefix("rougeL|")
    rule = "capitals in mid-sentence|in the context's lettering|mean over examples"
    return {
        "names": f"names|recall|{rule}",
        "names_f1": f"names_f1|f1|{rule}",
        "rougeL_dialogue": f"rougeL_dialogue|in quotation marks|{rouge}",
        "rougeL_scene": f"rougeL_scene|outside quotation marks|{rouge}",
    }


def _name_scores(text: set[str], reference: set[str]) -> tuple[float, float]:
    if not reference:
        return np.nan, np.nan
    n_shared = len(text & reference)
    return n_shared / len(reference), 2 * n_shared / (len(text) + len(reference))


def _rouge_l(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    from rouge_score_rs.rouge_scorer import RougeScorer

    scorable = [i for i, reference in enumerate(references) if has_words(reference)]
    scores = np.full(len(references), np.nan)
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    scored = scorer.score_batch([references[i] for i in scorable], [texts[i] for i in scorable])
    scores[scorable] = [found["rougeL"].fmeasure for found in scored]
    return scores


def _is_speech(content: str) -> bool:
    return content[0].isupper() or content[-1] in ".!?,…"


def _is_capitalised(word: str) -> bool:
    """`Tania`, `McCoy`, `O'Brien`; neither `I'm` nor `BANG's`."""
    stem = _POSSESSIVE.sub("", word)
    return stem[0].isupper() and any(c.islower() for c in stem) and not stem.startswith(("I'", "I’"))


def _begins_sentence(text: str, start: int) -> bool:
    """Whether the word at `start` begins a sentence or a quotation, by what stands between it and the word before."""
    end = start
    while end and not text[end - 1].isalnum():
        end -= 1
    between = text[end:start]
    if end and between.strip(_MARKS) == "." and _WORD.findall(text[max(0, end - 9) : end])[-1].lower() in _TITLES:
        return False
    return not end or not _ENDS.isdisjoint(between) or not _QUOTING.isdisjoint(between)


def _bare(word: str) -> str:
    return _POSSESSIVE.sub("", word).replace("’", "'").casefold()
