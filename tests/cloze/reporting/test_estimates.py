"""A score is never shown without what it takes to read it."""

from dataclasses import replace

import pytest

from cloze.reporting.cells import read_cells
from cloze.reporting.estimates import estimate, own_reference


@pytest.fixture
def cell(study):
    return read_cells(study).cells[0]


def test_an_estimate_names_its_best_floor(cell):
    metrics = {"eval/pred/bleu": 0.5, "floor/foreign/pred/bleu": 0.2, "floor/panel5/pred/bleu": 0.3}
    found = estimate(replace(cell, metrics=metrics), "pred", "bleu")
    assert found is not None
    assert (found.floor_name, found.floor) == ("panel5", 0.3)
    assert found.lift == pytest.approx(0.2)
    assert (found.low, found.lift_high) == (None, None)


def test_a_score_without_a_floor_is_not_shown(cell):
    assert estimate(replace(cell, metrics={"eval/pred/bleu": 0.5}), "pred", "bleu") is None


def test_its_lift_and_floor_are_those_of_the_evaluation(cell):
    found = estimate(cell, "pred", "rougeL")
    assert found is not None
    assert found.lift == pytest.approx(cell.metrics["lift/pred/rougeL"])
    assert found.low is not None
    assert found.low <= found.score <= (found.high or 0)


def test_without_labels_of_its_own_a_run_is_judged_by_the_lettering(cell):
    assert own_reference(cell) == "pred"
    assert own_reference(replace(cell, paradigm="auto")) == "lettering"
    assert own_reference(replace(cell, metrics={"eval/lettering/bleu": 0.1})) == "lettering"


def test_another_label_is_shown_beside_the_floors_and_is_none(cell):
    metrics = {"eval/pred/bleu": 0.5, "floor/foreign/pred/bleu": 0.2, "floor/labels/pred/bleu": 0.6}
    found = estimate(replace(cell, metrics=metrics), "pred", "bleu")
    assert found is not None
    assert (found.floor_name, found.labels) == ("foreign", 0.6)
