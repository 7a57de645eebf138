"""The ledger: plans, states, and who may write."""

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cloze.errors import DataError, MissingInputError
from cloze.labels.answers import Answer, State
from cloze.labels.cost import Price
from cloze.labels.ledger import Ledger, Planned, Shard, ShardState

MODEL = "teacher-1"
PRICE = Price(1.0, 2.0, 0.1)


def planned(n: int, digest: str = "d") -> list[Planned]:
    return [Planned(f"k{i}", f"1/2_{i}", "pred", "p", MODEL, digest, 1000, 100) for i in range(n)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def test_planning_twice_keeps_what_is_there(path):
    with Ledger(path) as ledger:
        ledger.plan(planned(3))
        ledger.take("k0")
        ledger.record(1, Answer("k0", State.OK, text="a", model=MODEL, input_tokens=10), 0.5, max_attempts=3)
    with Ledger(path) as ledger:
        counts = ledger.plan(planned(5))
        assert counts == dict.fromkeys(State, 0) | {State.OK: 1, State.PLANNED: 4}
        assert ledger.cost() == 0.5


def test_another_request_under_a_known_key_is_refused_and_nothing_is_planned(path):
    with Ledger(path) as ledger:
        ledger.plan(planned(2))
    with Ledger(path) as ledger:
        with pytest.raises(DataError, match=r"ledger.sqlite: request k1 was planned as d and is now e"):
            ledger.plan([*planned(9)[2:], replace(planned(2)[1], request_digest="e")])
        assert sum(ledger.counts().values()) == 0
        ledger.plan(planned(2))
    assert sqlite3.connect(path).execute("SELECT count(*) FROM request").fetchone() == (2,)


def test_two_requests_under_one_key_in_one_plan_are_refused(path):
    with Ledger(path) as ledger, pytest.raises(DataError, match="k0"):
        ledger.plan([*planned(1), *planned(1, digest="e")])


def test_a_run_sees_only_what_it_planned(path):
    with Ledger(path) as ledger:
        ledger.plan(planned(10))
    with Ledger(path) as ledger:
        ledger.plan(planned(4))
        assert [request.key for request in ledger.pending(99)] == ["k0", "k1", "k2", "k3"]
        assert len(list(ledger.rows())) == 4
        assert ledger.estimate(PRICE)[:4] == (4, 4000, 0, 400)
        assert ledger.estimate(PRICE).usd == pytest.approx(0.0048)


def test_a_second_writer_is_told_who_holds_the_ledger(path):
    with Ledger(path), pytest.raises(MissingInputError, match=rf"in use by process {os.getpid()} on \S+;"):
        Ledger(path)
    Ledger(path).close()


def test_others_may_read_while_one_writes(path):
    with Ledger(path) as ledger:
        ledger.plan(planned(2))
        reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        assert reader.execute("SELECT count(*) FROM request").fetchone() == (2,)


def test_a_process_that_is_killed_keeps_what_it_committed_and_frees_the_ledger(path):
    program = """if True:
        import os, signal, sys
        from pathlib import Path
        from cloze.labels.ledger import Ledger
        from tests.cloze.labels.test_ledger import planned
        ledger = Ledger(Path(sys.argv[1]))
        ledger.plan(planned(1000))
        ledger.take("k0")
        with ledger.transaction():
            ledger._db.execute("UPDATE request SET state = 'failed'")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    with Ledger(path) as ledger:
        counts = ledger.plan(planned(1000))
        assert (counts[State.PLANNED], counts[State.SUBMITTED]) == (999, 1)


def test_only_ok_rows_have_text(path):
    with Ledger(path) as ledger:
        ledger.plan(planned(1))
    writer = sqlite3.connect(path)
    for change in ("state = 'ok'", "text = 'half'", "state = 'lost'", "attempt = 0"):
        with pytest.raises(sqlite3.IntegrityError):
            writer.execute(f"UPDATE request SET {change}")  # noqa: S608


def test_what_is_retried_keeps_its_last_state_when_its_attempts_are_used_up(path):
    with Ledger(path) as ledger:
        ledger.plan(planned(1))
        for attempt in (1, 2):
            assert ledger.pending(9) == [("k0", attempt, 1000, 100)]
            ledger.take("k0")
            ledger.record(attempt, Answer("k0", State.TRUNCATED, reason="MAX_TOKENS", output_tokens=7), 0.25, 2)
        [row] = ledger.rows()
        assert (row["state"], row["reason"], row["output_tokens"], row["cost_usd"]) == (
            "truncated",
            "MAX_TOKENS",
            14,
            0.5,
        )
        assert ledger.begin(MODEL, max_attempts=2) == 0
        assert ledger.pending(9) == []


def test_more_attempts_let_a_later_run_go_on_but_not_with_what_is_final(path):
    with Ledger(path) as ledger:
        ledger.plan(planned(3))
        for key, state, is_final in (("k0", State.EMPTY, False), ("k1", State.EMPTY, True), ("k2", State.FAILED, True)):
            ledger.take(key)
            ledger.record(1, Answer(key, state, reason="r", is_final=is_final), 0, max_attempts=1)
        assert ledger.pending(9) == []
        ledger.begin(MODEL, max_attempts=2)
        assert ledger.pending(9) == [("k0", 2, 1000, 100)]


GOOD, BETTER, BAD = (
    Answer("k0", State.OK, text="good", output_tokens=7),
    Answer("k0", State.OK, text="better", output_tokens=7),
    Answer("k0", State.EMPTY, reason="no parts", output_tokens=7),
)


@pytest.mark.parametrize("answers", [[GOOD, BETTER], [BAD, GOOD, BETTER], [GOOD, BAD], [BAD, GOOD, BAD]])
def test_the_first_good_answer_to_a_key_counts_and_is_billed_once(path, answers):
    with Ledger(path) as ledger:
        ledger.plan(planned(2))
        shard = Shard("s", "cloze-s", ShardState.INTENT, MODEL, "s.jsonl", None, None, 1, 9, 0.5, None)
        ledger.reserve(shard, ledger.pending(1), budget_usd=1.0)
        assert (ledger.reserved(), ledger.in_flight()) == (0.5, 0)
        found = ledger.ingest(shard, answers, lambda answer: 0.25, 3, "absent")
        assert found == (1, 0, len(answers) - 1, 0, 0.25)
        row = next(ledger.rows())
        assert (row["state"], row["text"], row["output_tokens"], row["cost_usd"]) == ("ok", "good", 7, 0.25)
        assert ledger.reserved() == 0


def test_a_request_is_taken_once(path):
    with Ledger(path) as ledger:
        ledger.plan(planned(1))
        ledger.take("k0")
        with pytest.raises(RuntimeError, match="k0 is not planned"):
            ledger.take("k0")
        ledger.give_back("k0")
        assert ledger.pending(1) == [("k0", 1, 1000, 100)]


def test_a_ledger_of_one_model_is_not_run_with_another(path):
    with Ledger(path) as ledger:
        ledger.plan(planned(1))
        with pytest.raises(ValueError, match="a run of other over requests to teacher-1"):
            ledger.begin("other", 3)


@pytest.mark.parametrize("damage", ["not a database" * 100, ""])
def test_a_file_that_is_no_ledger_is_refused(path, damage):
    if damage:
        path.write_text(damage)
    else:
        sqlite3.connect(path).execute("PRAGMA user_version = 7")
    with pytest.raises(DataError, match="no ledger"):
        Ledger(path)
    path.unlink()
    Ledger(path).close()


def test_rows_come_by_subject_with_the_columns_of_the_labels_table(path):
    from cloze.tables import LABELS

    with Ledger(path) as ledger:
        ledger.plan(reversed(planned(3)))
        rows = list(ledger.rows())
        assert [row["subject"] for row in rows] == ["1/2_0", "1/2_1", "1/2_2"]
        assert set(rows[0]) == set(LABELS.names) - {"labeller", "sequence_id"} | {"key", "subject"}
