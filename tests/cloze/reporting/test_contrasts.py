"""Only contrasts within one reference are made, and differences of such."""

from dataclasses import replace

import pytest

from cloze.errors import DataError
from cloze.reporting.cells import read_cells
from cloze.reporting.contrasts import INTERACTION, MAIN, OWN, PARADIGM, compare, find_contrasts, tuned_on
from cloze.reporting.effects import own_table, tuning_effects
from cloze.reporting.evidence import read_evidence


@pytest.fixture(scope="module")
def evidence(study):
    return [read_evidence(cell) for cell in read_cells(study).cells]


@pytest.fixture(scope="module")
def compared(evidence):
    return compare(find_contrasts(evidence), is_marked=False)


@pytest.fixture(scope="module")
def differences(compared):
    return {(c.contrast.name, c.reference, c.metric): c.change.difference for c in compared}


def mean(evidence, number, reference, metric="rougeL"):
    return evidence[number].cell.metrics[f"eval/{reference}/{metric}"]


ZERO, TUNED_PRED, TUNED_DESCP = 0, 2, 3


def test_the_weights_of_every_reference_add_up_to_0(evidence):
    contrasts = find_contrasts(evidence)
    assert len(contrasts) == 6 + 2  # two blind runs
    for contrast in contrasts:
        for reference in {term.reference for term in contrast.terms}:
            assert sum(term.weight for term in contrast.terms if term.reference == reference) == 0


@pytest.mark.parametrize("reference", ["pred", "descp", "lettering"])
def test_against_one_reference_the_contrasts_are_differences_of_the_means(evidence, differences, reference):
    zero, pred, descp = (mean(evidence, i, reference) for i in (ZERO, TUNED_PRED, TUNED_DESCP))
    found = {name: differences[name, reference, "rougeL"] for name in (tuned_on("pred"), tuned_on("descp"))}
    assert found == pytest.approx({tuned_on("pred"): pred - zero, tuned_on("descp"): descp - zero})
    assert differences[MAIN, reference, "rougeL"] == pytest.approx((pred + descp) / 2 - zero)
    assert differences[PARADIGM, reference, "rougeL"] == pytest.approx(pred - descp)


def test_against_own_labels_there_are_a_main_effect_of_fine_tuning_and_an_interaction_and_no_more(
    evidence, differences, compared
):
    # The pred label of one sequence was blocked: that sequence is in no contrast that needs it.
    (interaction,) = (c for c in compared if (c.contrast.name, c.metric) == (INTERACTION, "rougeL"))
    assert {name for name, reference, _ in differences if reference == OWN} == {MAIN, INTERACTION}
    assert interaction.change.n_sequences == len(evidence[0].predictions) - 1
    by_hand = (
        evidence[TUNED_PRED].scores_of("pred", "rougeL")
        - evidence[ZERO].scores_of("pred", "rougeL")
        - (evidence[TUNED_DESCP].scores_of("descp", "rougeL") - evidence[ZERO].scores_of("descp", "rougeL"))
    )
    assert interaction.change.difference == pytest.approx(by_hand.mean())


def test_hiding_is_compared_with_the_run_that_saw_everything(compared, evidence):
    (found,) = (c for c in compared if (c.contrast.name, c.metric) == ("without pictures", "recall_picture"))
    assert [run.cell.title for run in found.contrast.runs] == [
        "fine-tuned · pred · without pictures",
        "fine-tuned · pred",
    ]
    assert found.change.difference < 0


def test_p_is_corrected_within_a_family(compared):
    for item in compared:
        assert item.change.p is not None
        assert item.change.p_holm is not None
        assert item.change.p_joint is not None
        assert item.change.p <= item.change.p_joint <= 1
        assert item.change.p <= item.change.p_holm


def test_one_zero_shot_run_serves_both_paradigms(evidence):
    names = [contrast.name for contrast in find_contrasts(evidence[1:4])]
    assert names == [tuned_on("pred"), tuned_on("descp"), MAIN, MAIN, INTERACTION, PARADIGM]


def test_runs_of_one_place_each_have_their_contrast_and_are_told_apart_by_name(evidence):
    again = replace(evidence[TUNED_PRED], cell=replace(evidence[TUNED_PRED].cell, run_id="again", run_name="again"))
    effects = tuning_effects(compare(find_contrasts([evidence[ZERO], evidence[TUNED_PRED], again]), is_marked=False))
    titles = [title for title, _ in effects.by_metric[0].rows]
    assert len(titles) == 2
    assert "fine-tuned on pred less zero-shot (again; " in titles[1]


def test_a_hiding_of_another_adapter_is_refused(evidence):
    blind, whole = evidence[4], evidence[TUNED_PRED]
    other = replace(blind, fingerprint={**blind.fingerprint, "adapter_digest": "another"})
    with pytest.raises(DataError, match=r"adapter_digest is another and .*predict with the same `adapter`"):
        compare(find_contrasts([whole, other]), is_marked=False)
    marked = compare(find_contrasts([whole, other]), is_marked=True)
    assert {item.change.differs for item in marked} == {("adapter_digest",)}


def test_a_run_is_paired_with_one_that_it_may_be_compared_with_where_there_is_one(evidence):
    strange = replace(evidence[ZERO], fingerprint={**evidence[ZERO].fingerprint, "precision": "bf16"})
    first = find_contrasts([strange, evidence[ZERO], evidence[TUNED_PRED]])[0]
    assert first.runs[1] is evidence[ZERO]


def test_the_2x2_shows_simple_effects_their_mean_and_their_difference(compared):
    table = own_table(compared)
    assert table is not None
    (one, two, main, interaction) = (changes[0] for _, changes in table.rows)
    assert one is not None
    assert two is not None
    assert main is not None
    assert interaction is not None
    assert main.difference == pytest.approx((one.difference + two.difference) / 2, abs=0.01)  # one sequence is missing
    assert interaction.difference == pytest.approx(one.difference - two.difference, abs=0.02)
    assert own_table([]) is None
