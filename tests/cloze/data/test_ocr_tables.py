import json

import pytest

from cloze.data.ocr_tables import BOX_COLUMNS, PANEL_COLUMNS, find_ocr_table, read_lettering
from cloze.errors import DataError
from tests.cloze.data.comics_files import box, read_panel, write_csv


def boxes(tmp_path, *rows):
    return read_lettering(write_csv(tmp_path / "ocr.csv", rows)).to_pylist()


def panels(tmp_path, *rows):
    return read_lettering(write_csv(tmp_path / "ocr.csv", rows)).to_pylist()


def test_boxes_are_joined_in_their_order_and_kept_with_their_place(tmp_path):
    rows = [
        box("1/2_3", " there! ", 1, dialog_or_narration=2),
        box("1/2_3", "HELLO", 0, x1="7.5"),
        box("1/2_3", "", 2, dialog_or_narration=0),
    ]
    (panel,) = boxes(tmp_path, *rows)
    assert (panel["book"], panel["page"], panel["panel"], panel["text"]) == (1, 2, 3, "HELLO there!")
    assert [(b["kind"], b["text"], b["x1"]) for b in panel["bubbles"]] == [
        ("dialogue", "HELLO", 7.5),
        ("narration", "there!", 1.0),
        ("unknown", "", 1.0),
    ]


def test_a_panel_without_text_may_have_no_box(tmp_path):
    rows = [box("1/2_3", "", ""), box("1/2_4", "HELLO")]
    assert [(panel["text"], len(panel["bubbles"])) for panel in boxes(tmp_path, *rows)] == [("", 0), ("HELLO", 1)]


def test_panels_are_sorted_by_number_wherever_they_stand(tmp_path):
    rows = [box("10/1_0", "c"), box("2/10_0", "b"), box("2/9_11", "a2", 1), box("2/9_11", "a1", 0)]
    assert [panel["text"] for panel in boxes(tmp_path, *rows)] == ["a1 a2", "b", "c"]


def test_text_may_hold_quotes_commas_and_line_breaks(tmp_path):
    text = 'HE SAID "GO",\nAND\r\nWENT; É ¢ 😀'
    assert boxes(tmp_path, box("1/1_0", text))[0]["text"] == text
    assert panels(tmp_path, read_panel("1/1_0", text))[0]["text"] == text


def test_a_panel_table_gives_text_path_and_boxes_without_corners(tmp_path):
    said = {"bubbles": [{"type": "sign", "text": "BANK"}, {"type": "thought", "text": None, "raw_text": "x"}]}
    (panel,) = panels(tmp_path, read_panel("5/1_0", "BANK", bubbles_json=json.dumps(said)))
    assert (panel["text"], panel["image"]) == ("BANK", "raw_panel_images/5/1_0.jpg")
    nowhere = dict.fromkeys(("x1", "y1", "x2", "y2"))
    assert panel["bubbles"] == [{"kind": "sign", "text": "BANK"} | nowhere, {"kind": "unknown", "text": ""} | nowhere]


@pytest.mark.parametrize("more", [{"bubbles_json": ""}, {"agg_text": ""}, {"img_path": ""}])
def test_a_panel_table_may_leave_out_what_is_not_known(more, tmp_path):
    (panel,) = panels(tmp_path, read_panel("5/1_0", "BANK", **more))
    assert panel["text"] == more.get("agg_text", "BANK")


@pytest.mark.parametrize("missing", BOX_COLUMNS)
def test_a_missing_column_is_named(missing, tmp_path):
    row = {name: value for name, value in box("1/2_3").items() if name != missing}
    with pytest.raises(DataError, match=rf"ocr.csv: no column {missing} \(found: .*\); expected comic_no, "):
        boxes(tmp_path, row)


@pytest.mark.parametrize("missing", [name for name in PANEL_COLUMNS if name != "agg_text"])
def test_a_missing_column_of_a_panel_table_is_named(missing, tmp_path):
    row = {name: value for name, value in read_panel("1/2_3").items() if name != missing}
    with pytest.raises(DataError, match=f"no column {missing} "):
        panels(tmp_path, row)


@pytest.mark.parametrize("value", ["two", "1.5", "-1", "", "12345678901", "1e2", "0x1"])
@pytest.mark.parametrize("make", [box, read_panel])
def test_a_page_that_is_no_whole_number_is_named_with_its_row(make, value, tmp_path):
    rows = [make("1/1_0"), make("1/2_0"), make("1/3_0", page_no=value), make("1/4_0", page_no=value)]
    path = write_csv(tmp_path / "ocr.csv", rows)
    with pytest.raises(DataError, match=r"ocr.csv, row 4 and 1 more: page_no is .*; expected a whole number from 0"):
        read_lettering(path)


@pytest.mark.parametrize("value", ["left", "nan", "inf", "1,5", "1e99"])
def test_a_corner_that_is_no_number_is_named_with_its_row(value, tmp_path):
    with pytest.raises(DataError, match=r"row 3: x2 is .*; expected a number"):
        boxes(tmp_path, box("1/1_0"), box("1/2_0", x2=value))


