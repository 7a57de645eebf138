"""Rules are judged by figures: what a challenger must show before it takes the champion's place."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.reporting.cells import Cell
from cloze.reporting.evidence import Evidence
from mlflow_projects.policy import Champion, Contamination, Lift, Rules, Slices
from mlflow_projects.rules import Books, Candidate, Row, Verdict, contaminated, judge

N_BOOKS, PER_BOOK = 10, 6
KEYS = [f"{book}/1_{panel}" for book in range(N_BOOKS) for panel in range(PER_BOOK)]
FINGERPRINT = dict.fromkeys(
    ("sequences_digest", "base_digest", "prompt_digest", "decoding", "precision", "image_layout"), "same"
) | {"adapter_digest": "its own", "trained_in": "fp32", "blind": "none", "seed": "42", "resamples": "10000"}


def row(key: str) -> Row:
    """Of the sequences table: every other target has lettering, and the context always has."""
    book, _, panel = key.partition("/1_")
    texts = ["MEANWHILE"] * 5
    return {
        "book": int(book),
        "group": int(book),
        "context": [{"text": text} for text in texts],
        "target": {"text": "HELP!" if int(panel) % 2 else " "},
    }


ROWS = {key: row(key) for key in KEYS}


def candidate(
    scores: Sequence[float] | np.ndarray, *, metrics: Mapping[str, float] | None = None, trained_on: Sequence[int] = ()
) -> Candidate:
    cell = Cell("r", "r", "pred", "fine-tuned", "none", metrics or {}, {}, {}, {}, {}, {}, {})
    columns = pd.MultiIndex.from_tuples([("pred", "rougeL")])
    frame = pd.DataFrame(np.asarray(scores, float)[:, None], index=KEYS, columns=columns)
    groups = {key: int(key.partition("/")[0]) for key in KEYS}
    evidence = Evidence(cell, pd.DataFrame(index=KEYS), frame, groups, FINGERPRINT)
    return Candidate(
        "models:/cloze-pred/1", evidence, Books(frozenset(trained_on), {book: book for book in trained_on})
    )


def noise(seed: int, scale: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, len(KEYS))


def only(rules: Rules, challenger: Candidate, champion: Candidate | None) -> Verdict:
    (verdict,) = judge(rules, challenger, champion, ROWS)
    return verdict


CHAMPION = Rules(champion=Champion(metric="rougeL", above=0.0))
BASE = 0.5 + noise(0)


def test_a_clearly_better_challenger_holds():
    verdict = only(CHAMPION, candidate(BASE + 0.1 + noise(1, 0.02)), candidate(BASE))
    assert verdict.holds
    assert "60 sequences of 10 books" in verdict.figures


def test_a_tie_is_no_promotion():
    verdict = only(CHAMPION, candidate(BASE), candidate(BASE))
    assert verdict.holds is False
    assert "+0.0000 [+0.0000, +0.0000]" in verdict.figures


def test_a_better_mean_with_an_interval_around_0_is_no_promotion():
    verdict = only(CHAMPION, candidate(BASE + 0.001 + noise(1, 0.2)), candidate(BASE))
    assert verdict.holds is False


def test_the_margin_is_what_the_interval_must_begin_above():
    challenger = candidate(BASE + 0.05 + noise(1, 0.01))
    assert only(Rules(champion=Champion(metric="rougeL", above=0.04)), challenger, candidate(BASE)).holds
    assert not only(Rules(champion=Champion(metric="rougeL", above=0.06)), challenger, candidate(BASE)).holds


def test_a_single_book_gives_no_interval_and_no_promotion():
    one_book = [key for key in KEYS if key.startswith("3/")]
    scores = pd.Series(np.nan, KEYS)
    scores[one_book] = 0.9
    verdict = only(CHAMPION, candidate(scores.to_numpy()), candidate(BASE))
    assert verdict.holds is False
    assert "fewer than two books" in verdict.figures


def test_a_metric_that_one_of_them_lacks_is_no_promotion():
    verdict = only(Rules(champion=Champion(metric="bleu", above=0.0)), candidate(BASE), candidate(BASE))
    assert verdict == Verdict("champion", False, "BLEU less the champion's: not measured for both")


@pytest.mark.parametrize("field", ["base_digest", "precision", "trained_in", "sequences_digest"])
def test_what_was_predicted_under_other_conditions_is_not_compared(field):
    champion = candidate(BASE)
    champion = replace(champion, evidence=replace(champion.evidence, fingerprint=FINGERPRINT | {field: "another"}))
    challenger = candidate(BASE + 0.2)
    verdict = only(CHAMPION, challenger, champion)
    assert (verdict.rule, verdict.holds) == ("comparable", False)
    assert f"{field}: another (champion), same" in verdict.figures or "fp32" in verdict.figures
    assert only(Rules(champion=Champion(metric="rougeL", above=0.0, may_differ=[field])), challenger, champion).holds


def test_the_first_champion_needs_no_comparison():
    rules = Rules(champion=CHAMPION.champion, slices=Slices(metric="rougeL", by=["group"], worst=0, sequences=1))
    verdicts = judge(rules, candidate(BASE), None, ROWS)
    assert [(verdict.rule, verdict.holds) for verdict in verdicts] == [("champion", None), ("slices", None)]


def slices(by: str, worst: float, sequences: int = 1) -> Rules:
    return Rules(slices=Slices(metric="rougeL", by=[by], worst=worst, sequences=sequences))


def test_the_worst_slice_counts_however_good_the_others_are():
    lettered = np.array([bool(ROWS[key]["target"]["text"].strip()) for key in KEYS])
    challenger = candidate(BASE + np.where(lettered, -0.05, 0.5))
    verdict = only(slices("target_lettering", -0.04), challenger, candidate(BASE))
    assert verdict.holds is False
    assert "worst of 2 is a target with lettering: -0.0500 [-0.0500, -0.0500] (30 sequences)" in verdict.figures
    assert only(slices("target_lettering", -0.06), challenger, candidate(BASE)).holds


def test_small_slices_are_counted_and_not_judged():
    verdict = only(slices("group", 0.0, PER_BOOK + 1), candidate(BASE - 1), candidate(BASE))
    assert verdict.holds is None
    assert f"60 sequences in slices of fewer than {PER_BOOK + 1} were not judged" in verdict.figures


def lift(low: float | None) -> Candidate:
    metrics = {"eval/pred/rougeL": 0.5, "floor/foreign/pred/rougeL": 0.3, "floor/panel5/pred/rougeL": 0.4}
    return candidate(BASE, metrics=metrics | ({} if low is None else {"ci_low/lift/pred/rougeL": low}))


@pytest.mark.parametrize(("low", "holds"), [(0.01, True), (0.0, False), (-0.01, False), (None, False)])
def test_the_lift_is_over_the_best_floor_and_surely_above(low, holds):
    verdict = only(Rules(lift=Lift(metric="rougeL", above=0.0)), lift(low), None)
    assert verdict.holds is holds
    assert "best floor 0.400 (panel5), lift +0.1000" in verdict.figures


def test_a_lift_that_was_not_measured_does_not_hold():
    assert only(Rules(lift=Lift(metric="bleu", above=0.0)), lift(0.1), None).holds is False


def test_books_of_the_training_among_those_of_the_evaluation_are_named():
    rules = Rules(contamination=Contamination(books=1))
    assert only(rules, candidate(BASE, trained_on=[3, 77]), None).holds
    verdict = only(rules, candidate(BASE, trained_on=[3, 7, 77]), None)
    assert verdict.holds is False
    assert "trained on 3 books, judged by 10 (10 but for reprints); 2 (3, 7) in both (1 allowed)" in verdict.figures


def test_a_champion_that_knows_the_books_is_told_of_but_does_not_protect_itself():
    challenger, champion = candidate(BASE, trained_on=[50]), candidate(BASE, trained_on=[5])
    verdict = only(Rules(contamination=Contamination(books=0)), challenger, champion)
    assert verdict.holds
    assert "the champion was trained on 1 (5) of these" in verdict.figures


def test_reprints_contaminate_by_the_groups_of_either_table():
    assert contaminated(Books(frozenset({1}), {1: 7, 2: 7}), {2: 100, 3: 200}) == {2}  # by the training's table
    assert contaminated(Books(frozenset({1}), {1: 7}), {1: 100, 2: 100, 3: 200}) == {1, 2}  # by the evaluation's
    assert contaminated(Books(frozenset({1}), {1: 7, 2: 7}), {2: 5, 4: 5, 3: 6}) == {2, 4}  # by both


@given(
    st.dictionaries(st.integers(0, 8), st.integers(0, 3)),
    st.dictionaries(st.integers(0, 8), st.integers(0, 3)),
    st.sets(st.integers(0, 8)),
)
def test_no_book_of_the_training_ever_counts_as_unseen(groups, evaluated, trained_on):
    found = contaminated(Books(frozenset(trained_on), groups), evaluated)
    assert trained_on & set(evaluated) <= found <= set(evaluated)
    assert {evaluated[book] for book in found}.isdisjoint(evaluated[book] for book in set(evaluated) - found)
