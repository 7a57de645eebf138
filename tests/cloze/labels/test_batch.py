"""Batches: every fault, every instant of death, and what they may not do to rows and money."""

import json
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cloze.errors import ClozeError, SettingsError
from cloze.labels import batch
from cloze.labels.answers import RETRIED, Answer, State
from cloze.labels.batch import BatchOptions, run_batches
from cloze.labels.ledger import BudgetError, Planned
from cloze.labels.provider import JobState, RefusedError
from tests.fakes.provider import MODEL, PRICE, FakeProvider, Killed, Lifeline, MortalLedger, Script, lines_of

OPTIONS = BatchOptions(model=MODEL, price=PRICE, budget_usd=1.0, shard_requests=4, max_jobs=2, poll_s=60.0)


class World:
    """A provider, a ledger's folder, and runs that come and go."""

    def __init__(self, folder: Path, script: Script | None = None, n: int = 10) -> None:
        (folder / "server").mkdir()
        self.provider = FakeProvider(folder / "server", script)
        self.path = folder / "ours" / "ledger.sqlite"
        self.planned = requests(n)
        self.waits: list[float] = []
        self.said: list[str] = []
        self.options = OPTIONS

    def run(self, life: Lifeline | None = None, lines=lines_of, parse=None, **changes) -> int:
        """One run until its end or its death; how many instants of death it passed."""
        life = life or Lifeline()
        self.provider.life = life
        with MortalLedger(self.path, life) as ledger:
            ledger.plan(self.planned)
            options = replace(self.options, **changes)
            more = [parse] if parse else []
            run_batches(ledger, self.provider, lines, options, self.waits.append, self.said.append, *more)
        return life.n_ticks

    def die(self, at: int, **changes) -> bool:
        """A run that is killed at its n-th instant; False where it ended before."""
        try:
            self.run(Lifeline(at), **changes)
        except Killed:
            return True
        return False

    def rows(self, sql: str) -> list[Any]:
        with sqlite3.connect(self.path) as db:
            return db.execute(sql).fetchall()

    def states(self) -> dict[str, str]:
        return dict(self.rows("SELECT key, state FROM request"))

    def check(self) -> None:
        """What holds at every instant, dead or alive: no row lost or in two places, no attempt paid twice."""
        known = {key for (key,) in self.rows("SELECT key FROM request")}
        assert known in (set(), {request.key for request in self.planned})
        is_open = dict(self.rows("SELECT id, n_requests FROM shard WHERE state NOT IN ('ingested', 'dead')"))
        assert is_open == dict(
            self.rows("SELECT shard, count(*) FROM request WHERE state = 'submitted' OR shard NOT NULL GROUP BY shard")
        )
        assert set(self.provider.bill.values()) <= {1}
        paid = {(key, attempt) for key, attempt in self.rows("SELECT key, attempt FROM answer WHERE usd > 0")}
        assert paid <= set(self.provider.bill)
        assert self.rows("SELECT coalesce(sum(cost_usd), 0) FROM request")[0][0] <= self.provider.usd + 1e-9

    def check_end(self) -> None:
        """What holds once a run has ended well: all is answered or out of attempts, and the bills agree."""
        self.check()
        for state, attempt, is_final in self.rows("SELECT state, attempt, is_final FROM request"):
            assert state not in RETRIED or is_final or attempt == self.options.max_attempts
            assert state not in ("planned", "submitted")
        paid = {(key, attempt) for key, attempt in self.rows("SELECT key, attempt FROM answer WHERE usd > 0")}
        assert paid == set(self.provider.bill)
        assert self.rows("SELECT sum(cost_usd) FROM request")[0][0] == pytest.approx(self.provider.usd, abs=1e-9)
        wrong = self.rows(
            "SELECT key, text FROM request WHERE text IS NOT NULL AND text NOT LIKE '%text of ' || key || ' %'"
        )
        assert wrong == []
        assert list((self.path.parent / "ledger-shards").iterdir()) == []
        assert JobState.RUNNING not in {made.job.state for made in self.provider.made.values()}


