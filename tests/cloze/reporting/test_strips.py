"""Which sequences are shown, and what is said about them."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from cloze.reporting.cells import read_cells
from cloze.reporting.evidence import read_evidence
from cloze.reporting.strips import KINDS, RANKINGS, choose, ranks

SCORES = st.lists(st.tuples(*[st.one_of(st.just(np.nan), st.floats(0, 1))] * 2), min_size=1, max_size=40)


def ranked(rows: list[tuple[float, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, index=[f"{i:03}" for i in range(len(rows))])


@given(SCORES, st.integers(0, 30), st.integers(1, 5))
def test_as_many_are_chosen_as_there_are_or_were_asked_for(rows, count, books):
    table = ranked(rows)
    chosen = choose(table, {key: i % books for i, key in enumerate(table.index)}, count)
    assert len(chosen) == min(count, len(rows))
    assert set(chosen) <= set(table.index)
    assert set(chosen.values()) <= set(KINDS)


def test_best_worst_and_most_different_are_what_they_say():
    table = ranked([(0.9, 0.9), (0.5, 0.5), (0.0, 0.0), (0.1, 1.0), (0.4, 0.4), (0.6, 0.6)])
    chosen = choose(table, {key: i for i, key in enumerate(table.index)}, 4)
    assert {kind: key for key, kind in chosen.items()} == {
        "best": "000",
        "worst": "002",
        "apart": "003",
        "other": "001",
    }


def test_a_kind_takes_from_other_books_before_it_takes_twice_from_one():
    table = ranked([(0.9, 0.9), (0.8, 0.8), (0.7, 0.7), (0.1, 0.1)])
    chosen = choose(table, {"000": 1, "001": 1, "002": 2, "003": 3}, 8)
    assert [key for key, kind in chosen.items() if kind == "best"] == ["000", "002"]


def test_runs_that_share_facts_are_ranked_by_their_recall(study):
    evidence = [read_evidence(cell) for cell in read_cells(study).cells[:4]]
    name, table = ranks(evidence)
    assert name == RANKINGS[("facts", "recall")]
    assert table.shape == (24, 4)
    assert not table.isna().any(axis=None)
