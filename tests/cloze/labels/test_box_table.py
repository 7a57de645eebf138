import csv

from cloze.data.ocr_tables import read_lettering
from cloze.labels.answers import State
from cloze.labels.balloons import Balloon, Box
from cloze.labels.box_table import write_box_table
from cloze.labels.reader import Reading, Unread
from tests.cloze.data.comics_files import box, read_panel, write_csv

SAID = (
    Balloon("narration", "LATER...", Box(1, 2, 30.25, 9)),
    Balloon("dialogue", 'HE SAID "NO, NO"', Box(5, 10, 20, 30)),
)


def reading(panel, state=State.OK, balloons=SAID):
    return Reading(Unread(1, 1, panel, f"1/1_{panel}.jpg"), state, balloons)


def rewritten(folder, rows, readings=()):
    old = read_lettering(write_csv(folder / "old.csv", rows))
    write_box_table(folder / "new.csv", old, readings)
    return old, read_lettering(folder / "new.csv")


def test_rows_that_were_known_stay_as_they_were(tmp_path):
    rows = [
        box("1/1_0", "HALT!\nWHO GOES?", 0, x1=76.3, y2=1023.75),
        box("1/1_0", "", 1, dialog_or_narration=2),
        box("1/1_1", '  BOOM, SAID "HE" ', 7, dialog_or_narration="", x1="", y1=""),
        box("1/1_2", "", ""),
    ]
    old, new = rewritten(tmp_path, rows)
    assert new.equals(old)


def test_the_text_of_a_table_by_panel_stays_as_it_was(tmp_path):
    spelt = read_panel("1/1_0", "A B", bubbles_json='{"bubbles": [{"type": "narration", "text": "A"}, {"text": "B"}]}')
    old, new = rewritten(tmp_path, [spelt, read_panel("1/1_1", "ONLY HERE"), read_panel("1/1_2")])
    assert new["text"] == old["text"]
    assert [[b["kind"] for b in boxes] for boxes in new["bubbles"].to_pylist()] == [
        ["narration", "unknown"],
        ["unknown"],
        [],
    ]


def test_panels_that_were_read_take_their_place_and_others_nothing(tmp_path):
    rows = [box("1/1_0", "OLD"), box("1/1_2", "KEPT"), box("1/1_4", "LAST")]
    readings = [
        reading(0),
        reading(1, State.EMPTY, ()),
        reading(2, State.FAILED, ()),
        reading(3),
    ]
    _, new = rewritten(tmp_path, rows, readings)
    said = 'LATER... HE SAID "NO, NO"'
    assert dict(zip(new["panel"].to_pylist(), new["text"].to_pylist(), strict=True)) == {
        0: said, 1: "", 2: "KEPT", 3: said, 4: "LAST"
    }  # fmt: skip


def test_boxes_are_numbered_in_reading_order_with_their_kind_and_place(tmp_path):
    write_box_table(tmp_path / "new.csv", None, [reading(3), reading(1, State.EMPTY, ())])
    with (tmp_path / "new.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["comic_no", "page_no", "panel_no", "textbox_no", "dialog_or_narration", "text", "x1", "y1", "x2", "y2"],
        ["1", "1", "1", "", "", "", "", "", "", ""],
        ["1", "1", "3", "0", "2", "LATER...", "1.0", "2.0", "30.2", "9.0"],
        ["1", "1", "3", "1", "1", 'HE SAID "NO, NO"', "5.0", "10.0", "20.0", "30.0"],
    ]
