"""The words that labeller and model are given, for both paradigms, in one place.

A prompt is a list of parts, words and pictures in reading order, so that whoever sends it (a chat template, Gemini's
or OpenAI's API) only has to translate parts.

- `pred`: the panels before the target with their lettering; predict the next panel.
- `descp`: the same panels and the target, with the target's lettering; describe the target.

The model that is trained and evaluated always gets the `pred` prompt: the paradigms differ in what the labeller saw.

Lettering is untrusted: it is one line, cut at `MAX_LETTERING` characters, and holds no `<` or `>`, so that no token
with a meaning of its own (`<image>`, `<|im_end|>`) can be spelled in it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

PARADIGMS = ("pred", "descp")
MAX_LETTERING = 400
NO_TEXT = "[No text]"

_SCENE = "the scene, the characters, their actions and what they say."
_FORMS = {
    "paragraph": "Write one flowing paragraph.",
    "json": (
        "Answer with a JSON object of four strings: dialogue (what is said, with who says it), narration (what "
        "captions say), sound_effects, and scene_description (one paragraph); a string is empty where there is none."
    ),
}
_HARMLESS = str.maketrans("<>", "‹›")


@dataclass(frozen=True)
class Words:
    """A run of text in a prompt."""

    text: str


@dataclass(frozen=True)
class Picture:
    """The place of a panel's picture in a prompt; `panel` counts from 0 at the first context panel."""

    panel: int


Part = Words | Picture

# What a reader of lettering is told below a panel's picture.
READING = (
    "This is one panel of a comic. Copy all of its lettering exactly, balloon by balloon in reading order. For each "
    "give kind (dialogue: a speech or thought balloon; narration: a caption; sound_effect; sign: lettering in the "
    "scene), text (on one line, words divided at a line's end joined, nothing corrected or translated), and box_2d "
    "(its edges as [top, left, bottom, right] in thousandths of the picture's height and width, null if unsure). "
    'Answer with a JSON object {"balloons": [...]}; the list is empty where the panel has no lettering.'
)
READING_DIGEST = hashlib.sha256(READING.encode()).hexdigest()[:12]


def labeller_prompt(paradigm: str, texts: Sequence[str], form: str = "paragraph") -> list[Part]:
    """What the labeller is given.

    Args:
        paradigm: `pred` or `descp`.
        texts: lettering of the context panels; under `descp` the target's follows as the last.
        form: of the label, `paragraph` or `json`.
    """
    if paradigm not in PARADIGMS:
        raise ValueError(f"paradigm {paradigm!r}")
    return _predict_next(texts, form) if paradigm == "pred" else _describe_last(texts, form)


def model_prompt(texts: Sequence[str]) -> list[Part]:
    """What the vision-language model is given, in training and in prediction, under both paradigms.

    Args:
        texts: lettering of the context panels.
    """
    return _predict_next(texts, "paragraph")


def instructions(n_panels: int) -> str:
    """The words of `model_prompt` that are the same for all comics: what a model says that returns its prompt."""
    words = (part.text for part in model_prompt([""] * n_panels) if isinstance(part, Words))
    return "".join(words).replace(NO_TEXT, "")


def lettering_prompt(texts: Sequence[str]) -> list[Part]:
    """What the model is given in the closed tasks, where the likelihood of the next panel's lettering is asked for.

    Args:
        texts: lettering of the context panels; none at all asks for the lettering of any panel.
    """
    if not texts:
        return [Words("Write the lettering of a panel of a comic, word for word.")]
    return [
        *_panels(texts),
        Words(f"Write the lettering of the next panel, Panel {len(texts) + 1}, word for word."),
    ]


def lettering(text: str) -> str:
    """A panel's text as prompts show it: one line, cut, with no special token, `[No text]` where there is none."""
    return one_line(text)[:MAX_LETTERING].rstrip() or NO_TEXT


def one_line(text: str) -> str:
    """Untrusted text with white space collapsed and angle brackets replaced by look-alikes."""
    return " ".join(text.split()).translate(_HARMLESS)


def prompt_digest(paradigm: str, form: str = "paragraph") -> str:
    """Twelve hex digits that change whenever the labeller's words for this paradigm and form do."""
    return _digest(labeller_prompt(paradigm, ["x" * (MAX_LETTERING + 1), "", "<x>", "x", "x", "x"], form))


def lettering_prompt_digest() -> str:
    """The same of the closed tasks' words, with panels and without."""
    return _digest([*lettering_prompt(["x" * (MAX_LETTERING + 1), "", "<x>"]), *lettering_prompt([])])


def _predict_next(texts: Sequence[str], form: str) -> list[Part]:
    target = len(texts) + 1
    return [*_panels(texts), Words(f"Predict what happens in the next panel, Panel {target}: {_SCENE} {_FORMS[form]}")]


def _panels(texts: Sequence[str]) -> list[Part]:
    parts: list[Part] = [Words(f"Here are {len(texts)} panels of a comic in reading order, each with its lettering.\n")]
    for index, text in enumerate(texts):
        parts += [Words(f"Panel {index + 1}: "), Picture(index), Words(f"\nLettering: {lettering(text)}\n")]
    return parts


def _describe_last(texts: Sequence[str], form: str) -> list[Part]:
    parts: list[Part] = [Words(f"Here are {len(texts)} panels of a comic in reading order.\n")]
    for index in range(len(texts)):
        parts += [Words(f"Panel {index + 1}: "), Picture(index), Words("\n")]
    target = len(texts)
    return [
        *parts,
        Words(f"Lettering of Panel {target}: {lettering(texts[-1])}\n"),
        Words(f"Describe what happens in Panel {target}: {_SCENE} {_FORMS[form]}"),
    ]


def _digest(parts: Sequence[Part]) -> str:
    told = json.dumps([(type(part).__name__, *astuple(part)) for part in parts])
    return hashlib.sha256(told.encode()).hexdigest()[:12]
