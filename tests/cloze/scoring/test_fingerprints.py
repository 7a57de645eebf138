"""Runs are compared where all that decides their scores agrees, but for what is compared."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.errors import DataError
from cloze.scoring.fingerprints import ADAPTER, BESIDE, BLIND, RECORDED, disagreements, fingerprint, refuse

ALLOWED = (ADAPTER, BLIND, BESIDE)
ZERO_SHOT: dict[str, Any] = {
    "base": "sample",
    "base_digest": "b" * 64,
    "adapter_digest": None,
    "prompt_digest": "c" * 64,
    "decoding": {"strategy": "greedy", "max_new_tokens": 96},
    "precision": "fp32",
    "trained_in": None,
    "image_layout": "multi",
    "blind": "none",
    "sequences_digest": "d" * 64,
}
TUNED = ZERO_SHOT | {"adapter_digest": "a" * 64, "trained_in": {"precision": "fp32", "quantise": "none"}}


def full(predicted: dict[str, Any], n: int = 240, **changed: Any) -> dict[str, Any]:
    made = fingerprint(
        predicted,
        {"seed": 42, "resamples": 10_000, "paradigm": "pred"},
        {"rouge1": "rouge1|f1", "bleu": "bleu|method1"},
        {"pred": "e" * 64},
        n,
    )
    return made | changed


def fields(one: dict[str, Any], other: dict[str, Any], may_differ: frozenset[str] = BESIDE) -> list[str]:
    return [found.field for found in disagreements(one, other, may_differ)]


@pytest.mark.parametrize("may_differ", ALLOWED)
@pytest.mark.parametrize("predicted", [ZERO_SHOT, TUNED])
def test_a_run_agrees_with_itself(predicted, may_differ):
    assert fields(full(predicted), full(predicted), may_differ) == []


def test_zero_shot_and_fine_tuned_differ_in_the_adapter_and_how_it_was_trained():
    assert fields(full(ZERO_SHOT), full(TUNED), ADAPTER) == []
    assert fields(full(ZERO_SHOT), full(TUNED), BLIND) == ["adapter_digest"]


def test_two_adapters_must_have_been_trained_in_the_same_numbers():
    other = TUNED | {"adapter_digest": "f" * 64, "trained_in": {"precision": "bf16", "quantise": "nf4"}}
    (found,) = disagreements(full(TUNED), full(other), ADAPTER)
    assert str(found) == "trained_in is precision fp32, quantise none and precision bf16, quantise nf4"


def test_hiding_is_a_comparison_of_one_model_with_itself():
    assert fields(full(TUNED), full(TUNED | {"blind": "images"}), BLIND) == []
    assert fields(full(TUNED), full(TUNED | {"blind": "images"}), ADAPTER) == ["blind"]


def test_a_set_that_lacks_a_sequence_is_another_set_and_the_counts_are_said():
    (found,) = disagreements(full(TUNED), full(TUNED, 239), BESIDE)
    assert found.field == "sequences_digest"
    assert (found.one, found.other) == ("240 sequences, dddddddddddd", "239 sequences, dddddddddddd")


def test_a_metric_or_label_that_only_one_has_is_not_compared_and_so_need_not_agree():
    more = full(TUNED) | {"signature/chrf": "chrf|1", "labels/descp": "0"}
    assert fields(full(TUNED), more) == []
    assert fields(full(TUNED) | {"signature/chrf": "chrf|2"}, more) == ["signature/chrf"]
    assert fields(full(TUNED) | {"labels/pred": "0"}, full(TUNED)) == ["labels/pred"]


def test_a_base_is_known_by_its_digest_and_a_served_one_by_its_name():
    moved = TUNED | {"base": "/elsewhere/sample"}
    assert fields(full(TUNED), full(moved)) == []
    served = TUNED | {"base_digest": None}
    assert fields(full(served), full(served | {"base": "another"})) == ["base"]
    assert fields(full(TUNED), full(TUNED | {"base_digest": "0"})) == ["base_digest"]


def test_what_a_later_version_records_must_agree_too():
    assert fields(full(TUNED, quantise="none"), full(TUNED, quantise="nf4")) == ["quantise"]
    assert fields(full(TUNED, quantise="none"), full(TUNED)) == ["quantise"]


@given(st.sampled_from(ALLOWED), st.sampled_from(RECORDED), st.text(max_size=9))
def test_one_changed_field_is_named_and_no_other_unless_it_is_what_is_compared(may_differ, field, value):
    one = full(TUNED)
    other = one | {field: value}
    expected = [] if field in may_differ or one[field] == value else [field]
    assert fields(one, other, may_differ) == fields(other, one, may_differ) == expected


@given(st.sampled_from(ALLOWED), st.sets(st.sampled_from(RECORDED)))
def test_what_is_not_recorded_agrees_with_nothing_not_even_with_itself(may_differ, missing):
    old = {field: value for field, value in full(TUNED).items() if field not in missing}
    found = disagreements(old, old, may_differ)
    assert {each.field for each in found} - {"base"} == missing - may_differ
    assert all((each.one, each.other) == ("unknown", "unknown") for each in found if each.field != "base")


def test_predictions_from_elsewhere_have_no_fingerprint_and_are_refused():
    unknown = full({})
    assert "precision" in fields(unknown, full(TUNED))
    with pytest.raises(DataError, match=r"precision is unknown and fp32.*has to be predicted anew"):
        refuse("a", "b", disagreements(unknown, full(TUNED), BESIDE))


def test_a_refusal_names_runs_fields_values_and_what_to_run():
    found = disagreements(full(TUNED), full(TUNED | {"precision": "bf16"}, seed="7"), BESIDE)
    with pytest.raises(DataError) as refused:
        refuse("run 1", "run 2", found)
    assert refused.value.exit_code == 2
    assert str(refused.value) == (
        "run 1 and run 2: cannot be compared: precision is fp32 and bf16; seed is 42 and 7; "
        "predict with `-P precision=...` of the other; "
        "evaluate again: `mlflow run . -e eval -P predictions=runs:/ID -P seed=...`; "
        "or say `-P compare=mark` to have such comparisons made and marked"
    )
    refuse("run 1", "run 2", [])
