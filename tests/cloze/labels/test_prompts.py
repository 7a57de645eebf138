import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.labels.prompts import (
    MAX_LETTERING,
    Part,
    Picture,
    Words,
    instructions,
    labeller_prompt,
    lettering,
    model_prompt,
    prompt_digest,
)

FIVE = ["HELP!", "", "WHO IS THERE?", "  ", "RUN"]


def words(parts: list[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Words))


def pictures(parts: list[Part]) -> list[int]:
    return [part.panel for part in parts if isinstance(part, Picture)]


def test_model_and_pred_labeller_are_given_the_same_parts():
    assert model_prompt(FIVE) == labeller_prompt("pred", FIVE)


def test_pred_shows_five_panels_with_their_lettering_and_asks_for_the_sixth():
    parts = model_prompt(FIVE)
    assert pictures(parts) == [0, 1, 2, 3, 4]
    assert words(parts).count("[No text]") == 2
    assert "Lettering: WHO IS THERE?\n" in words(parts)
    assert words(parts).endswith("one flowing paragraph.")
    assert "Panel 6" in words(parts)


def test_descp_shows_six_panels_and_only_the_lettering_of_the_last():
    parts = labeller_prompt("descp", [*FIVE, "THE END OF IT"])
    assert pictures(parts) == [0, 1, 2, 3, 4, 5]
    assert "Lettering of Panel 6: THE END OF IT\n" in words(parts)
    assert "HELP!" not in words(parts)


def test_an_unknown_paradigm_is_refused():
    with pytest.raises(ValueError, match="guess"):
        labeller_prompt("guess", FIVE)


@given(st.text())
def test_lettering_is_one_short_line_without_special_tokens(text):
    shown = lettering(text)
    assert 0 < len(shown) <= MAX_LETTERING
    assert len(shown.splitlines()) == 1
    assert not set(shown) & set("<>")


def test_special_tokens_in_lettering_stay_readable():
    assert lettering("A <image> B <|im_end|>") == "A ‹image› B ‹|im_end|›"


def test_the_prompt_digests_of_the_paradigms_differ_and_are_stable():
    assert prompt_digest("pred") != prompt_digest("descp")
    assert prompt_digest("pred") == prompt_digest("pred")
    assert len(prompt_digest("pred")) == 12


def test_the_instructions_are_the_words_of_the_prompt_that_no_comic_changes():
    asked = instructions(5)
    assert words(model_prompt(["x"] * 5)).replace("Lettering: x\n", "Lettering: \n") == asked
    assert "[No text]" not in asked
