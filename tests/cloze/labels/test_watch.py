"""Another model's answers are noticed."""

import pytest

from cloze.errors import SettingsError
from cloze.labels.answers import Answer, State
from cloze.labels.watch import ModelWatch, is_same_model


@pytest.mark.parametrize(
    ("answered", "is_same"),
    [
        ("gemini-3.1-flash-lite", True),
        ("gemini-3.1-flash-lite-001", True),
        ("models/gemini-3.1-flash-lite", True),
        ("gemini-3.1-flash-lite-preview", False),
        ("gemini-3.5-flash-lite", False),
        ("gemini-3x1-flash-lite", False),
        ("gemini-3.1-flash", False),
        ("", False),
    ],
)
def test_a_model_is_its_name_or_a_numbered_version_of_it(answered, is_same):
    assert is_same_model("gemini-3.1-flash-lite", answered) is is_same


def test_an_answer_without_a_model_is_a_label_of_none_and_a_fault_without_one_is_a_fault():
    watch = ModelWatch("teacher-1")
    fault = Answer("k", State.MISSING, reason="code 13")
    assert watch.checked(fault) is fault
    watch.stop_if_other()
    assert watch.checked(Answer("k", State.OK, text="t")).state is State.FAILED
    with pytest.raises(SettingsError, match="a model that is not named gave 1 of the answers"):
        watch.stop_if_other()
