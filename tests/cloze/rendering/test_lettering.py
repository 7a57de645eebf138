"""Balloons and captions over a picture."""

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from cloze.rendering.lettering import SMALLEST, TYPEFACE, enlarged, lay_out, letter
from cloze.rendering.prompt import Line

TALK = [
    Line("Later that night, at the edge of the forest...", "", "caption"),
    Line("Who goes there?", "Nell"),
    Line("I wonder whether he saw me.", "Bruno", "thought"),
    Line("Look out!", "Nell", "shout"),
    Line("CRASH", "", "sound"),
]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """A panel that is calm but for its lower right quarter."""
    pixels = np.full((200, 260, 3), 180, dtype=np.uint8)
    pixels[100:, 130:] = np.random.default_rng(1).integers(0, 255, (100, 130, 3))
    return Image.fromarray(pixels)


def test_balloons_lie_inside_do_not_cover_each_other_and_are_read_in_their_order(picture):
    large = enlarged(picture)
    layout = lay_out(large, TALK, {})
    assert [placed.line for placed in layout.placed] == TALK
    boxes = [placed.box for placed in layout.placed]
    assert all(0 <= box.x1 < box.x2 <= large.width and 0 <= box.y1 < box.y2 <= large.height for box in boxes)
    for first, second in combinations(boxes, 2):
        assert second.y1 >= first.y2 or second.x1 >= first.x2
    assert all(" ".join(placed.rows) == placed.line.text.upper() for placed in layout.placed)


def test_a_balloon_stands_where_little_is_drawn_and_its_tail_points_to_the_speaker(picture):
    large = enlarged(picture)
    (placed,) = lay_out(large, TALK[1:2], {"Nell": (0.75, 0.9)}).placed
    box = placed.box
    assert box.x2 <= large.width / 2 or box.y2 <= large.height / 2
    assert placed.tip is not None
    middle = np.array([(box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2])
    mouth = np.array([0.75 * large.width, 0.9 * large.height])
    assert np.linalg.norm(mouth - placed.tip) < 0.5 * np.linalg.norm(mouth - middle)
    (guessed,) = lay_out(large, TALK[1:2], {}).placed
    assert guessed.tip is not None
    assert np.linalg.norm(mouth - guessed.tip) > np.linalg.norm(mouth - placed.tip)


def test_the_same_lines_give_the_same_bytes_and_change_nothing_but_where_they_stand(picture):
    lettered = letter(picture, TALK)
    assert lettered.tobytes() == letter(picture, TALK).tobytes()
    changed = np.abs(np.asarray(lettered, dtype=int) - np.asarray(enlarged(picture))).any(axis=2)
    outside = np.ones_like(changed)
    for placed in lay_out(enlarged(picture), TALK, {}).placed:
        x, y = zip(*[placed.box[:2], placed.box[2:], *([placed.tip] if placed.tip else [])], strict=True)
        outside[max(int(min(y)) - 9, 0) : int(max(y)) + 9, max(int(min(x)) - 9, 0) : int(max(x)) + 9] = False
    assert changed.any()
    assert not changed[outside].any()
    assert letter(picture, []).tobytes() == enlarged(picture).tobytes()


def test_a_long_text_is_set_small_and_what_has_no_room_is_named(picture, caplog):
    words = " ".join(f"word{i}" for i in range(400))
    layout = lay_out(enlarged(picture), [TALK[1], Line(words)], {})
    assert layout.letters == SMALLEST
    first, last = layout.placed
    assert first.line == TALK[1]
    assert last.rows[-1].endswith("…")
    assert f"{last.line.text.removesuffix(' …')} {layout.left_out[0]}" == words
    letter(picture, [Line(words)])
    assert "no room for" in caplog.text


def test_of_many_lines_the_first_are_set_and_no_word_is_lost():
    lines = [Line(f"I must save letter number {i}!") for i in range(14)]
    layout = lay_out(Image.new("RGB", (512, 130), "teal"), lines, {})
    said = " ".join([*(placed.line.text.removesuffix(" …") for placed in layout.placed), *layout.left_out])
    assert said == " ".join(line.text for line in lines)
    assert layout.placed
    assert layout.left_out


@pytest.mark.parametrize("size", [(20, 2000), (2000, 20)])
def test_a_panel_with_room_for_no_line_stays_as_it_is_and_says_so(size, caplog):
    lettered = letter(Image.new("RGB", size, "teal"), TALK[1:2])
    assert lettered.getcolors() == [(lettered.width * lettered.height, (0, 128, 128))]
    assert "no room for 15 letters of a line in a panel of" in caplog.text


def test_letters_that_the_comic_typeface_lacks_are_set_in_another_and_that_is_said(picture, caplog):
    layout = lay_out(enlarged(picture), [Line("Señor, façade!"), Line("Привет, мир!")], {})
    assert [placed.typeface.stem for placed in layout.placed] == [TYPEFACE.stem, "DejaVuSans-Bold"]
    letter(picture, [Line("Привет, мир!")])
    assert "Comic Neue lacks; it is set in DejaVuSans-Bold" in caplog.text


def test_the_typeface_has_its_licence_beside_it():
    assert "SIL OPEN FONT LICENSE Version 1.1" in (TYPEFACE.parent / "LICENSE.txt").read_text(encoding="utf-8")
