"""One by one: limits, faults and death."""

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloze.errors import SettingsError
from cloze.labels import interactive
from cloze.labels.answers import Answer, State
from cloze.labels.batch import BatchOptions, run_batches
from cloze.labels.interactive import InteractiveOptions, run_interactive
from cloze.labels.ledger import BudgetError, Ledger, Planned
from cloze.labels.provider import BusyError, DeniedError, RefusedError
from tests.fakes.provider import (
    MODEL,
    PRICE,
    FakeProvider,
    Killed,
    Lifeline,
    MortalLedger,
    Script,
    body_of,
    lines_of,
)

OPTIONS = InteractiveOptions(model=MODEL, price=PRICE, budget_usd=1.0, rpm=600_000, tpm=1e9)


class Hasty(FakeProvider):
    """Asks to wait for milliseconds, so that tests need not."""

    async def ask(self, model: str, key: str, body: Mapping[str, Any]) -> Answer:
        try:
            return await super().ask(model, key, body)
        except BusyError as error:
            raise BusyError(str(error), 0.02) from error


class World:
    """A provider and a ledger, and runs that come and go."""

    def __init__(self, folder: Path, n: int = 10) -> None:
        (folder / "server").mkdir()
        self.provider = Hasty(folder / "server", Script())
        self.path = folder / "ledger.sqlite"
        self.planned = [Planned(f"key{i}", f"1/2_{i}", "pred", "p", MODEL, "d", 1000, 150) for i in range(n)]
        self.said: list[str] = []

    def run(self, life: Lifeline | None = None, body=body_of, parse=None, **changes) -> None:
        life = life or Lifeline()
        self.provider.life, self.provider.n_open = life, 0
        with MortalLedger(self.path, life) as ledger:
            ledger.plan(self.planned)
            more = [parse] if parse else []
            run_interactive(ledger, self.provider, body, replace(OPTIONS, **changes), self.said.append, *more)

    def rows(self, sql: str) -> list[Any]:
        with sqlite3.connect(self.path) as db:
            return db.execute(sql).fetchall()

    def states(self) -> Counter[str]:
        return Counter(state for (state,) in self.rows("SELECT state FROM request"))

    def bill(self) -> float:
        return self.rows("SELECT sum(cost_usd) FROM request")[0][0]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_every_request_is_answered_and_billed_once(world):
    world.run()
    world.run()
    assert world.states() == {"ok": 10}
    assert set(world.provider.bill.values()) == {1}
    assert world.bill() == pytest.approx(world.provider.usd, abs=1e-9)
    assert world.provider.n_calls["close"] == 2


def test_no_more_are_under_way_than_asked_for(world):
    world.run(concurrency=3)
    assert world.provider.most_open == 3


@pytest.mark.parametrize("limit", [{"rpm": 1200}, {"tpm": 1200 * 1150}])
def test_the_limits_per_minute_hold(world, limit):
    started = time.monotonic()
    world.run(**limit)
    assert time.monotonic() - started >= 9 * 60 / 1200
    assert world.states() == {"ok": 10}


def test_a_busy_provider_is_waited_for_and_no_attempt_is_lost(world):
    world.provider.script.calls["ask"] = ["", "busy", "busy", "", "busy"]
    started = time.monotonic()
    world.run(concurrency=1)
    assert time.monotonic() - started >= 3 * 0.02
    assert world.states() == {"ok": 10}
    assert {attempt for _, attempt in world.provider.bill} == {1}


def test_a_provider_that_is_always_busy_ends_the_run_with_everything_planned(world):
    world.provider.script.calls["ask"] = ["busy"] * 1000
    with pytest.raises(BusyError):
        world.run()
    assert world.states() == {"planned": 10}
    assert world.provider.n_calls["ask"] <= interactive.MAX_BUSY * OPTIONS.concurrency


def test_what_goes_wrong_is_asked_again_a_bounded_number_of_times(world):
    fates = {("key0", 1): "truncated", ("key2", 1): "blocked"} | {("key1", n): "empty" for n in (1, 2, 3)}
    world.provider.script.fates = fates
    world.run()
    found = {key: more for key, *more in world.rows("SELECT key, state, attempt FROM request")}
    assert found["key0"] == ["ok", 2]
    assert found["key1"] == ["empty", 3]
    assert found["key2"] == ["blocked", 1]
    assert world.bill() == pytest.approx(world.provider.usd, abs=1e-9)


def test_an_answer_that_was_lost_on_its_way_is_asked_for_again(world):
    world.provider.script.calls["ask"] = ["lost before", "lost before"]
    world.run()
    assert world.states() == {"ok": 10}
    assert world.rows("SELECT count(*), max(reason) FROM answer WHERE state = 'missing'") == [
        (2, "answer lost: 503: unavailable")
    ]


