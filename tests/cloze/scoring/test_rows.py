"""People's own files: three kinds, one meaning; what is wrong is refused by its line."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloze.errors import DataError
from cloze.scoring.rows import INDEPENDENT, read_rows

GOOD = [
    {"sequence_id": "7/1_2", "prediction": "a hat", "reference": "the hat, she said\nand left"},
    {"sequence_id": "8/0_0", "prediction": "", "reference": "\u2028x"},
]


def json_lines(tmp_path, rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def as_csv(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        'sequence_id,prediction,reference\n7/1_2,a hat,"the hat, she said\nand left"\n8/0_0,,\u2028x\n', "utf-8-sig"
    )
    return path


def as_parquet(tmp_path):
    pq.write_table(pa.Table.from_pylist(GOOD), tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


@pytest.mark.parametrize("write", [lambda folder: json_lines(folder, GOOD), as_csv, as_parquet])
def test_json_lines_csv_and_parquet_mean_the_same(tmp_path, write):
    rows = read_rows(write(tmp_path))
    assert (rows.ids, rows.predictions) == (["7/1_2", "8/0_0"], ["a hat", ""])
    assert rows.references == [row["reference"] for row in GOOD]
    assert (rows.clusters.tolist(), rows.clustered_by) == (["7", "8"], "book of the sequence_id")


@pytest.mark.parametrize(
    ("extra", "ids", "clusters", "by"),
    [
        ({"book": 3}, ["a", "b"], ["3", "3"], "book"),
        ({"book": 3, "group": "x"}, ["a", "b"], ["x", "x"], "group"),
        ({}, ["1/2_3", "b"], ["1/2_3", "b"], INDEPENDENT),
    ],
)
def test_rows_say_what_they_depend_on_or_it_is_said_that_they_do_not(tmp_path, extra, ids, clusters, by):
    rows = read_rows(json_lines(tmp_path, [GOOD[0] | {"sequence_id": key} | extra for key in ids]))
    assert (rows.clusters.tolist(), rows.clustered_by) == (clusters, by)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"sequence_id": "9", "prediction": "x"}, "no reference .found: sequence_id, prediction."),
        (GOOD[0] | {"sequence_id": "9", "prediction": None}, "prediction is NULL; an empty text was expected"),
        (GOOD[0] | {"sequence_id": "9", "reference": None}, "reference is NULL"),
        (GOOD[0] | {"sequence_id": 9}, "sequence_id is 9; a text was expected"),
        (GOOD[0] | {"sequence_id": " "}, "sequence_id is empty"),
        (GOOD[0] | {"sequence_id": "9", "prediction": "\ud800"}, "prediction is not Unicode text"),
        (GOOD[0], "sequence_id 7/1_2 is there already in line 1"),
        ('{"sequence_id": \n', "not JSON .Expecting value"),
        ("[1]\n", "not a JSON object; one object a line was expected"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path, bad, message):
    with pytest.raises(DataError, match=rf"rows.jsonl: line 3: {message}"):
        read_rows(json_lines(tmp_path, [*GOOD, bad]))


def test_a_line_that_is_not_utf8_is_refused_by_its_number(tmp_path):
    path = json_lines(tmp_path, GOOD)
    path.write_bytes(path.read_bytes() + b'{"sequence_id": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"line 3: not UTF-8: byte 0xe9 at place 20; save the file as UTF-8"):
        read_rows(path)


def test_a_book_that_only_some_rows_have_is_refused(tmp_path):
    with pytest.raises(DataError, match="line 2: no book, which other rows have"):
        read_rows(json_lines(tmp_path, [GOOD[0] | {"book": 0}, GOOD[1]]))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", "\n", "holds no rows; nothing can be scored"),
        ("rows.csv", "sequence_id,prediction,reference\n1,2\n", "line 2: reference is NULL"),
        ("rows.csv", "sequence_id,prediction,reference\n1,2,3,4\n", "line 2: more fields than the first line names"),
        ("rows.csv", 'sequence_id,prediction,reference\n1,2,"3', r"line 2: not CSV \(unexpected end of data\)"),
        ("rows.parquet", "x", "not a Parquet file"),
        ("rows.txt", "x", "has the suffix '.txt'; one of .jsonl, .csv, .parquet was expected"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_rows(tmp_path / "rows.jsonl")
