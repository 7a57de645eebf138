from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.labels.balloons import Box, join_lines, kind_of, spaced
from tests.cloze.labels.lettered import line

SIZE = (400, 300)


def texts(*lines):
    return [balloon.text for balloon in join_lines(lines, SIZE)]


def test_balloons_side_by_side_keep_their_lines_apart():
    found = texts(line("FATHER, I AM", 10, 20), line("YOU SHALL", 120, 22), line("ROGER", 20, 34), line("BE", 130, 36))
    assert found == ["FATHER, I AM ROGER", "YOU SHALL BE"]


def test_balloons_that_almost_touch_keep_their_lines_apart_where_these_are_not_level():
    assert texts(line("SUPPLIES", 10, 20), line("SEEING", 96, 26)) == ["SUPPLIES", "SEEING"]


def test_halves_of_one_line_are_read_from_the_left():
    assert texts(line("THE BARN", 92, 21), line("RUN FOR", 10, 20), line("NOW", 40, 36)) == ["RUN FOR THE BARN NOW"]


def test_lines_whose_boxes_share_much_height_are_still_read_from_the_top():
    assert texts(line("LOOK AT HIM", 20, 31), line("REAR FENDER", 25, 24), line("CRUMPLED", 10, 17)) == [
        "CRUMPLED REAR FENDER LOOK AT HIM"
    ]


def test_a_title_and_what_is_small_below_it_are_not_one():
    assert texts(line("WONDER DOG", 10, 20, height=40), line("BY HY SPEED", 10, 62)) == ["WONDER DOG", "BY HY SPEED"]


def test_lines_with_a_row_free_between_them_are_not_one():
    assert texts(line("ONE", 10, 20), line("OTHER", 10, 52)) == ["ONE", "OTHER"]


def test_a_caption_is_read_before_the_balloons_below_it_and_these_from_the_left():
    caption = line("MEANWHILE", 10, 2, width=380)
    assert texts(line("RIGHT", 250, 40), line("LEFT", 20, 50), caption) == ["MEANWHILE", "LEFT", "RIGHT"]


def test_a_balloon_that_starts_a_little_higher_on_the_right_is_read_second():
    left = [line(text, 10, y) for text, y in (("A", 30), ("B", 46), ("C", 62))]
    assert texts(line("D", 150, 20), line("E", 150, 36), *left) == ["A B C", "D E"]


def test_balloons_like_bricks_are_read_from_the_top():
    bricks = [
        line(f"{name}{row}", x, y + 16 * row, width=120)
        for name, x, y in (("C", 200, 66), ("B", 100, 43), ("A", 10, 20))
        for row in (1, 2)
    ]
    assert texts(*bricks) == ["A1 A2", "B1 B2", "C1 C2"]


def test_no_lines_and_blank_lines_make_no_balloon():
    assert texts() == texts(line("  ", 10, 20)) == []


def test_a_balloon_has_the_box_around_its_lines():
    (balloon,) = join_lines([line("A", 10, 20), line("B", 5, 34, width=60)], SIZE)
    assert balloon.box == Box(5, 20, 90, 50)


LINES = st.builds(
    line, st.text("AB!.", min_size=1), st.integers(0, 380), st.integers(0, 280), st.integers(1, 90), st.integers(1, 30)
)


@given(st.lists(LINES, max_size=12))
def test_every_letter_is_read_once_wherever_the_lines_lie(lines):
    read = "".join(texts(*lines)).replace(" ", "")
    assert Counter(read) == Counter("".join(line.text for line in lines))


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("DALTON!A BUSINESS", "DALTON! A BUSINESS"),
        ("FATHER.I AM", "FATHER. I AM"),
        ("SUPPLIES..TIN", "SUPPLIES.. TIN"),
        ('"HALT!"HE SAID,AND', '"HALT!" HE SAID, AND'),
        ("O.K. AT 3.5", "O.K. AT 3.5"),
        ("...and 1,000 www.peppercarrot.com", "...and 1,000 www.peppercarrot.com"),
    ],
)
def test_lost_blanks_come_back_behind_punctuation(read, meant):
    assert spaced(read) == meant


@pytest.mark.parametrize(
    ("text", "box", "kind"),
    [
        ("LATER, AT THE MILL...", Box(10, 5, 300, 21), "narration"),
        ("LATER, AT THE MILL...", Box(10, 270, 300, 290), "narration"),
        ("THE TWO LADS TRY SOME SHOOTING!", Box(10, 5, 300, 21), "narration"),
        ("LATER, AT THE MILL...", Box(10, 100, 300, 116), "dialogue"),
        ("LATER, AT THE MILL...", Box(10, 5, 180, 21), "dialogue"),
        ("Later I was at the mill", Box(10, 5, 300, 21), "dialogue"),
        ("GOOD GOSH! THE FLOOD IS HERE", Box(10, 5, 300, 21), "dialogue"),
        ("WHERE IS HE?", Box(10, 5, 300, 21), "dialogue"),
    ],
)
def test_narration_is_wide_at_the_top_or_bottom_and_has_no_word_of_speech(text, box, kind):
    assert kind_of(text, box, 16, SIZE) == kind