def test_a_box_with_text_and_no_number_is_named(tmp_path):
    with pytest.raises(DataError, match="row 2: textbox_no is ''"):
        boxes(tmp_path, box("1/1_0", "HELLO", ""))


def test_the_same_box_twice_is_named_with_both_rows(tmp_path):
    rows = [box("1/1_0", "A", 0), box("1/1_0", "B", 1), box("1/2_0", "C", 0), box("1/1_0", "D", "01")]
    with pytest.raises(
        DataError, match="rows 3 and 5: both are comic_no 1, page_no 1, panel_no 0, textbox_no 1; leave one"
    ):
        boxes(tmp_path, *rows)


def test_the_same_panel_twice_is_named_with_both_rows(tmp_path):
    with pytest.raises(DataError, match="rows 2 and 4: both are comic_no 1, page_no 1, panel_no 0"):
        panels(tmp_path, read_panel("1/1_0", "A"), read_panel("1/1_1"), read_panel("1/1_0", "B"))


@pytest.mark.parametrize(
    "value", ["/etc/passwd", "../../secret.jpg", "raw_panel_images/../../x.jpg", "C:\\x.jpg", "a/.."]
)
def test_a_path_that_leaves_the_root_is_named_with_its_row(value, tmp_path):
    with pytest.raises(DataError, match=r"ocr.csv, row 3, img_path: the picture's path .* leaves its root"):
        panels(tmp_path, read_panel("1/1_0"), read_panel("1/1_1", img_path=value))


@pytest.mark.parametrize("value", ["{", "[]", '{"bubbles": 3}', '{"bubbles": ["x"]}', '{"text": "x"}', "null"])
def test_boxes_that_are_not_json_are_named_with_their_row(value, tmp_path):
    with pytest.raises(DataError, match=r"row 3: bubbles_json is .*; expected \{\"bubbles\""):
        panels(tmp_path, read_panel("1/1_0"), read_panel("1/1_1", bubbles_json=value))


def test_a_row_with_a_field_too_few_or_bytes_that_are_not_utf8_are_errors(tmp_path):
    path = write_csv(tmp_path / "ocr.csv", [box("1/1_0"), box("1/2_0")])
    good = path.read_bytes()
    path.write_bytes(good + b"1,3,0\r\n")
    with pytest.raises(DataError, match=r"Row #4: Expected 10 columns, got 3"):
        read_lettering(path)
    path.write_bytes(good + b"1,3,0,0,1,\xff\xfe,0,0,0,0\r\n")
    with pytest.raises(DataError, match=r"Row #4: .*invalid UTF8"):
        read_lettering(path)


def test_a_table_that_was_cut_off_inside_a_text_is_an_error(tmp_path):
    path = write_csv(tmp_path / "ocr.csv", [box("1/1_0"), box("1/2_0", 'A, "LONG" TEXT')])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="Expected 10 columns"):
        read_lettering(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00"])
def test_a_file_without_a_header_is_an_error(content, tmp_path):
    (tmp_path / "ocr.csv").write_bytes(content)
    with pytest.raises(DataError, match="has no header"):
        read_lettering(tmp_path / "ocr.csv")


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = write_csv(tmp_path / "ocr.csv", [box("1/1_0", "HELLO")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_lettering(path)["text"].to_pylist() == ["HELLO"]


def test_the_ocr_table_of_a_folder_is_found_by_name_or_by_columns(tmp_path):
    write_csv(tmp_path / "._ocr.csv", [box("1/1_0")])
    write_csv(tmp_path / "notes.csv", [{"comic_no": 1, "text": "x"}])
    with pytest.raises(DataError, match=r"^here: holds no OCR table: no COMICS_ocr_file.csv or ocr.csv"):
        find_ocr_table(tmp_path, "here")
    write_csv(tmp_path / "wave1.csv", [read_panel("1/1_0")])
    assert find_ocr_table(tmp_path, "here").name == "wave1.csv"
    write_csv(tmp_path / "wave2.csv", [box("1/1_0")])
    with pytest.raises(DataError, match=r"several OCR tables \(wave1.csv, wave2.csv\); name one with ocr=FILE"):
        find_ocr_table(tmp_path, "here")
    write_csv(tmp_path / "ocr.csv", [box("1/1_0")])
    assert find_ocr_table(tmp_path, "here").name == "ocr.csv"


def test_both_real_tables_are_read(real_data):
    comics = real_data / "real_comics"
    with_boxes = read_lettering(comics / "ocr.csv")
    assert with_boxes.num_rows == 131
    assert read_lettering(comics / "text_only_golden_age.csv").num_rows == 523
    first = with_boxes.slice(0, 1).to_pylist()[0]
    assert first["text"].startswith('IT SEEMS WE HAVE WON WHAT THEY CALL A "BEACH HEAD" YEP! NOW THAT COVE!')
    assert len(first["bubbles"]) == 5
