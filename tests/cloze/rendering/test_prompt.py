"""What of a prediction is drawn, and what of it is said."""

import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloze.errors import SettingsError
from cloze.rendering.prompt import Line, compile_prompt

SENTENCES = (
    "In the next panel, we see a man in a red coat running through the rain.",
    'Nell says, "You will never save the letter!"',
    "The sky appears overcast, suggesting tension and foreboding.",
    "The dialogue could include urgent calls for help.",
    "Overall, the mood is tense.",
    "A dog (possibly a collie) is seen barking at the gate; two boys hide behind it.",
    "There are no visible signs of injury.",
    "To her right, there's a guard wielding a spear.",
    'MARA: "Where are you going now?"',
    "**Panel 6:** Bruno falls down and holds the suitcase.",
)


def count(text: str) -> int:
    """Words and marks, and the two that stand around them, as CLIP's tokenizer would count if it knew all words."""
    return len(re.findall(r"\w+|[^\w\s]", text)) + 2


def test_what_is_seen_stays_and_the_words_around_it_go():
    told = (
        "In this next panel of the comic book sequence, we see the mast, which appears to be bending, possibly broken."
    )
    assert compile_prompt(told, count).text == "the mast, bending, broken"


@pytest.mark.parametrize(
    "unseen",
    [
        "The dialogue would likely include a plea for mercy.",
        "Sound effects could include footsteps.",
        "The overall tone suggests a pivotal moment.",
        "There are no signs of injury.",
        "",
        " \n\t",
        "...!?",
        '"Stop!"',
    ],
)
def test_where_nothing_can_be_seen_there_is_nothing_to_draw(unseen):
    compiled = compile_prompt(unseen, count, style="golden age comic panel")
    assert (compiled.text, compiled.cut) == ("", 0)


def test_style_words_come_first_and_are_never_cut():
    compiled = compile_prompt("A man runs. " * 50, count, limit=20, style="golden age comic panel")
    assert compiled.text.startswith("golden age comic panel, A man runs")
    with pytest.raises(SettingsError, match=r"style is 'word word.*leave room for others in 20 tokens"):
        compile_prompt("A man runs.", count, limit=20, style="word " * 18)


@pytest.mark.parametrize("told", [" ".join(f"word{i}" for i in range(3000)), "x" * 20_000, "and " * 3000, '"' * 3000])
def test_a_prediction_of_three_thousand_words_takes_no_time_and_what_is_cut_is_counted(told):
    begun = time.process_time()
    compiled = compile_prompt(told, lambda text: count(text) + len(text) // 50)
    assert compiled.tokens <= 77
    assert time.process_time() - begun < 2
    if "word" in told:
        assert compiled.tokens + compiled.cut == compiled.written


def test_a_clause_that_is_too_long_makes_room_for_a_shorter_one_after_it():
    compiled = compile_prompt(f"A man runs. {'very ' * 80} tall trees stand there. A dog barks.", count)
    assert compiled.text == "A man runs. A dog barks"
    assert compiled.cut == 85


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        ('Nell says, "Run!"', [Line("Run!", "Nell", "speech")]),
        ('"Run," shouts Nell.', [Line("Run,", "Nell", "speech")]),
        ('The old man shouts, "Run!"', [Line("Run!", "The old man", "shout")]),
        ("Fred: But what if it's not fair?", [Line("But what if it's not fair?", "Fred", "speech")]),
        ('(Chief Nyzambi, looking concerned)\n"Beware."', [Line("Beware.", "Chief Nyzambi", "speech")]),
        ('A caption reads "Later that night"', [Line("Later that night", "A caption", "caption")]),
        (
            'Sound effects such as "BANG" or "CRASH" fill the air.',
            [Line("BANG", "", "sound"), Line("CRASH", "", "sound")],
        ),
        ('The power of the "cats eye" glows.', []),
        ('A broken " quote', []),
    ],
)
def test_quoted_words_are_dialogue_with_speaker_and_manner_where_the_text_names_them(told, lines):
    compiled = compile_prompt(told, count)
    assert list(compiled.speech) == lines
    assert not any(line.text in compiled.text for line in lines)


def test_stage_directions_are_seen():
    compiled = compile_prompt(
        '(Tom, with a determined expression, holds up a small object.)\nTom: "This is the key!"', count
    )
    assert compiled.text == "Tom, with a determined expression, holds up a small object"


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(SENTENCES), max_size=12), st.integers(20, 90), st.sampled_from(["", "ink drawing"]))
def test_a_prompt_fits_is_the_same_each_time_and_has_nothing_left_to_take_out(sentences, limit, style):
    told = " ".join(sentences)
    compiled = compile_prompt(told, count, limit, style)
    assert compiled == compile_prompt(told, count, limit, style)
    assert compiled.tokens == count(compiled.text) <= limit
    assert compiled.tokens + compiled.cut == compile_prompt(told, count, 10**6, style).tokens
    assert compile_prompt(compiled.text, count, limit).text == compiled.text


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_at_all_compiles_within_the_limit(told):
    compiled = compile_prompt(told, count, limit=12)
    assert compiled.tokens == count(compiled.text) <= 12
    assert compiled.cut >= 0


def test_real_descriptions_fit_and_no_leading_or_hedging_words_are_left(real_data):
    path = real_data / "predictions" / "original_study.jsonl"
    rows = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
    told = [row["prediction"] for row in rows if row["reference_kind"] == "gemini_description"]
    compiled = [compile_prompt(text, count) for text in told]
    assert len(compiled) == 10
    for one, text in zip(compiled, told, strict=True):
        assert 30 < one.tokens <= 77
        assert one.tokens + one.cut < count(text)
        assert not re.search(
            r"next panel|we see|possibly|likely|appears|dialogue|sound effect", one.text, re.IGNORECASE
        )
