"""Forms that a label can have, and checking that an answer has it."""

import json
from dataclasses import replace
from typing import Any

from cloze.labels.answers import Answer, State

FORMS = ("paragraph", "json")
FIELDS = ("dialogue", "narration", "sound_effects", "scene_description")
# Sent untouched as `responseJsonSchema`: flat, closed, every field there.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in FIELDS},
    "required": list(FIELDS),
    "additionalProperties": False,
}


def parse_label(answer: Answer, form: str) -> Answer:
    """An `OK` answer with its text in its final form, or an `UNPARSABLE` one that says why.

    A paragraph becomes one line. JSON must hold exactly `FIELDS`, all strings, the scene not blank; it is written anew,
    in their order, so that equal labels are equal texts.
    """
    assert answer.text is not None  # noqa: S101 - OK answers have text
    if form == "paragraph":
        return replace(answer, text=" ".join(answer.text.split()))
    try:
        found = json.loads(answer.text)
    except ValueError as error:
        return _unparsable(answer, f"not JSON: {error}")
    problem = _problem(found)
    if problem:
        return _unparsable(answer, problem)
    return replace(answer, text=json.dumps({name: found[name] for name in FIELDS}, ensure_ascii=False))


def _problem(found: Any) -> str:
    if not isinstance(found, dict):
        return f"a JSON object was expected, not {type(found).__name__}"
    if set(found) != set(FIELDS):
        return f"fields {sorted(found)}; expected {sorted(FIELDS)}"
    wrong = [name for name in FIELDS if not isinstance(found[name], str)]
    if wrong:
        return f"not a string: {', '.join(wrong)}"
    return "" if found["scene_description"].strip() else "scene_description is blank"


def _unparsable(answer: Answer, reason: str) -> Answer:
    return replace(answer, state=State.UNPARSABLE, text=None, reason=reason)
