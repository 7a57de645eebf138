from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from cloze.sample import vocabulary as words
from cloze.sample.books import make_book
from cloze.sample.drawing import SIZES, draw_advert, draw_cover, draw_panel
from cloze.sample.grammar import Bubble, Panel, Scene

SCENE = Scene("desert", "day", "Otto", "waves", "lantern")


def picture_of(scene: Scene) -> np.ndarray:
    """(48, 48, 3) of what a small model sees."""
    small = draw_panel(Panel("quest", scene, None, ()), (224, 224), "key").picture
    return np.asarray(small.resize((48, 48), Image.Resampling.BILINEAR), float)


# Smallest share of pixels in which any two values differ by more than a tenth; measured: setting .41, time .82,
# who .10, action .20, object .025, beside .030, weather .031.
SHARES = {"setting": 0.3, "time": 0.6, "who": 0.08, "action": 0.15, "object": 0.02, "beside": 0.02, "weather": 0.025}


@pytest.mark.parametrize(("fact", "least"), SHARES.items())
def test_all_values_of_a_fact_look_different_at_48_pixels(fact, least):
    values = (*words.VALUES[fact], *([None] if fact in ("beside", "weather") else []))
    pictures = [picture_of(Scene(**(vars(SCENE) | {fact: value}))) for value in values]
    shares = [(np.abs(one - other).max(axis=2) > 25.5).mean() for one, other in combinations(pictures, 2)]
    assert min(shares) > least


@pytest.mark.parametrize("size", SIZES)
def test_lettering_lies_inside_its_panel_and_overlaps_no_other(size):
    for panel_id, panel in list(make_book(42, 17).panels())[:30]:
        drawn = draw_panel(panel, size, panel_id)
        assert drawn.picture.size == size
        assert [lettered.bubble for lettered in drawn.lettering] == list(panel.bubbles)
        for lettered in drawn.lettering:
            x1, y1, x2, y2 = lettered.box
            assert 0 <= x1 < x2 <= size[0], lettered
            assert 0 <= y1 < y2 <= size[1], lettered
        for one, other in combinations(drawn.lettering, 2):
            assert not _overlap(one.box, other.box), (one, other)


@pytest.mark.parametrize("action", words.ACTIONS)
@pytest.mark.parametrize("size", SIZES)
def test_no_balloon_hides_what_is_held(action, size):
    line = max(words.LINES_TO_OTHER, key=len).format(other="Bruno", verb="return", goal="diamond").upper()
    bubbles = (Bubble("narration", "A LITTLE LATER, BRUNO APPEARS AGAIN..."), Bubble("balloon", line))
    for key in ("one", "other", "third", "fourth"):  # some look left, some right
        shown = [_share_held(action, size, key, some) for some in ((), bubbles)]
        assert shown[1] > 0.6 * shown[0], (key, shown)


def test_lettering_changes_the_pixels_of_its_box():
    panel = Panel("quest", SCENE, None, (Bubble("balloon", "HURRY UP! THERE IS NO TIME LEFT!"),))
    drawn = draw_panel(panel, SIZES[0], "key")
    silent = draw_panel(replace(panel, bubbles=()), SIZES[0], "key")
    box = drawn.lettering[0].box
    inside = np.asarray(drawn.picture.crop(box).convert("L"))
    assert (inside > 250).mean() > 0.4
    assert (inside < 90).mean() > 0.08
    assert np.abs(inside - np.asarray(silent.picture.crop(box).convert("L"), float)).mean() > 20


def test_drawing_again_gives_the_same_pixels_and_leaves_the_background_alone():
    panel = Panel("quest", replace(SCENE, weather="fog"), None, (Bubble("narration", "SOON OTTO HAS A NEW PLAN..."),))
    assert draw_panel(panel, SIZES[1], "key").picture == draw_panel(panel, SIZES[1], "key").picture


def test_covers_and_adverts_are_drawn_with_their_lettering():
    bubbles = (Bubble("title", "PIP COMICS"), Bubble("narration", "NO. 1"))
    for drawn in (draw_cover("Pip", bubbles, "key"), draw_advert(bubbles, "key")):
        assert tuple(lettered.bubble for lettered in drawn.lettering) == bubbles
        assert drawn.picture.mode == "RGB"


def _share_held(action: str, size: tuple[int, int], key: str, bubbles: tuple[Bubble, ...]) -> float:
    """Share of pixels that what is held makes different."""
    scene = replace(SCENE, action=action, object="suitcase")
    panels = [Panel("quest", some, None, bubbles) for some in (scene, replace(scene, object=None))]
    held, empty = (np.asarray(draw_panel(panel, size, key).picture, float) for panel in panels)
    return float((np.abs(held - empty).max(axis=2) > 25.5).mean())


def _overlap(one, other) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
