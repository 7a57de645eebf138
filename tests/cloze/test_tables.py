import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloze.digests import file_digest
from cloze.errors import DataError
from cloze.tables import (
    MADE_BY,
    SCHEMAS,
    images_uri,
    prompt_of,
    read_table,
    table,
    with_images,
    with_prompt,
    write_table,
)

FACT = {"panel_id": "1/2_3", "fact": "action", "value": "digs", "seen_in": "picture"}


def test_every_table_says_which_entry_point_makes_it():
    assert MADE_BY.keys() == SCHEMAS.keys()


def test_a_written_table_is_read_back_with_where_its_pictures_lie(tmp_path):
    write_table(table("facts", [FACT], images="gs://bucket/x"), tmp_path / "facts.parquet")
    found = read_table(tmp_path / "facts.parquet", "facts")
    assert found.to_pylist() == [FACT]
    assert images_uri(found) == "gs://bucket/x"
    assert images_uri(with_images(found, "")) == ""


def test_predictions_say_what_was_asked_and_where_the_pictures_lie(tmp_path):
    rows = [{"sequence_id": "1/2_3", "prediction": "Ann", "finish_reason": "stop"}]
    write_table(
        with_prompt(table("predictions", rows, "gs://bucket/x"), "Say “what”"), tmp_path / "predictions.parquet"
    )
    found = read_table(tmp_path / "predictions.parquet", "predictions", ["sequence_id"])
    assert (images_uri(found), prompt_of(found)) == ("gs://bucket/x", "Say “what”")
    assert prompt_of(table("predictions", rows)) == ""


def test_bytes_that_are_no_utf8_are_found_inside_of_structures_too(tmp_path):
    words = pa.array([b"fine", b"caf\xe9"], pa.binary())
    damaged = pa.StringArray.from_buffers(2, words.buffers()[1], words.buffers()[2])
    ref = pa.StructArray.from_arrays(
        [pa.array(["1/1_1", "1/1_2"]), pa.array(["a", "b"]), damaged], ["panel_id", "image", "text"]
    )
    pq.write_table(pa.table({"target": ref}), tmp_path / "sequences.parquet")
    with pytest.raises(DataError, match=r"sequences.parquet: row 1: column target is not UTF-8 text"):
        read_table(tmp_path / "sequences.parquet", "sequences", ["target"])


def test_the_same_table_has_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_table(table("facts", [FACT] * 100), tmp_path / name)
    assert file_digest(tmp_path / "a") == file_digest(tmp_path / "b")


def test_a_result_is_never_overwritten_and_nothing_partial_is_left(tmp_path):
    write_table(table("facts", [FACT]), tmp_path / "facts.parquet")
    with pytest.raises(FileExistsError):
        write_table(table("facts", []), tmp_path / "facts.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["facts.parquet"]


def test_a_row_without_a_needed_value_is_refused():
    with pytest.raises((pa.ArrowInvalid, ValueError)):
        table("panels", [{"panel_id": None, "book": "x"}])


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"panel_id": ["1"], "fact": ["x"], "value": ["y"]},
            r"no column seen_in \(found: panel_id, fact, value\); `mlflow",
        ),
        ({**{name: [value] for name, value in FACT.items()}, "fact": [1]}, "column fact is int64, not string"),
    ],
)
def test_a_table_of_another_form_is_an_error_that_says_what_makes_one(columns, expected, tmp_path):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=expected):
        read_table(tmp_path / "t.parquet", "facts")


def test_a_missing_file_and_one_that_is_no_parquet_are_errors(tmp_path):
    with pytest.raises(
        DataError, match=r"no such file; a panels table was expected; `mlflow run . -e ingest` makes one"
    ):
        read_table(tmp_path / "p.parquet", "panels")
    (tmp_path / "p.parquet").write_text("panel_id\n1/2_3\n")
    with pytest.raises(DataError, match="not a Parquet file"):
        read_table(tmp_path / "p.parquet", "panels")


def test_only_wanted_columns_are_read_and_asked_for(tmp_path):
    pq.write_table(pa.table({"panel_id": ["1"], "more": [2]}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", "facts", ["panel_id"]).column_names == ["panel_id"]


def test_settings_modules_of_data_load_nothing_heavy():
    heavy = "torch transformers mlflow pandas matplotlib duckdb PIL pyarrow.compute"
    code = (
        f"import sys, cloze.data.panels, cloze.data.sequences;print(sorted(set('{heavy}'.split()) & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
