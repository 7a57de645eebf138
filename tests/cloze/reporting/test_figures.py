"""In what runs differ, and how their adapters were trained."""

from cloze.reporting.cells import read_cells
from cloze.reporting.figures import differences, trainings
from cloze.reporting.page import figure, shown, signed


def test_a_field_that_one_run_lacks_is_different():
    found = differences([{"a": 1, "b": "x", "c": {"k": [1, 2]}}, {"b": "x", "c": {"k": [1, 2]}}])
    assert found.differing == [("a", ["1", "not recorded"])]
    assert found.same == [("b", "x"), ("c", '{"k": [1, 2]}')]


def test_figures_of_training_are_those_that_were_logged(study):
    found = trainings(read_cells(study).cells)
    assert [name for name, _ in found.figures] == [
        "share of tokens without loss",
        "tokens with loss",
        "last training loss",
    ]
    assert found.titles == ["fine-tuned · pred", "fine-tuned · descp"]
    assert trainings(read_cells(study).cells[:2]).titles == []


def test_numbers_are_written_so_that_unknown_is_not_0():
    assert [figure(None), figure(0.0), figure(-0.5)] == ["unknown", "0.000", "−0.500"]
    assert [signed(None), signed(0.25), signed(-0.25)] == ["unknown", "+0.250", "−0.250"]
    assert [shown(None), shown(48211.0), shown(0.95231), shown(0.00002)] == ["not recorded", "48,211", "0.952", "2e-05"]
