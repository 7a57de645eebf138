from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.sample import vocabulary as words
from cloze.sample.books import make_books
from cloze.sample.grammar import Panel, facts, foretell, scene_facts, stream, tell_story

CONTEXT = 5


def stories(seed: int) -> list[list[Panel]]:
    told: list[list[Panel]] = []
    for book in make_books(seed):
        for _, panel in book.panels():
            if panel.bubbles[0].kind == "title":
                told.append([])
            told[-1].append(panel)
    return told


@pytest.fixture(scope="module")
def agreement() -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Targets that have each fact; how many the foretold scene hits; how many panel 5 hits."""
    known, foretold, copied = Counter[str](), Counter[str](), Counter[str]()
    for story in stories(42):
        for start in range(len(story) - CONTEXT):
            context, target = story[start : start + CONTEXT], story[start + CONTEXT]
            told, last = scene_facts(foretell(context)), facts(context[-1])
            for fact, value in facts(target).items():
                known[fact] += 1
                foretold[fact] += told.get(fact) == value
                copied[fact] += last.get(fact) == value
    return known, foretold, copied


# Measured for seed 42: .97, .98, .95, .90, .82, 1.00.
@pytest.mark.parametrize(
    ("fact", "least"),
    [("setting", 0.95), ("time", 0.95), ("who", 0.92), ("action", 0.86), ("object", 0.77), ("goal", 0.99)],
)
def test_what_comes_next_can_mostly_but_not_always_be_foretold(agreement, fact, least):
    known, foretold, _ = agreement
    assert known[fact] > 1500
    assert least <= foretold[fact] / known[fact]
    assert foretold[fact] < known[fact] or fact == "goal"


# Measured for seed 42: .16, .20, .44, .88, .28.
@pytest.mark.parametrize(
    ("fact", "margin"), [("setting", 0.12), ("time", 0.15), ("who", 0.38), ("action", 0.8), ("object", 0.22)]
)
def test_foretelling_beats_copying_the_last_panel(agreement, fact, margin):
    known, foretold, copied = agreement
    assert (foretold[fact] - copied[fact]) / known[fact] > margin


def test_no_free_detail_is_foretold(agreement):
    known, foretold, _ = agreement
    assert known["weather"] > 500
    assert foretold["weather"] == 0


@given(st.integers(0, 10**6), st.integers(6, 20))
def test_a_story_has_its_title_first_and_its_end_last(seed, n_panels):
    story = tell_story(stream(seed), n_panels)
    assert len(story) == n_panels
    assert [i for i, panel in enumerate(story) if any(b.kind == "title" for b in panel.bubbles)] == [0]
    assert [i for i, panel in enumerate(story) if any(b.kind == "end" for b in panel.bubbles)] == [n_panels - 1]


@given(st.integers(0, 10**6))
def test_a_longer_story_begins_as_the_shorter_one(seed):
    assert tell_story(stream(seed), 12, has_end=False) == tell_story(stream(seed), 18, has_end=False)[:12]


@given(st.integers(0, 10**6))
def test_every_panel_has_every_fact_that_is_not_a_free_detail(seed):
    for panel in tell_story(stream(seed), 16):
        assert {"setting", "time", "who", "action", "object"} <= facts(panel).keys()
        assert all(value in words.VALUES[fact] for fact, value in facts(panel).items())


@given(st.integers(0, 10**6))
def test_lettering_names_who_and_says_the_goal_and_nothing_that_only_pictures_show(seed):
    for panel in tell_story(stream(seed), 16):
        lettering = " ".join(bubble.text for bubble in panel.bubbles).lower()
        for fact, value in facts(panel).items():
            assert (value.lower() in lettering) == (words.SEEN_IN[fact] != "picture"), (fact, lettering)


def test_what_is_dug_up_is_in_hand_and_a_ride_leads_on():
    pairs = [(a.scene, b.scene) for story in stories(42) for a, b in pairwise(story) if a.scene.who == b.scene.who]
    dug = [after.object == words.BURIED[seen.setting] for seen, after in pairs if seen.action == "digs"]
    ridden = [after.setting == words.NEXT_PLACE[seen.setting] for seen, after in pairs if seen.action == "rides"]
    assert min(len(dug), len(ridden)) > 100
    assert 0.9 < sum(dug) / len(dug) < 1
    assert 0.9 < sum(ridden) / len(ridden) < 1
