"""Folds are read as published, and nothing that is not one."""

import pytest

from cloze.closed_tasks.items import CHARACTER_COHERENCE, TEXT_CLOZE, Panel, letter_orders, read_fold
from cloze.errors import DataError
from tests.cloze.closed_tasks.folds import columns, order_row, text_row, write_fold


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fold.csv"


def test_a_row_is_an_item_with_its_pictures_and_without_unknown_words(path):
    (item,) = read_fold(write_fold(path, [text_row()]), TEXT_CLOZE)
    assert (item.item_id, item.book, item.answer) == ("7/4_3", 7, 1)
    assert item.context[0] == Panel("7/4_0", "7/4_0.jpg", ("the spirit hides the treasure",))
    assert item.context[1].boxes == ()
    assert item.context_text == "the spirit hides the treasure halt , spirit !"
    assert item.candidates[1] == ("where is the treasure , spirit ?",)


def test_the_published_dev_fold_has_10092_items_of_486_books(real_data):
    items = read_fold(real_data / "official_folds" / "text_cloze_dev_easy.csv", TEXT_CLOZE)
    assert (len(items), len({item.book for item in items})) == (10_092, 486)
    assert all(len(item.candidates) == 3 and all(boxes[0] for boxes in item.candidates) for item in items)
    assert not any("UNK" in item.context_text.split() for item in items)


def test_both_orders_of_two_boxes_are_candidates(path):
    rows = [order_row(3, ("who is it ?", "it is me ."), {2: ("knock , knock",)}, answer=0)]
    (item,) = read_fold(write_fold(path, rows, CHARACTER_COHERENCE), CHARACTER_COHERENCE)
    assert item.candidates == (("it is me .", "who is it ?"), ("who is it ?", "it is me ."))


def test_the_printed_order_of_a_panel_is_known_where_it_is_context_of_another_item(path):
    boxes = {n: (f"first {n}", f"second {n}") for n in (3, 4)}
    rows = [order_row(panel, boxes[panel], boxes, answer=0) for panel in (3, 4)]
    orders = letter_orders(read_fold(write_fold(path, rows, CHARACTER_COHERENCE), CHARACTER_COHERENCE))
    assert orders["7/4_3"] == boxes[3]
    assert "7/4_4" not in orders


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (text_row(answer=3), "row 3, column correct_answer: 3; it must be 0 to 2"),
        (text_row(answer="one"), "row 3, column correct_answer: 'one'; a whole number was expected"),
        (text_row(answer="-1"), "row 3, column correct_answer: '-1'; a whole number was expected"),
        (text_row(book="²"), "row 3, column book_id: '²'; a whole number"),
        (text_row(answer_candidate_2_text=" "), "row 3, column answer_candidate_2_text: ' '; a candidate must have"),
        (text_row(answer_candidate_0_text="UNK UNK"), "row 3, column answer_candidate_0_text: 'UNK UNK'; a candidate"),
        (text_row(panel=9), r"row 3: item 7/4_9 is there twice \(first in row 2\)"),
    ],
)
def test_a_bad_row_is_named_with_its_column(path, row, message):
    write_fold(path, [text_row(panel=9), row])
    with pytest.raises(DataError, match=f"fold.csv: {message}"):
        read_fold(path, TEXT_CLOZE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "fold.csv: is empty"),
        (b"\n \n", "fold.csv: is empty"),
        (b"book_id,page_id\n1,2\n", "fold.csv: no column answer_panel_id, .* \\(found: book_id, page_id\\)"),
        (",".join(columns("text-cloze")).encode() + b"\n", "fold.csv: has a header and no items"),
        (",".join(columns("text-cloze")).encode() + b"\n1,2\n", "row 2: 2 fields, but the header has 19"),
        (",".join([*columns("text-cloze"), "page_id"]).encode() + b"\n", "several columns page_id"),
        (",".join(columns("text-cloze")).encode() + b"\n1,\xff\n", "fold.csv: line 2: not UTF-8 \\(byte 0xff\\)"),
        (",".join(columns("text-cloze")).encode() + b'\n1,"a"b\n', "fold.csv: line 2: not CSV"),
        (",".join(columns("text-cloze")).encode() + b'\n1,"a\n', "fold.csv: line 2: not CSV \\(unexpected end"),
    ],
)
def test_a_file_that_is_no_fold_is_refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_fold(path, TEXT_CLOZE)


def test_a_file_that_is_not_there_is_named(path):
    with pytest.raises(DataError, match=r"fold\.csv: no such file; a fold"):
        read_fold(path, TEXT_CLOZE)


def test_a_fold_of_the_other_task_is_refused_with_the_command_that_takes_it(path):
    write_fold(path, [text_row()])
    remedy = f"a fold of text-cloze, not of character-coherence; `cloze closed-task text-cloze {path}`"
    with pytest.raises(DataError, match=remedy):
        read_fold(path, CHARACTER_COHERENCE)
