"""The eval step on tables small enough to check by hand."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloze.errors import DataError, MissingInputError, SettingsError
from cloze.scoring.evaluation import EvalSettings
from cloze.scoring.floors import FLOORS
from cloze.tables import read_table
from tests.cloze.scoring.tiny import fact, label, prediction, run, sequence, write

BOOKS = (1, 2, 3)


@pytest.fixture
def inputs(tmp_path):
    rows = [sequence(book, 0, ["start", f"go {book}", f"the end {book}"]) for book in BOOKS]
    ids = [row["sequence_id"] for row in rows]
    return {
        "sequences": write(tmp_path, "sequences", [*rows, sequence(9, 0, ["not", "predicted", "here"])]),
        "predictions": write(tmp_path, "predictions", [prediction(key, f"a red hat {key[0]}") for key in ids]),
        "pred_labels": write(tmp_path, "labels", [label(key, f"a hat {key[0]}") for key in ids], "pred"),
        "descp_labels": write(tmp_path, "labels", [label(key, f"a red hat {key[0]}", "descp") for key in ids], "descp"),
        "facts": write(tmp_path, "facts", [fact(key, "hat", "picture") for key in ids]),
    }


def test_every_prediction_is_scored_against_every_reference(inputs, tmp_path):
    metrics = run(tmp_path, **inputs)
    scores = read_table(tmp_path / "out" / "scores.parquet", "scores").to_pandas()
    found = scores.pivot_table(index="reference", columns="metric", values="score", dropna=False)
    assert (metrics["n_predictions"], metrics["n_books"]) == (3, 3)
    assert found.loc["descp", "rougeL"] == metrics["eval/descp/rougeL"] == 1
    assert metrics["eval/pred/rouge1"] == pytest.approx(6 / 7)
    assert metrics["eval/lettering/rouge1"] == pytest.approx(2 / 7)
    assert metrics["eval/facts/recall_picture"] == 1
    assert len(scores) == 3 * (3 * 4 + 2 * 4 + 4)


def test_lift_is_over_the_best_floor_and_has_its_interval(inputs, tmp_path):
    metrics = run(tmp_path, **inputs)
    floors = {name: metrics[f"floor/{name}/descp/rouge1"] for name in FLOORS}
    assert floors["foreign"] == max(floors.values()) == pytest.approx(0.75)  # all but the number
    assert metrics["floor/labels/descp/rouge1"] == pytest.approx(6 / 7)  # another label is better, and no floor
    assert metrics["lift/descp/rouge1"] == pytest.approx(0.25)
    assert metrics["ci_low/lift/descp/rouge1"] <= 0.25 <= metrics["ci_high/lift/descp/rouge1"]
    assert metrics["ci_low/descp/rouge1"] == metrics["ci_high/descp/rouge1"] == 1


def test_means_in_the_tables_are_the_metrics(inputs, tmp_path):
    metrics = run(tmp_path, **inputs)
    floors = read_table(tmp_path / "out" / "floors.parquet", "floors").to_pandas()
    means = floors.groupby(["floor", "reference", "metric"])["score"].mean().dropna()
    assert len(means) == 3 * 5 * 4 + 4 * 2 + 10  # texts by floor and metric; facts by floor but length; all scene
    assert all(metrics[f"floor/{'/'.join(key)}"] == pytest.approx(mean) for key, mean in means.items())
    signatures = json.loads((tmp_path / "out" / "signatures.json").read_text())
    assert set(signatures) >= {"rouge1", "bleu", "recall", "names", "measure/rep4"}


def test_some_examples_are_left_for_people_to_read(inputs, tmp_path):
    run(tmp_path, **inputs)
    shown = pq.read_table(tmp_path / "out" / "examples.parquet").to_pylist()
    assert [row["sequence_id"] for row in shown] == ["1/0_2", "2/0_2", "3/0_2"]
    assert shown[0] | {"rougeL/pred": None, "rougeL/lettering": None} == {
        "sequence_id": "1/0_2",
        "prediction": "a red hat 1",
        "pred": "a hat 1",
        "rougeL/pred": None,
        "descp": "a red hat 1",
        "rougeL/descp": 1.0,
        "lettering": "the end 1",
        "rougeL/lettering": None,
        "facts": "hat",
        "recall/facts": 1.0,
    }


def test_what_is_unknown_is_null_and_not_a_metric(inputs, tmp_path):
    metrics = run(tmp_path, **inputs)
    scores = read_table(tmp_path / "out" / "scores.parquet", "scores").to_pandas()
    assert scores.loc[scores["metric"] == "recall_lettering", "score"].isna().all()
    assert not [name for name in metrics if "recall_lettering" in name]
    assert not [name for name, value in metrics.items() if np.isnan(value)]


def test_labels_that_are_not_ok_are_counted_and_not_scored(inputs, tmp_path):
    rows = [label("1/0_2", "a hat 1"), label("2/0_2", None, state="blocked")]  # 3/0_2 has no row at all
    labels = write(tmp_path, "labels", rows, "some")
    metrics = run(tmp_path, **inputs | {"pred_labels": labels})
    assert (metrics["missing_references/pred"], metrics["empty_references/pred"]) == (2, 2)
    assert metrics["eval/pred/rouge1"] == pytest.approx(6 / 7)
    assert "ci_low/pred/rouge1" not in metrics  # one book


def test_real_comics_without_labels_are_scored_against_their_lettering(inputs, tmp_path):
    metrics = run(tmp_path, predictions=inputs["predictions"], sequences=inputs["sequences"])
    assert {name.split("/")[1] for name in metrics if name.startswith("eval/")} == {"lettering"}


def test_an_empty_prediction_counts_and_scores_0(inputs, tmp_path):
    rows = [prediction("1/0_2", ""), prediction("2/0_2", "?!"), prediction("3/0_2", "the end 3")]
    metrics = run(tmp_path, **inputs | {"predictions": write(tmp_path, "predictions", rows, "empty")})
    assert metrics["empty_predictions"] == 2
    assert metrics["eval/lettering/rougeL"] == pytest.approx(1 / 3)


def test_a_corpus_bleu_is_a_metric_of_the_run_and_has_no_rows(inputs, tmp_path):
    metrics = run(tmp_path, **inputs, metrics="sacrebleu,sacrebleu_sentence,rouge1")
    scores = read_table(tmp_path / "out" / "scores.parquet", "scores").to_pandas()
    assert set(scores.loc[scores["reference"] == "lettering", "metric"]) == {"rouge1", "sacrebleu_sentence"}
    assert metrics["eval/descp/sacrebleu"] == pytest.approx(1)
    assert metrics["lift/descp/sacrebleu"] == pytest.approx(1 - metrics["floor/foreign/descp/sacrebleu"])
    assert metrics["ci_low/lift/descp/sacrebleu"] <= metrics["lift/descp/sacrebleu"]
    signatures = json.loads((tmp_path / "out" / "signatures.json").read_text())
    assert {"sacrebleu", "sacrebleu_sentence", "rouge1", "recall"} <= set(signatures)
    assert "bleu" not in signatures


def test_an_encoder_that_is_not_there_is_refused_before_anything_is_scored(inputs, tmp_path):
    with pytest.raises(MissingInputError, match="encoder /nowhere: no such folder"):
        run(tmp_path, **inputs | {"predictions": "absent"}, metrics="bertscore_f1", encoder="/nowhere")
    assert not list((tmp_path / "out").iterdir())


def test_the_same_inputs_give_the_same_bytes(inputs, tmp_path):
    assert run(tmp_path / "a", **inputs) == run(tmp_path / "b", **inputs)
    for name in ("scores.parquet", "floors.parquet", "measures.parquet", "signatures.json"):
        assert (tmp_path / "a" / "out" / name).read_bytes() == (tmp_path / "b" / "out" / name).read_bytes()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["1/0_2", "2/0_2", "1/0_2"], r"sequence_id 1/0_2 is there 2 times \(rows 0, 2\)"),
        (["1/0_2", "8/0_2"], r"row 1: 8/0_2 is not a sequence of .*give the sequences table"),
        ([], "holds no predictions"),
    ],
)
def test_predictions_that_do_not_belong_are_refused(inputs, tmp_path, ids, message):
    bad = write(tmp_path, "predictions", [prediction(key, "x") for key in ids], "bad")
    with pytest.raises(DataError, match=message):
        run(tmp_path, **inputs | {"predictions": bad})
    assert not list((tmp_path / "out").iterdir())


def test_a_prediction_that_is_null_is_refused_by_its_row(inputs, tmp_path):
    rows = [prediction("1/0_2", "x"), prediction("2/0_2", "x") | {"prediction": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "null.parquet")
    with pytest.raises(DataError, match=r"null.parquet: row 1: prediction is NULL; an empty text was expected"):
        run(tmp_path, **inputs | {"predictions": str(tmp_path / "null.parquet")})


def test_bytes_that_are_no_utf8_are_refused_by_row_and_column(inputs, tmp_path):
    words = pa.array([b"fine", b"caf\xe9"], pa.binary())
    rows = pa.table({"sequence_id": ["1/0_2", "2/0_2"]})
    damaged = pa.StringArray.from_buffers(2, words.buffers()[1], words.buffers()[2])
    pq.write_table(rows.append_column("prediction", damaged), tmp_path / "latin1.parquet")
    with pytest.raises(DataError, match=r"latin1.parquet: row 1: column prediction is not UTF-8 text .*write the text"):
        run(tmp_path, **inputs | {"predictions": str(tmp_path / "latin1.parquet")})


def test_predictions_of_another_split_are_refused_unless_it_is_named(inputs, tmp_path):
    with pytest.raises(DataError, match=r"row 0: 1/0_2 is in the split test of .*; split is val; say split=test, or"):
        run(tmp_path, **inputs, split="val")
    assert run(tmp_path / "named", **inputs, split="all")["n_predictions"] == 3


def test_predictions_for_another_sequences_table_are_refused_with_both_files_named(inputs, tmp_path):
    other = write(tmp_path, "sequences", [sequence(5, 0, ["other", "comics"])], "other")
    with pytest.raises(DataError, match=r"predictions.parquet: row 0: 1/0_2 is not a sequence of .*other.parquet"):
        run(tmp_path, **inputs | {"sequences": other})


def test_labels_that_name_somebody_who_could_be_known_are_counted(inputs, tmp_path):
    rows = [label("1/0_2", "Then Start waves."), label("2/0_2", "Then Otto waves."), label("3/0_2", "a hat")]
    metrics = run(tmp_path, **inputs | {"pred_labels": write(tmp_path, "labels", rows, "named")})
    assert metrics["named_references/pred"] == 1  # "start" is lettering of the context, Otto is not
    assert metrics["eval/pred/names"] == 0
    assert metrics["floor/context/pred/names"] == 1  # who repeats all lettering names everybody


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([label("1/0_2", "a", "descp")], "column paradigm holds descp; expected pred only"),
        ([label("1/0_2", "a"), label("1/0_2", "b")], "sequence_id 1/0_2 is there 2 times"),
        ([label("7/0_2", "a")], "has no row for any of the predicted sequences"),
    ],
)
def test_labels_that_do_not_belong_are_refused(inputs, tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        run(tmp_path, **inputs | {"pred_labels": write(tmp_path, "labels", rows, "bad")})


def test_facts_of_other_comics_are_refused(inputs, tmp_path):
    strange = write(tmp_path, "facts", [fact("7/0_2", "hat", "both")], "strange")
    with pytest.raises(DataError, match="has no row for any of the target panels"):
        run(tmp_path, **inputs | {"facts": strange})


def test_the_own_labels_of_a_paradigm_must_be_given(inputs, tmp_path):
    with pytest.raises(SettingsError, match=r"pred_labels is ''; it must be given where paradigm is pred"):
        run(tmp_path, **inputs | {"pred_labels": "", "paradigm": "pred"})


@pytest.mark.parametrize(
    ("name", "value"), [("resamples", 99), ("examples", -1), ("seed", -1), ("blind", "sound"), ("metrics", "bleu4")]
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(SettingsError, match=f"{name} is {value!r}; it must be"):
        EvalSettings(**{name: value})