def test_a_request_that_is_refused_fails_alone(world):
    world.provider.script.poison = {"key0", "key5"}
    world.run()
    assert world.rows("SELECT key, reason FROM request WHERE state = 'failed' ORDER BY key") == [
        ("key0", "refused: 400: the request is malformed"),
        ("key5", "refused: 400: the request is malformed"),
    ]
    assert world.states() == {"ok": 8, "failed": 2}


@pytest.mark.parametrize("n", [1, 10])
def test_a_provider_that_refuses_everything_ends_the_run_and_nothing_is_failed(tmp_path, n):
    world = World(tmp_path, n)
    world.provider.script.calls["ask"] = ["refused"] * 1000
    with pytest.raises(RefusedError, match="403: no"):
        world.run(concurrency=2)
    assert world.states() == {"planned": n}
    assert world.provider.n_calls["ask"] <= interactive.MAX_REFUSED + 1


def test_a_key_that_is_revoked_on_the_way_ends_the_run_and_blames_no_request(world):
    world.provider.script.calls["ask"] = ["", "", ""] + ["denied"] * 1000
    with pytest.raises(DeniedError, match="401: no such key"):
        world.run(concurrency=2)
    assert world.states() == {"ok": 3, "planned": 7}
    world.provider.script.calls["ask"] = []
    world.run()
    assert world.states() == {"ok": 10}


def test_the_budget_is_never_exceeded_and_a_larger_one_goes_on(world):
    one = PRICE.usd(1000, 150)
    with pytest.raises(
        BudgetError, match=r"budget_usd is 0\.001; it must be 0\.001\d or more: 0\.000\d spent, 0\.0000 res"
    ):
        world.run(budget_usd=0.001, concurrency=2)
    assert world.provider.usd <= 0.001
    assert world.states()["ok"] >= 0.001 // one - 1
    world.run()
    assert world.states() == {"ok": 10}
    assert set(world.provider.bill.values()) == {1}


def test_what_answers_really_cost_replaces_the_estimate(world):
    world.planned = [replace(request, est_input_tokens=1_000_000) for request in world.planned]
    world.run(budget_usd=0.2, concurrency=4)
    assert world.states() == {"ok": 10}


def test_another_models_answer_stops_the_run(world):
    world.provider.script.fates = {("key1", 1): "rerouted"}
    with pytest.raises(SettingsError, match="successor-2"):
        world.run(concurrency=1)
    assert world.states() == {"ok": 1, "failed": 1, "planned": 8}
    assert world.bill() == pytest.approx(world.provider.usd, abs=1e-9)


def test_the_parser_decides_what_is_a_label(world):
    world.run(parse=lambda answer: replace(answer, state=State.UNPARSABLE, text=None, reason="no"), max_attempts=2)
    assert world.states() == {"unparsable": 10}
    assert world.rows("SELECT DISTINCT attempt FROM request") == [(2,)]


def test_a_body_that_cannot_be_made_ends_the_run_before_it_is_sent(world):
    def body(key: str, attempt: int) -> dict[str, int]:
        if key == "key4":
            raise OSError("no picture")
        return body_of(key, attempt)

    with pytest.raises(OSError, match="no picture"):
        world.run(body=body)
    assert world.states() == {"ok": 4, "planned": 6}


def test_requests_in_a_batch_job_are_left_alone(world, tmp_path):
    class EnoughError(Exception):
        pass

    def stop(seconds: float) -> None:
        raise EnoughError

    options = BatchOptions(model=MODEL, price=PRICE, budget_usd=1.0, shard_requests=4, max_jobs=1)
    with Ledger(world.path) as ledger:
        ledger.plan(world.planned)
        with pytest.raises(EnoughError):
            run_batches(ledger, world.provider, lines_of, options, stop, world.said.append)
    world.run()
    assert world.states() == {"ok": 6, "submitted": 4}
    assert any("4 requests are in batch jobs" in line for line in world.said)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_death_at_any_instant_loses_no_row_and_repeats_at_most_what_was_under_way(tmp_path, concurrency):
    at, alive = 0, True
    while alive:
        at += 1
        (tmp_path / str(at)).mkdir()
        world = World(tmp_path / str(at), n=5)
        world.provider.script.calls["ask"] = ["", "busy", "lost before"]
        try:
            world.run(Lifeline(at), concurrency=concurrency)
            alive = False
        except Killed:
            pass
        under_way = world.states()["submitted"] if at > 1 else 0
        assert under_way <= concurrency
        world.run()
        assert world.states() == {"ok": 5}
        assert set(world.provider.bill.values()) == {1}
        paid = {(key, attempt) for key, attempt in world.rows("SELECT key, attempt FROM answer WHERE usd > 0")}
        assert paid <= set(world.provider.bill)
        assert len(world.provider.bill) - len(paid) <= under_way
    assert at > 30
