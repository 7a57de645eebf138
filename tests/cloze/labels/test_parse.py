import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.labels.answers import Answer, State
from cloze.labels.parse import FIELDS, parse_label

WHOLE = {"dialogue": 'Pip: "Run!"', "narration": "", "sound_effects": "CRASH", "scene_description": "Pip runs."}


def parsed(text: str, form: str = "json") -> Answer:
    return parse_label(Answer("key", State.OK, text), form)


def test_a_paragraph_becomes_one_line():
    assert parsed(" Pip\n\nruns.  ", "paragraph").text == "Pip runs."


def test_json_is_written_anew_with_its_fields_in_order():
    answer = parsed(json.dumps(dict(reversed(WHOLE.items())), indent=2))
    assert answer.state is State.OK
    assert list(json.loads(answer.text or "")) == list(FIELDS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("```json\n{}\n```", "not JSON"),
        (json.dumps(WHOLE)[:40], "not JSON"),
        ("[]", "a JSON object was expected, not list"),
        (json.dumps(WHOLE | {"mood": "grim"}), "expected"),
        (json.dumps({"dialogue": ""}), "expected"),
        (json.dumps(WHOLE | {"dialogue": ["Run!"]}), "not a string: dialogue"),
        (json.dumps(WHOLE | {"scene_description": " "}), "scene_description is blank"),
    ],
)
def test_what_is_not_the_form_asked_for_is_unparsable_and_says_why(text, reason):
    answer = parsed(text)
    assert (answer.state, answer.text) == (State.UNPARSABLE, None)
    assert re.search(reason, answer.reason or "")


@given(st.text())
def test_no_text_is_ever_a_label_of_another_form(text):
    answer = parsed(text)
    assert (answer.state is State.OK) == (answer.text is not None)
