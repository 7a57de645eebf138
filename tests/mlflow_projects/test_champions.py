"""The history of champions: who can be gone back to, and who may say what comes next."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_projects.champions import (
    DECISION,
    FOUND,
    PROMOTED,
    REFUSED,
    ROLLED_BACK,
    TABLE,
    Decision,
    after,
    claim_succession,
    reigning,
)
from tests.conftest import PROJECT

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def decision(kind: str, version: str | None, number: int = 0, run_id: str = "r") -> Decision:
    when = NOON + timedelta(minutes=number)
    return Decision("cloze-pred", kind, version or "", None, version, "default", "", when, run_id)


def reigns(*steps: tuple[str, str | None]) -> list[str | None]:
    return reigning([decision(kind, version, number) for number, (kind, version) in enumerate(steps)])


def test_the_last_promoted_reigns_and_those_before_can_be_gone_back_to():
    assert reigns((PROMOTED, "1"), (PROMOTED, "4"), (REFUSED, "5"), (PROMOTED, "6")) == ["1", "4", "6"]


def test_one_that_was_rolled_back_is_not_gone_back_to():
    assert reigns((PROMOTED, "1"), (PROMOTED, "4"), (ROLLED_BACK, "1")) == ["1"]
    assert reigns((PROMOTED, "1"), (PROMOTED, "4"), (ROLLED_BACK, "1"), (PROMOTED, "5")) == ["1", "5"]


def test_a_champion_made_by_hand_counts_as_one():
    assert reigns((PROMOTED, "1"), (FOUND, "3"), (PROMOTED, "4")) == ["1", "3", "4"]
    assert reigns((PROMOTED, "1"), (FOUND, None)) == ["1", None]


@given(st.lists(st.sampled_from(["promote", "roll back"]), max_size=30))
def test_rolling_back_as_often_as_was_promoted_ends_with_the_first(actions):
    """The model is a plain stack of versions that were never rolled back."""
    past: list[Decision] = []
    expected: list[str] = []
    for number, action in enumerate(actions):
        if action == "promote":
            expected.append(str(number))
            past.append(decision(PROMOTED, str(number), number))
        elif len(expected) > 1:
            expected.pop()
            past.append(decision(ROLLED_BACK, expected[-1], number))
        assert reigning(past) == expected


def test_decisions_stay_in_order_though_clocks_differ():
    ahead = decision(PROMOTED, "1")
    future = Decision(**{**vars(ahead), "decided_at": datetime.now(UTC) + timedelta(hours=1)})
    assert after([future]) > future.decided_at
    assert after([]) <= datetime.now(UTC)


@pytest.fixture
def anchor(store) -> str:
    """The run that made the present champion."""
    experiment = store.get_experiment_by_name("comics-cloze").experiment_id
    return store.create_run(experiment).info.run_id


def deciding(store, anchor: str) -> str:
    return store.create_run(store.get_run(anchor).info.experiment_id).info.run_id


def past(anchor: str) -> list[Decision]:
    return [decision(PROMOTED, "1", run_id=anchor)]


def test_the_first_of_two_that_decide_at_once_says_who_follows(store, anchor):
    first, second = deciding(store, anchor), deciding(store, anchor)
    assert claim_succession("cloze-pred", past(anchor), first) == first
    assert claim_succession("cloze-pred", past(anchor), second) == first
    assert claim_succession("cloze-pred", past(anchor), first) == first


def test_one_that_died_before_it_decided_stands_in_nobodys_way(store, anchor):
    dead, alive = deciding(store, anchor), deciding(store, anchor)
    assert claim_succession("cloze-pred", past(anchor), dead) == dead
    store.set_terminated(dead, "FAILED")
    assert claim_succession("cloze-pred", past(anchor), alive) == alive


@pytest.mark.parametrize(("kind", "stands"), [(PROMOTED, True), (ROLLED_BACK, True), (REFUSED, False)])
def test_one_that_decided_stands_only_if_it_moved_the_alias(store, anchor, kind, stands):
    ended, late = deciding(store, anchor), deciding(store, anchor)
    claim_succession("cloze-pred", past(anchor), ended)
    store.set_tag(ended, f"cloze.digest.{TABLE}", "0")
    store.set_tag(ended, DECISION, kind)
    store.set_terminated(ended, "FINISHED")
    assert claim_succession("cloze-pred", past(anchor), late) == (ended if stands else late)


def test_of_many_processes_exactly_one_may_decide(store, store_uri, anchor):
    code = (
        "import sys; from tests.mlflow_projects.test_champions import past; "
        "from mlflow_projects.champions import claim_succession; sys.stdin.read(1); "
        "print(claim_succession('cloze-pred', past(sys.argv[1]), sys.argv[2]))"
    )
    runs = [deciding(store, anchor) for _ in range(3)]
    command = [sys.executable, "-c", code, anchor]
    started = [
        subprocess.Popen([*command, run_id], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for run_id in runs
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = {process.communicate(timeout=120)[0].strip() for process in started}
    assert len(said) == 1
    assert said < set(runs)
