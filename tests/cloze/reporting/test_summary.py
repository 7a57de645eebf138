"""The 2x2 for the terminal."""

from dataclasses import replace

from cloze.reporting.cells import read_cells
from cloze.reporting.summary import two_by_two


def test_every_run_has_a_row_with_score_interval_floor_and_lift(study):
    cells = read_cells(study).cells
    text = two_by_two(cells)
    row = next(line for line in text.splitlines() if line.startswith("fine-tuned · descp"))
    metrics = cells[3].metrics
    assert f"{metrics['eval/descp/rougeL']:.3f}  [{metrics['ci_low/descp/rougeL']:.3f}" in row
    assert f"{metrics['lift/descp/rougeL']:+.3f}" in row
    assert text.count("fine-tuned · pred · without pictures") == 2
    assert max(map(len, text.splitlines())) <= 110


def test_what_was_not_measured_is_said_and_facts_are_left_out_where_nobody_has_them(study):
    cell = read_cells(study).cells[0]
    without = {name: value for name, value in cell.metrics.items() if "facts" not in name and "ci_" not in name}
    text = two_by_two([replace(cell, metrics=without), replace(cell, metrics={})])
    assert "unknown" in text
    assert "not measured" in text
    assert "facts" not in text
