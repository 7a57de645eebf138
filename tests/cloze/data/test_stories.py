import json

import numpy as np
import pyarrow as pa
import pytest

from cloze.data.patterns import capitals
from cloze.data.runs import pages_of
from cloze.data.stories import V1_ENDINGS, V1_TITLES, story_numbers, v1_begins, v1_ends, v2_begins, v2_ends
from tests.cloze.data.comics_files import texts


def one_page(*lines):
    """A page of these panels, and their lettering as it is and in capitals."""
    return pages_of(np.zeros(len(lines), int), np.ones(len(lines), int)), texts(*lines), capitals(texts(*lines))


def begins(rules, *lines):
    pages, raw, spoken = one_page(*lines)
    return bool(v1_begins(raw.slice(0, 1), spoken.slice(0, 1))[0] if rules == "v1" else v2_begins(pages, spoken)[0])


def ends(rules, *lines):
    pages, raw, spoken = one_page(*lines)
    return bool(v1_ends(pages, raw, spoken)[0] if rules == "v1" else v2_ends(pages, spoken)[0])


FULL = ["you run", "I hide", "he falls"]  # with a first panel, one more than a splash has


def test_v1_lists_are_the_original_studys(real_data):
    rules = json.loads((real_data / "original_rules.json").read_text())
    assert list(V1_TITLES) == rules["title_patterns"]
    assert list(V1_ENDINGS) == rules["end_patterns"]


@pytest.mark.parametrize(
    "line",
    [
        "LOOK OUT, CAPTAIN!",
        "BY GEORGE! HE IS RIGHT",
        "LET'S MEET AT NOON",
        "OUT OF MY WAY! UGH!",
        "CAPTAIN JONES FELL OVER THE RAIL AND NOBODY SAW IT",
        "DOCTOR! SOMETHING'S WRONG WITH POLLY",
        "THE REST OF THE GANG IS WAITING, SO I WILL GO ON BY FOOT",
        "THIS LOOKS LIKE YOUR BIG CHANCE TO TAKE OVER THE STARRING ROLE TONIGHT",
        "HE MADE A FORTUNE OUT OF PICTURES FEATURING A MONSTER LIKE THAT",
        "THE PART I LIKE IS YOURS",
        "SHE BROKE MY HEART BY LEAVING",
    ],
)
def test_speech_that_v1_takes_for_a_title_is_none_in_v2(line):
    assert begins("v1", line, *FULL)
    assert not begins("v2", line, *FULL)
    assert not begins("v2", line)


@pytest.mark.parametrize(
    ("line", "expected"), [("ABC d", False), ("ABCD d", True), ("A B C D E F", True), ("- !", False)]
)
def test_v1_takes_2_to_6_words_for_a_title_if_more_than_three_quarters_are_capitals(line, expected):
    assert begins("v1", line) is expected
    assert not begins("v1", "ABCDEFG")
    assert not begins("v1", "A B C D E F G")


@pytest.mark.parametrize(
    "line",
    [
        "BLUE BEETLE IN: THE HAUNTED MILL",
        "QUALITY COMICS PRESENTS PLASTIC MAN",
        "THE ADVENTURES OF CAPTAIN JONES",
        "CHAPTER 3: THE TRAP",
        "part ii - the trap",
        "THE TWYMITES Story by HAL COCHRAN Pictures by GEORGE SCARBO",
    ],
)
def test_words_that_announce_a_story_begin_one_in_both(line):
    assert begins("v1", line, *FULL)
    assert begins("v2", line, *FULL)


@pytest.mark.parametrize("line", ["HAUNTED CASTLE", "THE SPIDER VS THE FLY", "undersea raider"])
def test_a_short_line_is_a_title_in_v2_only_on_a_splash(line):
    assert begins("v2", line, "a panel", "and one more")
    assert not begins("v2", line, *FULL)


@pytest.mark.parametrize(
    "line",
    [
        "THIS IS THE END OF YOU!",
        "IS THIS THE END?",
        "HE HUNG AT THE END OF A ROPE",
        "THAT'S THE END",
        "CONTINUED NEXT PAGE",
    ],
)
def test_speech_that_v1_takes_for_an_ending_is_none_in_v2(line):
    assert ends("v1", line)
    assert not ends("v2", line)


@pytest.mark.parametrize(
    "line", ["AND THEY WERE HAPPY. THE END", "The End.", "FINIS", "TO BE CONTINUED", "CONTINUED NEXT MONTH!", "END"]
)
def test_a_last_word_ends_a_story_in_both(line):
    assert ends("v1", line)
    assert ends("v2", line)


def test_v2_looks_for_the_ending_in_the_last_lettering_of_the_page():
    assert ends("v1", "THE END", "WAIT FOR ME")
    assert not ends("v2", "THE END", "WAIT FOR ME")
    assert ends("v2", "WAIT FOR ME", "THE END", "")


def numbers(rules, *pages):
    """Story of each page; a page is its number and the lettering of its panels."""
    rows = [(page, line) for page, *lines in pages for line in lines]
    table = pages_of(np.zeros(len(rows), int), np.array([page for page, _ in rows]))
    raw = pa.array([line for _, line in rows])
    return story_numbers(rules, table, raw, capitals(raw)).tolist()


def test_an_ending_on_the_first_page_of_a_story_goes_unnoticed_in_v1_after_a_gap_only():
    one_page_story = [(1, "you run", *FULL), (3, "I fall", *FULL, "THE END"), (4, "she comes", *FULL)]
    assert numbers("v1", *one_page_story) == [0, 1, 1]
    assert numbers("v2", *one_page_story) == [0, 1, 2]


def test_a_gap_and_an_ending_begin_a_story_in_both():
    pages = [(1, "you", *FULL), (2, "I", *FULL, "THE END"), (3, "he", *FULL), (5, "she", *FULL)]
    assert numbers("v1", *pages) == numbers("v2", *pages) == [0, 0, 1, 2]


def test_v1_takes_no_title_within_two_pages_of_the_last_boundary():
    pages = [(page, "CHAPTER 1", *FULL) for page in range(1, 8)]
    assert numbers("v1", *pages) == [0, 0, 0, 1, 1, 1, 2]
    assert numbers("v2", *pages) == [0, 1, 2, 3, 4, 5, 6]
