"""A model card says what its runs recorded: nothing without its floor, and nothing that is not known."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.reporting.model_card import MAX_LENGTH, Evaluation, Trained, model_card, own_figures, plain

SCORES = {
    "eval/pred/rougeL": 0.5,
    "ci_low/pred/rougeL": 0.4,
    "ci_high/pred/rougeL": 0.6,
    "floor/foreign/pred/rougeL": 0.2,
    "floor/panel5/pred/rougeL": 0.3,
    "floor/labels/pred/rougeL": 0.9,  # another label is no floor
    "ci_low/lift/pred/rougeL": 0.1,
    "ci_high/lift/pred/rougeL": 0.3,
    "eval/facts/recall": 0.4,
    "floor/panel5/facts/recall": 0.45,
    "ci_low/lift/facts/recall": -0.1,
    "ci_high/lift/facts/recall": 0.02,
}
EVALUATION = Evaluation("f" * 32, "eval_tuned_pred", "test", "none", {"n_predictions": 240.0, "n_books": 8.0, **SCORES})
TRAINED = Trained(
    uri="models:/cloze-pred/3",
    run_id="0" * 32,
    paradigm="pred",
    base="sample",
    base_digest="3cdccd112decd081a84e31adf9dca8af",
    settings={
        "sequences": "runs:/1/sequences.parquet",
        "labels": "runs:/2/labels.parquet",
        "targets": "q_proj,v_proj",
        "rank": "16",
        "alpha": "32",
        "dropout": "0.0",
        "adapted": "all",
        "precision": "fp32",
        "quantise": "none",
        "image_layout": "multi",
        "optimizer": "adamw",
        "lr": "0.003",
        "warmup": "0.05",
        "batch": "8",
        "accumulate": "1",
        "epochs": "1.0",
    },
    metrics={
        "examples": 640.0,
        "books": 32.0,
        "dropped_without_label": 5.0,
        "tokens": 191471.0,
        "supervised_tokens": 17267.0,
        "trainable_parameters": 233472.0,
        "trainable_parameters_vision": 0.0,
        "steps": 80.0,
        "train/loss_final": 0.366,
    },
    labeller="world",
    commit="c7965b7da878c752ddb93e908ff3d9749457ed2b",
    is_dirty=False,
)


def test_a_card_says_what_it_was_trained_on_and_how():
    card = model_card(TRAINED, [])
    for words in (
        "640 of 32 books",
        "191,471, of which 17,267 carry loss",
        "233,472",
        "runs:/2/labels.parquet, by world",
    ):
        assert words in card
    assert "at commit c7965b7da878\n" in card
    assert r"q\_proj,v\_proj" in card


def test_without_an_evaluation_a_card_says_that_nothing_is_known_and_how_to_make_one():
    card = model_card(TRAINED, [])
    assert "None yet" in card
    assert "mlflow run . -e eval -P adapter=models:/cloze-pred/3" in card


def test_a_score_stands_beside_its_best_floor_its_lift_and_its_interval():
    card = model_card(TRAINED, [EVALUATION])
    row = "| 240 (8) | pred | ROUGE-L | 0.500 | 0.300 (panel5) | +0.200 | [+0.100, +0.300] |"
    assert row in card.replace("&nbsp;", "")
    assert "0.900" not in card


def test_what_is_not_better_than_its_floor_is_a_limit_and_what_is_better_is_none():
    card = model_card(TRAINED, [EVALUATION])
    assert "By recall against facts it is not shown to be better than the floor panel5." in card
    assert "By ROUGE-L" not in card
    assert "Intervals rest on 8 books" in card


def test_code_that_was_never_committed_is_a_limit():
    words = "code that differed from its commit"
    assert words not in model_card(TRAINED, [])
    assert words in model_card(replace(TRAINED, is_dirty=True), [])


def test_evaluations_that_hid_something_come_last_and_do_not_speak_against_the_adapter():
    blind = replace(
        EVALUATION, run_id="b" * 32, hidden="images", metrics={**EVALUATION.metrics, "ci_low/lift/pred/rougeL": -1.0}
    )
    card = model_card(TRAINED, [blind, EVALUATION])
    assert card.index("ffffffff") < card.index("bbbbbbbb")
    assert "By ROUGE-L" not in card


@given(st.text(max_size=600), st.integers(0, 30))
def test_a_card_fits_where_mlflow_keeps_it(name, n_evaluations):
    evaluations = [replace(EVALUATION, run_id=f"{number:032d}", name=name) for number in range(n_evaluations)]
    card = model_card(TRAINED, evaluations)
    assert len(card) <= MAX_LENGTH
    n_shown = card.replace("&nbsp;", "").count(" (8) | pred | ROUGE-L |")
    assert (f"{n_evaluations - n_shown} older evaluations" in card) == (n_shown < n_evaluations)


@given(st.text())
def test_names_cannot_leave_their_cell_or_become_markup(text):
    shown = plain(text)
    assert "\n" not in shown
    for character in "|<[`*":
        assert shown.count(character) == shown.count(f"\\{character}") == text.count(character)


@pytest.mark.parametrize("paradigm", ["pred", "descp"])
def test_own_figures_have_the_same_names_under_both_paradigms(paradigm):
    metrics = {name.replace("/pred/", f"/{paradigm}/"): value for name, value in SCORES.items()}
    assert own_figures(metrics, paradigm) == {
        "own/score/rougeL": 0.5,
        "own/floor/rougeL": 0.3,
        "own/lift/rougeL": 0.2,
        "own/lift_low/rougeL": 0.1,
        "own/lift_high/rougeL": 0.3,
    }
