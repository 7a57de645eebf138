"""What labels took, from their tables."""

from cloze.reporting.cells import read_cells
from cloze.reporting.labelling import labellings
from tests.cloze.reporting.study import write_study
from tests.cloze.scoring.tiny import label, write


def test_each_table_is_counted_once_however_many_runs_used_it(study):
    found = labellings(read_cells(study).cells)
    assert [(item.paradigm, item.n_labels, item.states) for item in found] == [
        ("pred", 24, {"ok": 23, "blocked": 1}),
        ("descp", 24, {"ok": 24}),
    ]
    assert {(item.input_tokens, item.output_tokens, item.cost_usd, item.n_priced) for item in found} == {
        (None, None, None, 0)
    }


def test_tokens_and_cost_are_sums_of_what_is_known(study, tmp_path):
    paid = {"labeller": "gemini", "model": "flash", "prompt_digest": "p1"}
    rows = [
        label("1/1_5", "a") | paid | {"input_tokens": 100, "output_tokens": 10, "cost_usd": 0.25},
        label("1/1_6", "b") | paid | {"input_tokens": 200, "output_tokens": 20, "cost_usd": 0.5},
        label("1/1_7", None, state="pending") | {"labeller": "gemini", "model": None},
    ]
    place = write(tmp_path, "labels", rows)
    cell = read_cells(study).cells[0]
    (found,) = labellings([type(cell)(**{**vars(cell), "tables": {"pred_labels": place}})])
    assert (found.input_tokens, found.output_tokens, found.cost_usd, found.n_priced) == (300, 30, 0.75, 2)
    assert found.authors == ["gemini, flash", "gemini, unknown"]
    assert found.prompts == ["p1"]
    assert found.states == {"ok": 2, "pending": 1}


def test_runs_without_labels_have_none(tmp_path):
    cells = read_cells(write_study(tmp_path, books=1, is_real=True)).cells
    assert labellings(cells) == []
