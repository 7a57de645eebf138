"""Items of any comics: the right lettering among that of other books, or of the pages around."""

import re
from typing import Any

import pytest

from cloze.closed_tasks.examination import examine
from cloze.closed_tasks.sequence_items import read_sequences
from cloze.closed_tasks.settings import ClosedTaskSettings
from cloze.errors import DataError, SettingsError
from cloze.tables import table, write_table

N_PAGES, N_PANELS = 6, 3


def said(book: int, page: int, panel: int) -> str:
    return f"hero{book} town{book} leaf{page} box{panel}"


def place(text: str) -> list[int]:
    """Book, page and panel of lettering."""
    return [int(number) for number in re.findall(r"\d+", text)[1:]]


def make_rows(books: dict[int, int], split: str = "test") -> list[dict[str, Any]]:
    """Sequences of six panels through books, each of its group."""
    rows = []
    for book, group in books.items():
        panels = [
            {
                "panel_id": f"{book}/{page}_{panel}",
                "image": f"{book}/{page}_{panel}.jpg",
                "text": said(book, page, panel),
            }
            for page in range(N_PAGES)
            for panel in range(N_PANELS)
        ]
        for last in range(5, len(panels)):
            target = panels[last]
            ids = {"sequence_id": target["panel_id"], "book": book, "story": 1, "group": group, "split": split}
            rows.append(ids | {"context": panels[last - 5 : last], "target": target})
    return rows


@pytest.fixture
def write(tmp_path):
    def written(rows, name="sequences"):
        write_table(table("sequences", rows, str(tmp_path)), tmp_path / f"{name}.parquet")
        return tmp_path / f"{name}.parquet"

    return written


def test_easy_items_take_wrong_lettering_from_other_books_and_reprints_are_the_same_book(write):
    items = read_sequences(write(make_rows({1: 1, 2: 1, 3: 3})), "test", "easy", 0).items
    assert len(items) == 3 * 13
    for item in items:
        assert item.item_id.startswith(f"{place(item.candidates[item.answer][0])[0]}/")
        wrong = {place(text)[0] for k, (text,) in enumerate(item.candidates) if k != item.answer}
        assert wrong <= ({3} if item.book == 1 else {1, 2})
        assert len(set(item.candidates)) == 3


def test_hard_items_take_it_from_the_pages_around_but_not_from_their_own(write):
    items = read_sequences(write(make_rows({1: 1, 2: 2})), "test", "hard", 0).items
    distances = set()
    for item in items:
        book, page = map(int, item.item_id.partition("_")[0].split("/"))
        for k, (text,) in enumerate(item.candidates):
            its_book, its_page, _ = place(text)
            assert its_book == book
            if k != item.answer:
                distances.add(abs(its_page - page))
    assert distances == {1, 2, 3}


def test_items_depend_on_the_seed_and_not_on_the_order_of_the_table(write):
    rows = make_rows({1: 1, 2: 2})
    one = read_sequences(write(rows), "test", "easy", 0).items
    other = read_sequences(write(rows[::-1], "reversed"), "test", "easy", 0).items
    assert one == other[::-1]
    assert one != read_sequences(write(rows, "again"), "test", "easy", 1).items
    assert {item.answer for item in one} == {0, 1, 2}


def test_what_gives_no_item_is_counted(write):
    rows = make_rows({1: 1, 2: 2})
    rows[0]["target"] = rows[0]["target"] | {"text": "too short"}
    made = read_sequences(write(rows), "test", "easy", 0)
    assert (len(made.items), made.n_without) == (25, 1)


def test_a_table_that_gives_none_is_refused(write):
    alone = write(make_rows({1: 1}))
    with pytest.raises(DataError, match=r"no sequence of split test gives an item \(13 looked at\); try"):
        read_sequences(alone, "test", "easy", 0)
    with pytest.raises(DataError, match=r"no sequence of split val gives an item \(0 looked at\)"):
        read_sequences(alone, "val", "hard", 0)
    with pytest.raises(DataError, match=r"sequence 1/1_2 is there twice"):
        read_sequences(write(make_rows({1: 1}) * 2, "twice"), "test", "hard", 0)


def test_any_comics_are_examined(write, tmp_path):
    path = write(make_rows({1: 1, 2: 2, 3: 3}))
    found = examine("text-cloze", path, ClosedTaskSettings(split="all"), tmp_path).summary
    # "hero1" and "town1" stand in the right candidate only.
    assert (found["accuracy"], found["n"], found["n_books"], found["items_not_made"]) == (1.0, 39, 3, 0)
    with pytest.raises(SettingsError, match="it must be text-cloze where items are made from sequences"):
        examine("character-coherence", path, ClosedTaskSettings(), tmp_path)
