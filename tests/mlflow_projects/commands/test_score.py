"""`cloze score` as a person calls it."""

import csv
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from rouge_score.rouge_scorer import RougeScorer

from cloze.scoring.metrics import DEFAULT, text_scores
from mlflow_projects.cli import main


def call(*arguments):
    return CliRunner().invoke(main, ["score", *map(str, arguments)])


def write(folder, rows):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def rows(tmp_path):
    """Three books of four panels; the first reference of each book has no words."""
    texts = [f"book {book} has the hat {page}" for book in range(3) for page in range(4)]
    return write(
        tmp_path,
        [
            {
                "sequence_id": f"{i // 4}/{i % 4}_0",
                "prediction": text if i != 5 else "",
                "reference": text.replace("has", "had") if i % 4 else "! !",
            }
            for i, text in enumerate(texts)
        ],
    )


@pytest.fixture
def real_rows(real_data, tmp_path):
    lines = (real_data / "predictions" / "original_study.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    fields = ("prediction", "reference")
    return write(
        tmp_path,
        [{"sequence_id": r["id"], "book": r["comic_no"], **{field: r[field] for field in fields}} for r in rows],
    )


def test_each_real_row_has_exactly_the_scores_of_the_packages(real_rows):
    done = call(real_rows, "--per-row", "--format", "jsonl")
    assert done.exit_code == 0, done.output
    given = [json.loads(line) for line in real_rows.read_text().splitlines()]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["sequence_id"] for row in found] == [row["sequence_id"] for row in given]
    oracle = RougeScorer(["rouge2"], use_stemmer=True)
    ours = text_scores([row["prediction"] for row in given], [row["reference"] for row in given])
    for i, (row, source) in enumerate(zip(found, given, strict=True)):
        expected = {metric: None if math.isnan(ours[metric][i]) else ours[metric][i] for metric in DEFAULT}
        assert row == {"sequence_id": source["sequence_id"], **expected}
        assert row["rouge2"] in (None, oracle.score(source["reference"], source["prediction"])["rouge2"].fmeasure)
    assert "210 rows, 74 clusters, 83 empty predictions, 8 empty references" in done.stderr


def test_together_rows_have_floors_lift_and_intervals(rows):
    done = call(rows, "--format", "json", "--metrics", "bleu,sacrebleu,rouge1")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["rows"], found["clusters"], found["empty_predictions"], found["empty_references"]) == (12, 3, 1, 3)
    assert found["clustered_by"] == "book of the sequence_id"
    assert [record["metric"] for record in found["metrics"]] == ["rouge1", "bleu", "sacrebleu"]
    for record in found["metrics"]:
        assert record["ci_low"] <= record["score"] <= record["ci_high"]
        best = max(record["floor_foreign"], record["floor_length"])
        assert record["lift"] == pytest.approx(record["score"] - best)
        assert record["signature"].startswith(f"{record['metric']}|")
    assert found["metrics"][0]["score"] == pytest.approx(np.mean([5 / 6] * 8 + [0]))


def test_the_table_is_for_people_and_csv_for_programs(rows):
    table = call(rows).stdout.splitlines()
    assert table[0].split() == [
        "metric",
        "score",
        "ci_low",
        "ci_high",
        "floor_foreign",
        "floor_length",
        "lift",
        "lift_ci_low",
        "lift_ci_high",
    ]
    assert table[1].split()[:2] == ["rouge1", "0.7407"]
    per_row = list(csv.DictReader(call(rows, "--per-row", "--format", "csv").stdout.splitlines()))
    assert (per_row[0]["rouge1"], per_row[1]["rouge1"]) == ("", repr(5 / 6))


def test_rows_of_one_book_have_scores_but_neither_floor_nor_interval(tmp_path):
    path = write(tmp_path, [{"sequence_id": f"7/{i}_0", "prediction": "a", "reference": "a b"} for i in range(3)])
    record = json.loads(call(path, "--format", "jsonl", "--metrics", "rouge1").stdout)
    assert record["score"] == pytest.approx(2 / 3)
    assert {name for name, value in record.items() if value is None} == {*record} - {"metric", "score", "signature"}


def test_that_rows_were_taken_as_independent_is_said(tmp_path):
    path = write(tmp_path, [{"sequence_id": f"{i}", "prediction": "a", "reference": "a b"} for i in range(3)])
    assert "clustered by nothing: rows were taken as independent" in call(path).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", "rouge1,meteor"], "metrics is 'rouge1,meteor'; it must be a comma-separated list of rouge1,"),
        (["--metrics", ""], "metrics is ''"),
        (["--metrics", "bleu,bleu"], "each once"),
        (["--metrics", "sacrebleu", "--per-row"], "it is of all rows; take sacrebleu_sentence"),
        (["--metrics", "bertscore_f1", "--encoder", "/nowhere"], "encoder /nowhere: no such folder"),
    ],
)
def test_what_cannot_be_scored_exits_with_2_and_says_why(rows, arguments, message):
    done = call(rows, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_references_without_a_word_cannot_be_scored(tmp_path):
    done = call(write(tmp_path, [{"sequence_id": "1", "prediction": "a", "reference": ""}]))
    assert done.exit_code == 2
    assert "no reference has a word; nothing can be scored" in done.stderr
