"""Names, dialogue and scene are found in texts as models, labellers and comics write them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.sample.cast import BODIES
from cloze.sample.grammar import Scene
from cloze.sample.telling import tell
from cloze.sample.vocabulary import ACTIONS, GOALS, HEROES, OBJECTS, RIVALS, ROUTE, TIMES
from cloze.scoring.contents import METRICS, Contents, contents_signatures, names_in, split_dialogue

STYLES = ('"{}"', "“{}”", "„{}“", "«{}»", "» {}«", "‹{}›", "「{}」", "‘{}’", "'{}'")
# Names that a person finds in the ten `descp` labels of the real data, in their order.
NAMES_IN_REAL_LABELS = [
    set(),
    {"tania", "marsh", "queen", "lugoff", "dagmar"},
    {"dick", "simba"},
    {"hangman"},
    {"wing"},
    set(),
    {"rip", "barbara"},
    {"starlight"},
    {"roy", "dusty"},
    {"chuck", "salamandron"},
]


@pytest.mark.parametrize(
    ("text", "dialogue", "scene"),
    [
        ('Ann waves. "Stop!" she says.', "Stop!", "Ann waves. she says."),
        ("It's the dogs' bone, isn't it?", "", "It's the dogs' bone, isn't it?"),
        ("He mutters, 'That's the dog's!' and goes.", "That's the dog's!", "He mutters, and goes."),
        ("Get 'em to the cats' home.", "", "Get 'em to the cats' home."),
        ('Ann says, "I must find', "I must find", "Ann says,"),
        ('A 6" plank.\nAnn says, "Ow!"', "plank. Ow!", "A 6 Ann says,"),
        ("«Oui», dit-il, “no”", "Oui no", ", dit-il,"),
        ("STOP! WHO GOES THERE?", "STOP! WHO GOES THERE?", ""),
        ('SHE SAYS "NO"', "NO", "SHE SAYS"),
        ("And deep in the jungle...", "", "And deep in the jungle..."),
        ("", "", ""),
    ],
)
def test_what_stands_in_quotation_marks_is_said(text, dialogue, scene):
    found = split_dialogue(text)
    assert (" ".join(found.dialogue.split()), " ".join(found.scene.split())) == (dialogue, scene)


WORDS = st.lists(st.sampled_from(["goes", "isn't", "the", "dogs", "o'clock", "Ann's"]), max_size=4)
SENTENCES = st.tuples(st.sampled_from(["Ann", "It's", "I"]), WORDS, st.sampled_from(".!?")).map(
    lambda parts: " ".join([parts[0], *parts[1]]) + parts[2]
)


@given(st.lists(st.tuples(SENTENCES, SENTENCES, st.sampled_from(STYLES)), max_size=4))
def test_whatever_the_marks_what_is_said_and_the_rest_are_told_apart(told):
    text = " ".join(f"{scene} {style.format(said)}" for scene, said, style in told)
    found = split_dialogue(text)
    assert found.dialogue.split() == [word for _, said, _ in told for word in said.split()]
    assert found.scene.split() == [word for scene, _, _ in told for word in scene.split()]


@given(st.text(alphabet="aB .\"'“”‘’«»„\n"))
def test_no_letter_is_lost_or_told_twice_in_any_text(text):
    found = split_dialogue(text)
    letters = sorted(filter(str.isalpha, text))
    assert sorted(filter(str.isalpha, found.dialogue + found.scene)) == letters


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Behind her, Tania’s friend Lugoff hides.", {"tania", "lugoff"}),
        ("He meets Mr. Wing. Then he goes home.", {"wing"}),
        ('Ann says, "You will see." Then, "Not I, Otto!"', {"otto"}),
        ("In Panel 6, I'm sure McCoy and O'Brien heard BANG.", {"mccoy", "o'brien"}),
        ("In the Salamandron's cave", {"salamandron"}),
        ("TANIA AND LUGOFF ARE HERE", set()),
        ("", set()),
    ],
)
def test_names_are_capitals_in_the_middle_of_a_sentence(text, names):
    assert names_in(text) == names


def test_in_the_sample_the_extractor_finds_the_whole_cast_and_nobody_else():
    scenes = [
        Scene(who=who, setting=place, time=TIMES[i % 3], action=ACTIONS[i % 12], object=OBJECTS[i], goal=GOALS[i],
              beside=None, weather=None, quote=quote)
        for i, place in enumerate(ROUTE)
        for who in HEROES + RIVALS
        for quote in (None, "This is how we win the crown!", "Where are you going now?")
    ]  # fmt: skip
    found = [names_in(tell(scene)) for scene in scenes]
    there = [{scene.who.lower()} for scene in scenes]  # what is said is told without the name it is said to
    hits = sum(len(names & known) for names, known in zip(found, there, strict=True))
    assert set().union(*found) == {name.lower() for name in BODIES}
    assert hits / sum(map(len, found)) == 1  # precision
    assert hits / sum(map(len, there)) == 1  # recall


def test_in_real_labels_nobody_is_invented_and_one_of_15_names_is_missed(real_data):
    rows = map(json.loads, (real_data / "predictions" / "original_study.jsonl").read_text().splitlines())
    found = [names_in(row["reference"]) for row in rows if row["reference_kind"] == "gemini_description"]
    assert not any(names - known for names, known in zip(found, NAMES_IN_REAL_LABELS, strict=True))
    missed = [known - names for names, known in zip(found, NAMES_IN_REAL_LABELS, strict=True)]
    assert [names for names in missed if names] == [{"dick"}]  # who only begins a sentence


def contents(references, lettering, groups=None):
    return Contents(references, lettering, np.array(groups or [1] * len(references)))


def test_only_names_that_the_lettering_has_can_be_recalled():
    scored = contents(["Here Ann, Bob and Cy wait."], ["ANN! WHERE IS BOB? AND VEX?"]).score(["ANN'S dog, and Cy"])
    assert scored["names"][0] == 0.5
    assert scored["names_f1"][0] == pytest.approx(2 / 3)  # Vex is in nobody's label, so no name of this book


def test_a_text_that_names_everybody_has_all_recall_and_less_f1():
    references = ["So Ann waves.", "So Bob waves."]
    scored = contents(references, ["ANN, BOB!", "ANN, BOB!"]).score(["Ann and Bob", "Bob"])
    assert scored["names"].tolist() == [1, 1]
    assert scored["names_f1"].tolist() == [pytest.approx(2 / 3), 1]


def test_a_name_that_begins_a_sentence_counts_where_the_book_knows_it():
    texts = ["Ann waves.", "Then Ann waves."]
    assert contents(texts, ["ANN!", "ANN!"], [1, 1]).score(["Ann", "Ann"])["names"].tolist() == [1, 1]
    assert np.isnan(contents(texts, ["ANN!", "ANN!"], [1, 2]).score(["Ann", "Ann"])["names"][0])


def test_dialogue_is_scored_against_dialogue_and_scene_against_scene():
    scored = contents(['Ann runs. "Stop now!"'], [""]).score(['Stop now! "Ann runs."'])
    assert (scored["rougeL_dialogue"][0], scored["rougeL_scene"][0]) == (0, 0)
    same = contents(['Ann runs. "Stop now!"'], [""]).score(["Ann runs. 'Stop now!'"])
    assert (same["rougeL_dialogue"][0], same["rougeL_scene"][0]) == (1, 1)


def test_what_a_reference_lacks_is_unknown_and_what_a_text_lacks_is_0():
    scored = contents(["Ann runs.", '"Stop!"', ""], ["", "", ""]).score(["", "", "x"])
    assert np.array_equal(scored["rougeL_dialogue"], [np.nan, 0, np.nan], equal_nan=True)
    assert np.array_equal(scored["rougeL_scene"], [0, np.nan, np.nan], equal_nan=True)
    assert np.isnan(scored["names"]).all()


def test_lettering_competes_as_dialogue():
    assert contents(['Ann says, "Go home!"'], [""]).score(["GO HOME!"])["rougeL_dialogue"][0] == 1


def test_every_metric_has_a_signature():
    assert set(contents_signatures()) == set(METRICS) == set(contents(["x"], [""]).score(["x"]))
