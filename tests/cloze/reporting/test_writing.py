"""The report shows how runs write beside how labels are written."""

from dataclasses import replace

import pytest

from cloze.reporting.cells import read_cells
from cloze.reporting.contrasts import compare, find_contrasts
from cloze.reporting.evidence import read_evidence
from cloze.reporting.page import less, size
from cloze.reporting.writing import COLUMNS, content_ablation, content_table, n_named, writing_table


@pytest.fixture(scope="module")
def cells(study):
    return read_cells(study).cells


def test_every_run_has_a_row_and_every_kind_of_label_one(cells):
    found = writing_table(cells)
    assert found is not None
    assert [name for name, _ in found.rows][-2:] == ["pred label", "descp label"]
    assert len(found.rows) == len(cells) + 2
    words = found.rows[0][1][list(COLUMNS).index("words")]
    assert words is not None
    assert words.mean == cells[0].metrics["measure/words/prediction"]
    assert words.difference == cells[0].metrics["difference/words/pred"]


def test_labels_of_other_sequences_have_a_row_of_their_own(cells):
    other = replace(cells[0], metrics=dict(cells[0].metrics) | {"measure/words/pred": 99.0})
    found = writing_table([*cells, other])
    assert found is not None
    assert [name for name, _ in found.rows].count("pred label") == 2


def test_runs_without_measures_or_labels_have_no_table(cells):
    bare = replace(cells[0], metrics={})
    assert writing_table([bare]) is None
    assert content_table([bare]) is None
    assert n_named([bare]) == []


def test_what_is_said_and_who_is_named_is_shown_against_the_own_labels(cells):
    found = content_table(cells)
    assert found is not None
    assert len(found.rows) == 4  # runs that saw everything
    names = found.rows[0][1][found.columns.index("names (F1)")]
    assert names.estimate is not None
    assert names.estimate.score == cells[0].metrics["eval/pred/names_f1"]


def test_what_hiding_does_to_dialogue_scene_and_names_is_shown_beside_the_seeing_run(cells):
    evidence = [read_evidence(cell) for cell in cells]
    compared = compare(find_contrasts(evidence), is_marked=False)
    found = content_ablation(evidence, compared)
    assert found is not None
    assert found.columns[-1] == "names (F1)"
    assert [entries[1].change is None for _, entries in found.rows] == [True, False, False]
    assert content_ablation(evidence[:4], compared) is None


@pytest.mark.parametrize(
    ("value", "shown", "with_sign"),
    [
        (21.333, "21.3", "+21.3"),
        (-1.049, "−1.05", "−1.05"),
        (0.00417, "0.004", "+0.004"),
        (1234.5, "1,234.5", "+1,234.5"),
    ],
)
def test_measures_have_decimals_enough_to_compare(value, shown, with_sign):
    assert (size(value), less(value)) == (shown, with_sign)


def test_the_page_says_how_it_is_written(report):
    section = report.html.split('<section id="writing">')[1].split("</section>")[0]
    assert section.count("<table") == 2
    assert "pred label" in section
    assert "None, that repeat most" in report.html
