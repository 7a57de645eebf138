import re

import pytest

from cloze.sample.captions import all_words, captions, lettering
from cloze.sample.grammar import Scene, facts
from cloze.sample.telling import tell
from cloze.sample.world import story_panels

SEED = 42


@pytest.fixture(scope="module")
def panels():
    return story_panels(SEED)


def test_a_scene_is_told_in_order():
    scene = Scene("forest", "night", "Nell", "digs", "oar", "ring", "dog", "rain", "I must find the ring!")
    told = (
        "In the forest at night in the rain, Nell digs deep and holds the oar, with a dog close at hand. "
        'Nell says, "I must find the ring!"'
    )
    assert tell(scene) == told


def test_what_is_not_known_is_left_out():
    told = tell(Scene("cave", "day", "Vex", "hides"))
    assert told == "In the cave by day, Vex hides well and carries on as ever. Vex does not say a single word."


def test_a_caption_tells_every_fact_of_its_panel_and_no_other_name(panels):
    names = {"Pip", "Nell", "Otto", "Mara", "Gus", "Vex", "Zora", "Bruno"}
    assert len(panels) > 3500
    for panel in panels.values():
        told = tell(panel.scene)
        assert all(re.search(rf"\b{value}\b", told) for value in facts(panel).values()), told
        assert set(re.findall(r"\w+", told)) & names == {panel.scene.who}


def test_captions_name_each_panel_and_its_image_once(panels):
    told = list(captions(SEED))
    assert [panel_id for panel_id, _, _ in told] == list(panels)
    assert all(image == f"{panel_id}.jpg" for panel_id, image, _ in told)


def test_the_language_is_small_and_all_words_are_listed(panels):
    listed = set(all_words(SEED))
    assert len(listed) < 450
    for panel in panels.values():
        assert listed.issuperset(f"{tell(panel.scene)} {lettering(panel)}".split())
