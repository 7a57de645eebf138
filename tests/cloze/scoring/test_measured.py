"""Measures of predictions stand beside those of labels; predictions that are no answer are counted and told."""

import logging

import numpy as np
import pytest

from cloze.labels.prompts import instructions
from cloze.scoring.measured import SUSPECTS
from cloze.tables import read_table, table, with_prompt, write_table
from tests.cloze.scoring.tiny import label, prediction, run, sequence, write

TEXTS = ["Then Ann waves to Bob again.", "Then Ann waves.", ""]
LABELS = ["Then Ann waves to Bob.", "Then Bob waves.", "Nobody waves."]


@pytest.fixture
def inputs(tmp_path):
    rows = [sequence(book, 0, ["ANN!", "WAVES TO BOB AGAIN", "THE END"]) for book in (1, 2, 3)]
    ids = [row["sequence_id"] for row in rows]
    return {
        "sequences": write(tmp_path, "sequences", rows),
        "predictions": write(tmp_path, "predictions", list(map(prediction, ids, TEXTS))),
        "pred_labels": write(tmp_path, "labels", list(map(label, ids, LABELS))),
    }


def test_predictions_and_labels_are_measured_and_compared_pair_by_pair(inputs, tmp_path):
    metrics = run(tmp_path, **inputs)
    assert metrics["measure/words/prediction"] == pytest.approx(9 / 3)
    assert metrics["measure/words/pred"] == pytest.approx(10 / 3)
    assert metrics["difference/words/pred"] == pytest.approx(-1 / 3)
    assert metrics["ci_low/difference/words/pred"] <= -1 / 3 <= metrics["ci_high/difference/words/pred"]
    assert metrics["measure/length_ratio/pred"] == pytest.approx(0.9)
    assert metrics["measure/copy4/prediction"] == pytest.approx((1 / 3) / 1)  # one text has four words


def test_the_table_holds_what_the_means_are_of(inputs, tmp_path):
    metrics = run(tmp_path, **inputs)
    rows = read_table(tmp_path / "out" / "measures.parquet", "measures").to_pandas()
    means = rows.groupby(["measure", "text"])["value"].mean()
    assert len(means) >= 15
    assert all(metrics[f"measure/{'/'.join(key)}"] == pytest.approx(mean) for key, mean in means.items())
    assert len(rows) == 3 * len(means)


def test_a_label_that_is_missing_is_not_a_label_of_0_words(inputs, tmp_path):
    rows = [label("1/0_2", LABELS[0]), label("2/0_2", None, state="blocked"), label("3/0_2", LABELS[2])]
    metrics = run(tmp_path, **inputs | {"pred_labels": write(tmp_path, "labels", rows, "some")})
    assert metrics["measure/words/pred"] == pytest.approx((5 + 2) / 2)
    assert metrics["difference/words/pred"] == pytest.approx((1 - 2) / 2)
    assert metrics["measure/length_ratio/pred"] == pytest.approx(6 / 7)


def test_what_nobody_knows_is_not_logged(inputs, tmp_path):
    metrics = run(tmp_path, **inputs)
    assert not [name for name in metrics if "prompt_echo" in name]  # this table does not say what was asked
    assert not [name for name in metrics if name.startswith("_") or np.isnan(metrics[name])]
    assert "measure/refusal/lettering" not in metrics


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("placeholder_predictions", "None"),
        ("repetitive_predictions", "THE CATS EYE WILL " + "WILL " * 80),
        ("echoing_predictions", instructions(5)),
        ("refusing_predictions", "I'm sorry, but I cannot help."),
    ],
)
def test_predictions_that_are_no_answer_are_counted_and_told(inputs, tmp_path, caplog, name, text):
    rows = [prediction("1/0_2", TEXTS[0]), prediction("2/0_2", text), prediction("3/0_2", text)]
    write_table(with_prompt(table("predictions", rows), instructions(5)), tmp_path / "bad.parquet")
    with caplog.at_level(logging.WARNING):
        metrics = run(tmp_path, **inputs | {"predictions": str(tmp_path / "bad.parquet")})
    assert {suspect: metrics[suspect] for suspect in SUSPECTS} == dict.fromkeys(SUSPECTS, 0.0) | {name: 2.0}
    assert caplog.messages == [f"2 of 3 predictions {SUSPECTS[name]}, the first that of 2/0_2"]


def test_good_predictions_are_not_suspected(inputs, tmp_path, caplog):
    metrics = run(tmp_path, **inputs)
    assert [metrics[name] for name in SUSPECTS] == [0, 0, 0, 0]
    assert caplog.messages == []
