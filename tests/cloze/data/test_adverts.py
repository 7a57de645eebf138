import csv
import json
import re

import numpy as np
import pytest

from cloze.data.adverts import V1_PHRASES, ad_panels, read_ad_pages
from cloze.data.patterns import capitals
from cloze.data.runs import pages_of
from cloze.errors import DataError
from tests.cloze.data.comics_files import texts


def ads(rules, *pages, listed=()):
    """Which panels are advertisements; a page is the lettering of its panels."""
    numbers = np.array([number for number, page in enumerate(pages) for _ in page], int)
    lines = [line for page in pages for line in page]
    found = ad_panels(
        rules, capitals(texts(*lines)), np.isin(numbers, listed), pages_of(np.zeros(len(lines), int), numbers)
    )
    return found.tolist()


def test_v1_phrases_are_the_original_studys(real_data):
    assert list(V1_PHRASES) == json.loads((real_data / "original_rules.json").read_text())["ad_phrases"]


@pytest.mark.parametrize(
    "line",
    [
        "THE POLICE DEPARTMENT IS ON THE WAY!",
        "SEND FOR THE DOCTOR, QUICK!",
        "I GUARANTEE IT!",
        "LISTEN YOU BIG PHONY! I WANT MY MONEY BACK!",
        "HE'S AFTER MY WAR STAMPS!",
        "WILL YOU MAIL THIS LETTER RIGHT AWAY?",
        "NOW MAKE OUT YOUR MEMBERSHIP CARD",
        "cut out the playing",
    ],
)
def test_speech_that_v1_takes_for_an_advertisement_is_none_in_v2(line):
    assert ads("v1", [line]) == [True]
    assert ads("v2", [line]) == [False]


@pytest.mark.parametrize(
    "line",
    [
        "SEND ONLY 25¢ TO BOX NO. 7, CHICAGO, ILL.",
        "free gift ! mail this coupon today",
        "YOUR SUBSCRIPTION TO MECHANIX ILLUSTRATED BY SENDING THE COUPON AND MONEY NOW",
        "only $ 1 . 98 postpaid , money back guarantee",
        "PLEASE SEND FOR 50 I ENCLOSE POSTPAID. NAME LIMIT 2 ADDRESS. TO A CUSTOMER. CITY",
    ],
)
def test_phrases_of_two_kinds_in_a_panel_make_the_page_an_advertisement_in_v2(line):
    assert ads("v2", ["you run", line, ""], ["I hide"]) == [True, True, True, False]
    assert ads("v1", ["you run", line.upper().replace("$ 1 . ", "$1."), ""], ["I hide"]) == [False, True, False, False]


def test_phrases_in_two_panels_of_a_story_do_not_add_up():
    assert ads("v2", ["I WANT MY MONEY BACK!", "SEND FOR THE DOCTOR!"]) == [False, False]


def test_a_listed_page_goes_whole_in_v2_and_stays_in_v1():
    assert ads("v2", ["a"], ["b", "c"], listed=[1]) == [False, True, True]
    assert ads("v1", ["a"], ["b", "c"], listed=[1]) == [False, False, False]


def test_on_pages_that_hold_stories_v2_flags_less_than_a_tenth_of_what_v1_flags(real_data):
    """The published dev fold has no listed ad pages: what is flagged there is nearly all speech."""
    panels = {}
    with (real_data / "official_folds" / "text_cloze_dev_easy.csv").open() as stream:
        for row in csv.DictReader(stream):
            for i in range(3):
                key = (int(row["book_id"]), int(row["page_id"]), int(row[f"context_panel_{i}_id"]))
                panels[key] = " ".join(row[f"context_text_{i}_{j}"] for j in range(3))
    keys = sorted(panels)
    spoken = capitals(texts(*(re.sub(r"\s+([.,!?;:])", r"\1", panels[key]) for key in keys)))
    pages = pages_of(np.array([key[0] for key in keys]), np.array([key[1] for key in keys]))
    v1, v2 = (ad_panels(rules, spoken, np.zeros(len(keys), bool), pages) for rules in ("v1", "v2"))
    flagged_pages = {keys[i][:2] for i in np.flatnonzero(v2)}
    assert v1.sum() == 37
    assert flagged_pages == {(3222, 4), (3342, 1)}  # opera glasses by mail; a subscription


def test_every_published_ad_page_is_read(real_data):
    pages = read_ad_pages(real_data / "predadpages.txt")
    assert len(pages) == len(set(pages)) == 13_200
    assert pages[0] == (3663, 59)


def test_a_line_that_is_no_page_is_named(tmp_path):
    (tmp_path / "ads.txt").write_text("1---2\n\n3-4\n")
    with pytest.raises(DataError, match=r"ads.txt, line 3: '3-4' is not `book---page`"):
        read_ad_pages(tmp_path / "ads.txt")


def test_a_missing_file_of_ad_pages_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_ad_pages(tmp_path / "ads.txt")
