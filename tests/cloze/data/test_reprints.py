import csv
import random
from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.data.reprints import MAX_BOOKS, join, reprint_groups, split_words
from tests.cloze.data.comics_files import sentence, texts


def story(seed, n_panels=40):
    return [sentence((seed, panel)) for panel in range(n_panels)]


def groups(books, tmp_path):
    rows = [(book, text) for book in sorted(books) for text in books[book]]
    columns = {"book": pa.array([book for book, _ in rows], pa.int32()), "text": pa.array([text for _, text in rows])}
    return reprint_groups(pa.table(columns), tmp_path)


def misread(text, seed, share):
    """The text with a letter exchanged in some of its words, as another scan is read."""
    chance = random.Random(seed)  # noqa: S311
    words = [word if chance.random() > share else word[:-1] + chance.choice("XQZ") for word in text.split()]
    return " ".join(words).replace(" ", chance.choice([" ", ", "]))


def test_a_story_reprinted_in_another_book_puts_both_in_one_group(tmp_path):
    books = {1: story(1) + story(2), 7: story(3) + story(2) + story(4), 9: story(5)}
    assert groups(books, tmp_path) == {1: 1, 7: 1, 9: 9}


def test_a_reprint_is_found_though_it_was_read_with_other_errors(tmp_path):
    again = [misread(text, i, share=0.10) for i, text in enumerate(story(1))]
    assert groups({1: story(1), 2: again[5:]}, tmp_path) == {1: 1, 2: 1}


def test_groups_reach_over_a_book_in_between(tmp_path):
    books = {4: story(1) + story(2), 5: story(2) + story(3), 6: story(3) + story(9)}
    assert groups(books, tmp_path) == {4: 4, 5: 4, 6: 4}


def test_the_same_panels_in_another_order_are_no_reprint(tmp_path):
    shuffled = story(1)
    random.Random(0).shuffle(shuffled)  # noqa: S311
    scattered = [line for pair in zip(shuffled, story(2), strict=True) for line in pair]
    assert groups({1: story(1, n_panels=40), 2: scattered}, tmp_path) == {1: 1, 2: 2}


def test_a_comic_strip_advertisement_in_many_books_joins_none(tmp_path):
    books = {book: story(book) + story(99, n_panels=20) for book in range(MAX_BOOKS + 1)}
    assert set(groups(books, tmp_path).values()) == set(books)


def test_short_lettering_says_nothing(tmp_path):
    books = {1: ["OH NO!", "HELP!"] * 20, 2: ["OH NO!", "HELP!"] * 20}
    assert groups(books, tmp_path) == {1: 1, 2: 2}


def test_the_sample_of_no_lettering_has_no_reprints(tmp_path):
    assert groups({1: ["", ""], 2: [""]}, tmp_path) == {1: 1, 2: 2}


def test_reprints_are_found_in_real_lettering_and_nothing_else(real_data, tmp_path):
    """The published dev fold holds a seventh of its books' panels, so fewer reprints reach the bar than there are."""
    panels = {}
    with (real_data / "official_folds" / "text_cloze_dev_easy.csv").open() as stream:
        for row in csv.DictReader(stream):
            for i in range(3):
                key = (int(row["book_id"]), int(row["page_id"]), int(row[f"context_panel_{i}_id"]))
                panels[key] = " ".join(row[f"context_text_{i}_{j}"] for j in range(3))
    books = defaultdict(list)
    for key in sorted(panels):
        books[key[0]].append(panels[key])
    found = defaultdict(list)
    for book, group in groups(books, tmp_path).items():
        found[group].append(book)
    assert [books for books in found.values() if len(books) > 1] == [
        [2950, 2972, 2974],
        [2978, 3006],
        [3135, 3249],
        [3221, 3222],
        [3246, 3255],
        [3362, 3363],
        [3396, 3397, 3398],
    ]


@pytest.mark.parametrize("text", ["", "É ça va?", "DON'T", "a1b", "...", "two\nlines"])
def test_words_are_cut_at_all_that_is_no_letter(text):
    letters = "".join(c if not c.isascii() else c.upper() if c.isalpha() else " " for c in text)
    assert split_words(texts("before", text, "after").slice(1, 1)).to_pylist() == [letters.strip().split(" ")]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_joined_books_share_the_smallest_number(pairs):
    leaders = join(list(range(10)), pairs)
    assert all(leaders[one] == leaders[other] for one, other in pairs)
    assert all(leaders[leader] == leader <= book for book, leader in leaders.items())
