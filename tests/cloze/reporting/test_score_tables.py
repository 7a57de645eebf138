"""Tables of estimates hold the runs they should, in their order."""

from dataclasses import replace

import pytest

from cloze.reporting.cells import read_cells
from cloze.reporting.contrasts import compare, find_contrasts
from cloze.reporting.estimates import TEXT_METRICS
from cloze.reporting.evidence import read_evidence
from cloze.reporting.score_tables import ablation, fact_table, score_tables


@pytest.fixture(scope="module")
def evidence(study):
    return [read_evidence(cell) for cell in read_cells(study).cells]


@pytest.fixture(scope="module")
def compared(evidence):
    return compare(find_contrasts(evidence), is_marked=False)


def test_the_2x2_has_a_row_per_run_that_saw_everything_and_a_column_per_reference(study):
    found = score_tables(read_cells(study).cells)
    assert [table.title for table in found] == [
        TEXT_METRICS[metric] for metric in ("rougeL", "rouge1", "rouge2", "bleu")
    ]
    for table in found:
        assert len(table.rows) == 4
        assert [[entry.is_own for entry in entries] for _, entries in table.rows] == [
            [True, False, False],
            [False, True, False],
        ] * 2
        assert all(entry.estimate and entry.estimate.top <= table.top for _, row in table.rows for entry in row)


def test_metrics_that_were_asked_for_have_tables_of_their_own(study):
    cells = read_cells(study).cells
    named = {"eval/pred/bertscore_f1": 0.9, "floor/foreign/pred/bertscore_f1": 0.8, "lift/pred/bertscore_f1": 0.1}
    found = score_tables([replace(cell, metrics=named) for cell in cells])
    assert [table.title for table in found] == ["BERTScore F1"]


def test_a_blind_run_stands_below_the_run_that_saw_everything(evidence, compared):
    found = ablation(evidence, compared)
    assert found is not None
    assert [name for name, _ in found.rows] == [
        "fine-tuned · pred",
        "fine-tuned · pred · without pictures",
        "fine-tuned · pred · without lettering",
    ]
    whole, blind, _ = (entries[2] for _, entries in found.rows)
    assert whole.change is None
    assert blind.change is not None
    assert blind.change.difference < 0  # facts that only the picture shows


def test_each_adapter_is_compared_with_itself(evidence):
    whole, blind = evidence[2], evidence[4]

    def of(item, adapter, run_id):
        cell = replace(item.cell, fingerprint={"adapter_digest": adapter}, run_id=run_id, run_name=run_id)
        return replace(item, cell=cell)

    runs = [of(whole, "a", "A"), of(whole, "b", "B"), of(blind, "a", "A blind"), of(blind, "b", "B blind")]
    runs += [of(evidence[5], "a", "A without text"), of(evidence[5], "c", "C without text")]
    found = ablation(runs, compare(find_contrasts(runs), is_marked=False))
    assert found is not None
    assert [name.split(" · ")[-1] for name, _ in found.rows] == [
        *("A", "A blind", "A without text"),
        *("B", "B blind"),
        "C without text",
    ]
    assert found.rows[-1][1][0].change is None  # nobody saw everything with that adapter


def test_without_blind_runs_there_is_no_ablation_and_without_facts_no_recall(evidence, compared, study):
    assert ablation([item for item in evidence if not item.cell.is_blind], compared) is None
    assert fact_table([]) is None
    assert fact_table(read_cells(study).cells) is not None


def test_a_blind_run_alone_is_shown_without_a_change(evidence):
    found = ablation(evidence[4:5], [])
    assert found is not None
    assert [entry.change for entry in found.rows[0][1]] == [None] * len(found.columns)