def requests(n: int) -> list[Planned]:
    return [Planned(f"key{i}", f"1/2_{i}", "pred", "p", MODEL, "d", 1000, 150) for i in range(n)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_every_request_is_answered_and_billed_once(world):
    world.run()
    world.check_end()
    assert set(world.states().values()) == {"ok"}
    assert sum(world.provider.bill.values()) == 10
    n_calls = dict(world.provider.n_calls)
    world.run()
    assert world.provider.n_calls == n_calls


FATES = {
    "key0": ("blocked", 1, "blocked", "SAFETY"),
    "key1": ("truncated", 3, "truncated", "MAX_TOKENS"),
    "key2": ("empty", 3, "empty", "no parts"),
    "key3": ("unparsable", 3, "unparsable", "{"),
    "key4": ("failed", 1, "failed", "code 3"),
    "key5": ("dropped", 3, "missing", "no answer in the job's file (job succeeded)"),
    "key6": ("torn", 3, "missing", "no answer in the job's file (job succeeded)"),
    "key7": ("duplicate", 1, "ok", None),
    "key8": ("bad, then good", 1, "ok", None),
    "key9": ("stranger", 1, "ok", None),
}


def test_each_fault_of_a_line_leads_to_its_state_after_a_bounded_number_of_attempts(world):
    world.provider.script.fates = {(key, n): fate for key, (fate, *_) in FATES.items() for n in (1, 2, 3)}
    world.run()
    world.check_end()
    found = world.rows("SELECT key, attempt, state, reason FROM request")
    assert {key: tuple(outcome) for key, *outcome in found} == {
        key: tuple(outcome) for key, (_, *outcome) in FATES.items()
    }
    assert sum("1 duplicates" in line for line in world.said) == 2
    assert any("1 of unknown keys" in line for line in world.said)


def test_a_second_attempt_that_is_good_makes_the_label(world):
    world.provider.script.fates = {("key3", 1): "truncated", ("key4", 1): "dropped", ("key4", 2): "empty"}
    world.run()
    world.check_end()
    assert set(world.states().values()) == {"ok"}
    assert world.provider.bill["key3", 1] == world.provider.bill["key3", 2] == 1
    assert world.rows("SELECT attempt, state FROM answer WHERE key = 'key4' ORDER BY attempt") == [
        (1, "missing"),
        (2, "empty"),
        (3, "ok"),
    ]


@pytest.mark.parametrize("fate", ["failed", "expired", "cancelled"])
def test_a_job_that_ends_without_answers_is_sent_again_and_then_its_requests_are_missing(world, fate):
    world.provider.script.jobs = [fate, "succeeded", fate, "succeeded", fate]
    world.run()
    world.check_end()
    assert Counter(world.states().values()) == {"ok": 6, "missing": 4}
    assert world.rows("SELECT DISTINCT reason FROM request WHERE state = 'missing'") == [(f"job {fate}: it {fate}",)]


def test_the_finished_half_of_an_expired_job_is_kept_and_only_the_rest_is_sent_again(world):
    world.provider.script.jobs = ["expired in part"]
    world.run()
    world.check_end()
    assert sorted(Counter(key for key, _ in world.provider.bill).values()) == [1] * 10
    assert world.rows("SELECT count(*), max(attempt) FROM request WHERE attempt > 1") == [(2, 2)]


@pytest.mark.parametrize("hidden", [0, 2])
@pytest.mark.parametrize("fault", ["lost after", "twice"])
def test_a_job_whose_name_was_lost_is_found_by_its_display_name_and_others_of_it_cancelled(world, fault, hidden):
    world.provider.script.calls["create"] = [fault]
    world.provider.script.hidden = hidden
    world.run()
    world.check_end()
    assert world.provider.n_calls["create"] == 3
    assert world.waits.count(batch.LOOK_WAIT_S) >= hidden
    assert any("found again as batches/0" in line for line in world.said)


def test_a_job_that_was_never_made_is_made_after_it_was_looked_for_in_vain(world):
    world.provider.script.calls["create"] = ["lost before"]
    world.run()
    world.check_end()
    assert world.provider.n_calls["find"] == batch.LOOKS
    assert world.provider.n_calls["create"] == 4


def test_a_busy_provider_is_given_the_time_it_asks_for_while_other_jobs_are_collected(world):
    world.provider.script.calls["create"] = ["", "busy"]
    world.run(poll_s=30.0)
    world.check_end()
    assert sum(world.waits) >= 90
    first_submissions = [line for line in world.said if "submitted" in line or "10 " in line or "4 answers" in line]
    assert "answers" in first_submissions[1]


@pytest.mark.parametrize("method", ["upload", "get", "find", "download"])
@pytest.mark.parametrize("fault", ["lost before", "lost after", "busy"])
def test_a_call_that_fails_is_made_again_in_a_later_round(world, method, fault):
    world.provider.script.calls = {method: [fault, fault], "create": ["lost after"]}
    world.run()
    world.check_end()
    assert set(world.states().values()) == {"ok"}


def test_a_provider_that_never_answers_ends_the_run_and_a_later_one_goes_on(world):
    world.provider.script.calls["get"] = ["lost before"] * 10_000
    with pytest.raises(ClozeError, match="503"):
        world.run()
    world.check()
    world.provider.script.calls["get"] = []
    world.run()
    world.check_end()
    assert sum(world.provider.bill.values()) == 10


def test_one_poisonous_request_fails_alone(world):
    world.provider.script.poison = {"key2"}
    world.run()
    world.check_end()
    assert Counter(world.states().values()) == {"ok": 9, "failed": 1}
    assert world.rows("SELECT key, reason FROM request WHERE state = 'failed'") == [
        ("key2", "refused: 400: a request is malformed")
    ]


def test_a_key_that_is_revoked_on_the_way_blames_no_request(world):
    world.options = replace(OPTIONS, shard_requests=1, max_jobs=1)
    world.provider.script.calls = {"create": ["", *["refused"] * 40], "find": ["refused"]}
    with pytest.raises(RefusedError, match="403: no"):
        world.run()
    world.check()
    assert Counter(world.states().values()) == {"ok": 1, "submitted": 1, "planned": 8}
    world.provider.script.calls = {}
    world.run()
    world.check_end()
    assert set(world.states().values()) == {"ok"}


@pytest.mark.parametrize(("fate", "n_ok"), [("expired in part", 10), ("succeeded", 0)])
def test_answers_that_are_refused_are_given_up_only_if_the_job_did_not_succeed(world, fate, n_ok):
    world.provider.script.jobs = [fate]
    world.provider.script.calls["download"] = ["refused"]
    if fate == "succeeded":
        with pytest.raises(RefusedError):
            world.run()
        assert world.rows("SELECT state, count(*) FROM request GROUP BY state") == [("planned", 2), ("submitted", 8)]
        return
    world.run()
    world.check()
    assert Counter(world.states().values()) == {"ok": n_ok}


@pytest.mark.parametrize("method", ["upload", "create"])
def test_a_provider_that_refuses_everything_ends_the_run_and_nothing_is_failed(world, method):
    world.provider.script.calls[method] = ["refused"] * 1000
    with pytest.raises(ClozeError, match="403: no"):
        world.run()
    world.check()
    assert set(world.states().values()) <= {"planned", "submitted"}
    world.provider.script.calls[method] = []
    world.run()
    world.check_end()
    assert set(world.states().values()) == {"ok"}


def test_the_number_of_refusals_is_bounded(tmp_path):
    world = World(tmp_path, n=300)
    world.provider.script.calls["create"] = ["refused"] * 1000
    with pytest.raises(ClozeError, match=f"refused {batch.MAX_REFUSALS} files of requests in a row.*403: no"):
        world.run(shard_requests=300)
    assert world.provider.n_calls["create"] == batch.MAX_REFUSALS
    world.check()


def test_a_file_that_the_provider_deleted_between_two_runs_is_uploaded_again(world):
    assert world.die(10, max_jobs=1)
    assert world.rows("SELECT state FROM shard") == [("uploaded",)]
    world.provider.script.calls["create"] = ["refused"]
    world.run()
    world.check_end()
    assert set(world.states().values()) == {"ok"}
    assert world.provider.n_calls["upload"] == 4


def test_a_refusal_to_tell_how_a_job_stands_ends_the_run_without_giving_up_on_it(world):
    world.provider.script.calls["get"] = ["refused"]
    with pytest.raises(RefusedError):
        world.run()
    world.check()
    world.run()
    world.check_end()
    assert sum(world.provider.bill.values()) == 10


def test_nothing_is_sent_that_could_exceed_the_budget_and_what_was_sent_is_collected(world):
    estimate = 4 * PRICE.usd(1000, 150)
    with pytest.raises(
        BudgetError, match=r"budget_usd is 0\.0011; it must be 0\.0018 or more: 0\.0008 spent, 0\.0000 reserved"
    ):
        world.run(budget_usd=round(estimate * 1.2, 4))
    world.check()
    assert Counter(world.states().values()) == {"ok": 4, "planned": 6}
    assert world.rows("SELECT count(*) FROM shard") == [(1,)]
    world.run(budget_usd=1.0)
    world.check_end()


def test_a_reservation_is_compared_with_the_bill_and_its_rest_is_used(world):
    """Estimated at 20 times the bill: all fits in turn, though not at once."""
    world.planned = [replace(request, est_input_tokens=40_000) for request in requests(10)]
    world.run(budget_usd=4 * PRICE.usd(40_000, 150) * 1.5)
    world.check_end()
    assert any("over" in line or "budget_usd" in line for line in world.said)
    assert world.provider.usd < 0.003


def test_what_is_reserved_by_a_killed_run_counts_against_a_smaller_budget(world):
    assert world.die(6)
    with pytest.raises(BudgetError, match=r"it must be 0\.0009 or more"):
        world.run(budget_usd=1e-6)
    assert world.provider.n_calls["create"] == 0
    world.check()
    world.run()
    world.check_end()


def test_answers_of_another_model_stop_the_run_and_none_is_a_label(world):
    world.provider.script.fates = {("key1", 1): "rerouted"}
    with pytest.raises(
        SettingsError, match=r"model is 'teacher-1'; it must be the model that answers; successor-2 gave 1"
    ):
        world.run()
    world.check()
    assert world.rows("SELECT state, text, reason, cost_usd > 0 FROM request WHERE key = 'key1'") == [
        ("failed", None, "answered by successor-2", 1)
    ]
    world.run()
    world.check_end()


def test_the_parser_decides_what_is_a_label(world):
    def parse(answer: Answer) -> Answer:
        if answer.key == "key5":
            return replace(answer, state=State.UNPARSABLE, text=None, reason="no JSON")
        return answer

    world.run(parse=parse)
    world.check_end()
    assert world.states()["key5"] == "unparsable"
    assert world.provider.bill["key5", 3] == 1


def test_files_hold_to_both_limits(world):
    line = len(json.dumps({"key": "key0", "request": {"attempt": 1}})) + 1
    world.run(shard_bytes=3 * line + 1)
    world.check_end()
    files = [file.read_bytes() for file in world.provider.folder.glob("cloze-*")]
    assert sorted(file.count(b"\n") for file in files) == [1, 3, 3, 3]
    assert max(map(len, files)) == 3 * line


def test_a_line_larger_than_a_file_may_be_is_refused(world):
    with pytest.raises(SettingsError, match="shard_bytes is 10; it must be more: request key0 alone is larger"):
        world.run(shard_bytes=10)


def test_lines_are_made_only_when_a_file_is_written(world):
    asked: list[int] = []

    def lines(pairs: Sequence[tuple[str, int]]):
        for pair in lines_of(pairs):
            asked.append(world.provider.n_calls["create"])
            yield pair

    world.run(lines=lines)
    assert asked == [0] * 4 + [1] * 4 + [2] * 2


def test_a_line_for_another_request_is_our_bug(world):
    with pytest.raises(ValueError, match="a line of key1 in the place of key0"):
        world.run(lines=lambda pairs: lines_of(reversed(pairs[:2])))


def test_files_that_somebody_deleted_are_made_or_fetched_again(world):
    at = 1
    while world.die(at):
        at += 1
        for file in (world.path.parent / "ledger-shards").iterdir():
            file.unlink()
    world.run()
    world.check_end()
    assert sum(world.provider.bill.values()) == 10


def trouble() -> Script:
    """A bit of everything that a run survives."""
    return Script(
        calls={
            "create": ["lost after", "", "busy", "twice", "lost before"],
            "get": ["", "lost before"],
            "upload": ["busy"],
        },
        jobs=["succeeded", "expired", "expired in part"],
        fates={("key0", 1): "truncated", ("key1", 1): "duplicate", ("key9", 1): "dropped", ("key9", 2): "stranger"},
        poison={"key6"},
        hidden=1,
    )


def test_death_at_any_instant_loses_no_row_and_pays_nothing_twice():
    """Killed at the n-th instant, for every n that a run has; then again in the run after it; then left alone."""
    at, n_deaths = 0, 0
    alive = True
    while alive:
        at += 1
        with tempfile.TemporaryDirectory(dir=_fast()) as name:
            world = World(Path(name), trouble())
            alive = world.die(at)
            world.check()
            n_deaths += alive + world.die(1 + at % 13)
            world.check()
            world.run()
            world.check_end()
            assert Counter(world.states().values()) == {"ok": 9, "failed": 1}
    assert n_deaths > 100


WORDS = [
    "blocked",
    "truncated",
    "empty",
    "unparsable",
    "failed",
    "dropped",
    "torn",
    "duplicate",
    "bad, then good",
    "stranger",
]
CALLS = {
    "create": ["busy", "lost before", "lost after", "twice"],
    "upload": ["busy", "lost before", "lost after"],
    "find": ["lost before", "busy"],
    "get": ["lost before", "busy"],
    "download": ["lost before", "lost after"],
    "cancel": ["lost before", "lost after"],
}
FAULTS = st.sampled_from([(method, fault) for method, faults in CALLS.items() for fault in faults])


class KillAndResume(RuleBasedStateMachine):
    """Faults come, runs die anywhere and are started again; at the end one is left to finish."""

    @initialize(
        n=st.integers(1, 12), hidden=st.integers(0, batch.LOOKS - 1), poison=st.sets(st.integers(0, 11), max_size=2)
    )
    def begin(self, n, hidden, poison):
        self.folder = tempfile.TemporaryDirectory(dir=_fast())
        self.world = World(Path(self.folder.name), Script(hidden=hidden), n)
        self.world.provider.script.poison = {f"key{number}" for number in poison}
        self.world.die(2)

    @rule(fault=FAULTS)
    def a_call_will_fail(self, fault):
        method, what = fault
        self.world.provider.script.calls.setdefault(method, []).append(what)

    @rule(fate=st.sampled_from(["failed", "expired", "cancelled", "expired in part"]))
    def a_job_will_end_badly(self, fate):
        self.world.provider.script.jobs.append(fate)

    @rule(key=st.integers(0, 11), attempt=st.integers(1, 3), fate=st.sampled_from(WORDS))
    def a_request_will_go_wrong(self, key, attempt, fate):
        self.world.provider.script.fates[f"key{key}", attempt] = fate

    @rule(at=st.integers(1, 40), size=st.integers(1, 5), jobs=st.integers(1, 3))
    def run_and_die(self, at, size, jobs):
        try:
            self.world.die(at, shard_requests=size, max_jobs=jobs)
        except ClozeError as error:
            assert "refused" in str(error)  # noqa: PT017 - only where every request left is poison

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def nothing_is_lost_or_paid_twice(self):
        self.world.check()

    def teardown(self):
        if not hasattr(self, "world"):
            return
        script = self.world.provider.script
        if script.poison >= {request.key for request in self.world.planned}:
            script.poison = set()  # else nothing but refusals, which is another test's
        self.world.run()
        self.world.check_end()
        self.folder.cleanup()


def _fast() -> str | None:
    """Memory, where there is such a folder: what is under test is the order of commits, not the disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


KillAndResume.TestCase.settings = settings(
    max_examples=100, stateful_step_count=10, suppress_health_check=list(HealthCheck)
)
TestKillAndResume = KillAndResume.TestCase


def test_a_ledger_without_requests_is_a_run_without_calls(world):
    world.planned = []
    world.run()
    assert not world.provider.n_calls
