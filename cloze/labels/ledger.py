"""The ledger: what became of every request, on disk, so that none is lost and none is paid twice.

Money is only spent after the intention to do so is committed (`synchronous=FULL`), so that whoever opens the ledger
after a crash knows what may be under way. One process writes at a time; others may read (SQLite's WAL: on the same
machine only).
"""

# ruff: noqa: S608 - SQL is put together from the constants of ledger_rows.py only; values are always bound

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, Self, TypeVar

from cloze.errors import DataError
from cloze.labels.answers import RETRIED, Answer, State
from cloze.labels.cost import Price
from cloze.labels.ledger_rows import (
    ABSENT,
    ENDED,
    IN_FLIGHT,
    OF_KEY,
    OF_SHARD,
    OPEN,
    PLANNED_COLUMNS,
    SCHEMA,
    SELECTED,
    SENT_ALONE,
    SETTLE,
    SHARD_COLUMNS,
    STORE,
    VERSION,
    BudgetError,
    Ingested,
    Pending,
    Planned,
    Shard,
    ShardState,
    Totals,
    quoted,
)
from cloze.locks import locked

__all__ = ["IN_FLIGHT", "BudgetError", "Ingested", "Ledger", "Pending", "Planned", "Shard", "ShardState", "Totals"]

T = TypeVar("T")
_BATCH = 2_000  # rows in memory at a time
_SELECT = """
INSERT INTO selection SELECT rowid FROM request WHERE key = ? AND request_digest = ?
ON CONFLICT(id) DO UPDATE SET id = id
"""  # touches one row for each request that is what it was, whether it is selected already or not


class Ledger:
    """The ledger in the file `path`; shard files belong into `folder` beside it.

    What it does concerns the *selection*: the keys that were given to `plan` since it was opened. The rest of the
    ledger (another paradigm's, another prompt's) is left alone.

    Raises:
        MissingInputError: another process is writing to it.
        DataError: it is no ledger, or one of another version of this program.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.folder = path.with_name(f"{path.stem}-shards")
        self.folder.mkdir(exist_ok=True)
        self._lock = locked(path.with_name(f"{path.name}.lock"), str(path))
        self._cost: float | None = None  # known until the next answer or plan: it is asked for with every shard
        self._db = sqlite3.connect(path, isolation_level=None)
        problem = _unreadable(self._db)
        if problem:
            self.close()
            raise DataError(path, problem, "name another file")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA cache_size = -65536")  # KiB; keys come in no order of the file
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.executescript(SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; what was not committed is as if it had never been."""
        self._db.close()
        self._lock.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is committed, or none of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- The plan ----------------------------------------------------------------------------------------------------

    def plan(self, planned: Iterable[Planned]) -> dict[State, int]:
        """Select these requests; those that the ledger does not know yet become `planned`, the others stay.

        Raises:
            DataError: a known key now asks for something else; then nothing was planned or selected.
        """
        columns, marks = ", ".join(PLANNED_COLUMNS), ", ".join("?" * len(PLANNED_COLUMNS))
        insert = f"INSERT INTO request({columns}) VALUES ({marks}) ON CONFLICT(key) DO NOTHING"
        self._cost = None
        with self.transaction():
            for batch in _batches(planned):
                self._db.executemany(insert, map(attrgetter(*PLANNED_COLUMNS), batch))
                n_same = self._db.executemany(_SELECT, ((row.key, row.request_digest) for row in batch)).rowcount
                if n_same != len(batch):
                    self._refuse_changed(batch)
        return self.counts()

    def counts(self) -> dict[State, int]:
        """How many selected requests are in each state; all states are named."""
        found = self._all(f"SELECT state, count(*) FROM request WHERE {SELECTED} GROUP BY state")
        return dict.fromkeys(State, 0) | {State(state): n for state, n in found}

    def totals(self) -> Totals:
        """What was billed for the selection, all attempts together."""
        names = ("input_tokens", "cached_tokens", "output_tokens", "cost_usd")
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in names)
        return Totals(*self._all(f"SELECT count(*), {sums} FROM request WHERE {SELECTED}")[0])

    def cost(self) -> float:
        """USD billed for the selection, all attempts together."""
        if self._cost is None:
            self._cost = self._all(f"SELECT coalesce(sum(cost_usd), 0.0) FROM request WHERE {SELECTED}")[0][0]
        return self._cost

    def reserved(self) -> float:
        """USD set aside for open shards."""
        return self._all(f"SELECT coalesce(sum(est_usd), 0) FROM shard WHERE {OPEN}")[0][0]

    def estimate(self, price: Price) -> Totals:
        """What the selected requests that are still `planned` will take, by their estimates."""
        sums = "coalesce(sum(est_input_tokens), 0), 0, coalesce(sum(est_output_tokens), 0)"
        where = f"state = '{State.PLANNED}' AND {SELECTED}"
        n, tokens_in, cached, tokens_out = self._all(f"SELECT count(*), {sums} FROM request WHERE {where}")[0]
        return Totals(n, tokens_in, cached, tokens_out, price.usd(tokens_in, tokens_out))

    def rows(self) -> Iterator[dict[str, Any]]:
        """The selected requests, ordered by subject: columns as in the labels table, where that has them."""
        columns = "key, paradigm, state, text, reason, model, prompt_digest, input_tokens, output_tokens, cost_usd"
        cursor = self._db.execute(f"SELECT subject, {columns} FROM request WHERE {SELECTED} ORDER BY subject, key")
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))

    # -- A run over it -----------------------------------------------------------------------------------------------

    def begin(self, model: str, max_attempts: int) -> int:
        """Ready the selection for a run of `model`: nothing else is running, so what was sent interactively is lost.

        Requests that ended in a state that is retried, and have attempts left under this `max_attempts`, are planned
        again.

        Returns:
            How many were sent interactively by a run that did not live to see the answer. Whether they were billed
            cannot be known; they count as one attempt.
        """
        models = [row[0] for row in self._all(f"SELECT DISTINCT model FROM request WHERE {SELECTED}")]
        if models not in ([], [model]):
            raise ValueError(f"a run of {model} over requests to {', '.join(models)}")
        values = {"max_attempts": max_attempts, "reason": "sent, and its answer was lost with the process"}
        with self.transaction():
            n_lost = self._db.execute(ABSENT.format(rows=SENT_ALONE), values).rowcount
            self._db.execute(SETTLE.format(rows=SENT_ALONE), values)
            self._db.execute(
                f"UPDATE request SET state = '{State.PLANNED}', attempt = attempt + 1, reason = NULL "
                f"WHERE state IN ({quoted(RETRIED)}) AND NOT is_final AND attempt < :max_attempts AND {SELECTED}",
                values,
            )
        return n_lost

    def pending(self, limit: int) -> list[Pending]:
        """The first `limit` selected requests that are `planned`, by subject: neighbours share pictures."""
        # By that index the first are found without sorting all; the planner would begin with the selection.
        where = f"state = '{State.PLANNED}' AND EXISTS (SELECT 1 FROM selection WHERE id = request.rowid)"
        return self._pending("request_planned", f"{where} ORDER BY subject, key LIMIT ?", limit)

    def take(self, key: str) -> None:
        """One request becomes `submitted` without a shard: it is sent the moment this returns."""
        self._move_request(key, State.PLANNED, State.SUBMITTED)

    def give_back(self, key: str) -> None:
        """A taken request is `planned` again: the provider did not want it yet, and billed nothing."""
        self._move_request(key, State.SUBMITTED, State.PLANNED)

    def record(self, attempt: int, answer: Answer, usd: float, max_attempts: int) -> None:
        """The answer to a taken request."""
        self._cost = None
        with self.transaction():
            self._db.execute(STORE, _answer_row(answer, attempt, usd, None))
            self._db.execute(SETTLE.format(rows=OF_KEY), {"key": answer.key, "max_attempts": max_attempts})

    # -- Shards ------------------------------------------------------------------------------------------------------

    def reserve(self, shard: Shard, members: Iterable[Pending], budget_usd: float) -> None:
        """Commit the intention to send a shard: its cost is reserved, its requests are `submitted` from now on.

        Raises:
            BudgetError: it does not fit into the budget; nothing was changed.
        """
        with self.transaction():
            spent, reserved = self.cost(), self.reserved()
            if spent + reserved + shard.est_usd > budget_usd:
                what = f"the next {shard.n_requests:,} requests"
                raise BudgetError(budget_usd, spent, reserved, shard.est_usd, what)
            self._insert_shard(shard)
            self._assign(shard, members, f"state = '{State.PLANNED}'")

    def split(self, shard: Shard, parts: Iterable[tuple[Shard, Sequence[Pending]]], error: str) -> None:
        """A shard that was refused lives on as its parts; each request moves from one to the other in one commit."""
        with self.transaction():
            for part, members in parts:
                self._insert_shard(part)
                self._assign(part, members, f"shard = '{shard.id}'")
            self._end(shard, ShardState.DEAD, error)

    def move(self, shard: Shard, state: ShardState, **values: str | None) -> None:
        """Commit that a shard has come so far; `values` are its `source`, `job_name` or `error`."""
        changed = ", ".join(f"{name} = :{name}" for name in ("state", *values))
        with self.transaction():
            done = self._db.execute(
                f"UPDATE shard SET {changed} WHERE id = :id AND state = :was",
                {**values, "state": state, "id": shard.id, "was": shard.state},
            )
            if done.rowcount != 1:
                raise RuntimeError(f"shard {shard.display_name} is not {shard.state}")

    def ingest(
        self,
        shard: Shard,
        answers: Iterable[Answer],
        usd: Callable[[Answer], float],
        max_attempts: int,
        absent: str,
        end: ShardState = ShardState.INGESTED,
    ) -> Ingested:
        """Join answers to a shard's requests, by key, and end the shard, in one commit.

        Of several answers to one key the first good one counts, and is billed once. A key that is not in the shard is
        counted and dropped. A request without an answer is `missing`, for the reason `absent`.
        """
        values = {"shard": shard.id, "max_attempts": max_attempts, "reason": absent}
        self._cost = None
        with self.transaction():
            attempts = dict(self._all("SELECT key, attempt FROM request WHERE shard = ?", shard.id))
            n_known, n_unknown = self._store(answers, attempts, usd, shard.id)
            n_absent = self._db.execute(ABSENT.format(rows=OF_SHARD), values).rowcount
            billed = self._all(
                "SELECT coalesce(sum(usd), 0) FROM request JOIN answer USING (key, attempt) WHERE request.shard = ?",
                shard.id,
            )[0][0]
            self._db.execute(SETTLE.format(rows=OF_SHARD), values)
            self._end(shard, end, absent if end is ShardState.DEAD else None)
        n_answered = len(attempts) - n_absent
        return Ingested(n_answered, n_absent, n_known - n_answered, n_unknown, billed)

    def open_shards(self) -> list[Shard]:
        """Shards that hold selected requests and have not ended, largest first."""
        found = self._all(f"SELECT {', '.join(SHARD_COLUMNS)} FROM shard WHERE {OPEN} ORDER BY n_requests DESC, rowid")
        return [_shard(row) for row in found]

    def in_flight(self) -> int:
        """How many of these may have a job at the provider."""
        return sum(shard.state in IN_FLIGHT for shard in self.open_shards())

    def members(self, shard: Shard) -> list[Pending]:
        """The requests that an open shard holds, by subject."""
        return self._pending("request_shard", "shard = ? ORDER BY subject, key", shard.id)

    def was_accepted(self, model: str) -> bool:
        """Whether the provider ever took a shard for this model."""
        return bool(self._all("SELECT 1 FROM shard WHERE model = ? AND job_name IS NOT NULL LIMIT 1", model))

    def afford(self, shard: Shard, budget_usd: float) -> None:
        """Check again, right before a job is made: what was billed since may have been more than was estimated.

        Raises:
            BudgetError
        """
        spent, reserved = self.cost(), self.reserved()
        if spent + reserved > budget_usd:
            what = f"the next {shard.n_requests:,} requests"
            raise BudgetError(budget_usd, spent, reserved - shard.est_usd, shard.est_usd, what)

    def sweep(self) -> None:
        """Delete files that no open shard needs: of ended ones, and of those that a crash left unfinished."""
        ended = quoted(ENDED)
        needed = {row[0] for row in self._all(f"SELECT display_name FROM shard WHERE state NOT IN ({ended})")}
        for file in self.folder.iterdir():
            if file.name.split(".")[0] not in needed or file.suffix == ".partial":
                file.unlink()

    # -- Inside ------------------------------------------------------------------------------------------------------

    def _all(self, sql: str, *values: object) -> list[Any]:
        return self._db.execute(sql, values).fetchall()

    def _pending(self, index: str, where: str, value: object) -> list[Pending]:
        columns = ", ".join(Pending._fields)
        rows = self._all(f"SELECT {columns} FROM request INDEXED BY {index} WHERE {where}", value)
        return [Pending(*row) for row in rows]

    def _refuse_changed(self, planned: Iterable[Planned]) -> None:
        for request in planned:
            key, now = request.key, request.request_digest
            [(before,)] = self._all("SELECT request_digest FROM request WHERE key = ?", key)
            if before != now:
                problem = f"request {key} was planned as {before} and is now {now}: its panels or its prompt changed"
                raise DataError(self.path, problem, "put what changed into the key, or plan into another ledger")

    def _move_request(self, key: str, before: State, after: State) -> None:
        with self.transaction():
            done = self._db.execute(
                "UPDATE request SET state = ? WHERE key = ? AND state = ? AND shard IS NULL", (after, key, before)
            )
            if done.rowcount != 1:
                raise RuntimeError(f"request {key} is not {before}")

    def _insert_shard(self, shard: Shard) -> None:
        self._db.execute(
            f"INSERT INTO shard({', '.join(SHARD_COLUMNS)}) VALUES ({', '.join('?' * len(SHARD_COLUMNS))})",
            attrgetter(*SHARD_COLUMNS)(shard),
        )

    def _assign(self, shard: Shard, members: Iterable[Pending], where: str) -> None:
        done = self._db.executemany(
            f"UPDATE request SET state = '{State.SUBMITTED}', shard = ? WHERE key = ? AND attempt = ? AND {where}",
            ((shard.id, member.key, member.attempt) for member in members),
        )
        if done.rowcount != shard.n_requests:
            raise RuntimeError(f"{done.rowcount} of {shard.n_requests} requests of {shard.display_name} were free")

    def _end(self, shard: Shard, state: ShardState, error: str | None) -> None:
        self._db.execute(
            "UPDATE shard SET state = ?, error = coalesce(?, error) WHERE id = ?", (state, error, shard.id)
        )

    def _store(
        self, answers: Iterable[Answer], attempts: Mapping[str, int], usd: Callable[[Answer], float], shard: str
    ) -> tuple[int, int]:
        """Write answers down; how many had a known key, and how many another."""
        n_known = n_unknown = 0
        for batch in _batches(answers):
            known = [answer for answer in batch if answer.key in attempts]
            rows = (_answer_row(answer, attempts[answer.key], usd(answer), shard) for answer in known)
            self._db.executemany(STORE, rows)
            n_known += len(known)
            n_unknown += len(batch) - len(known)
        return n_known, n_unknown


def _shard(row: tuple[Any, ...]) -> Shard:
    values = dict(zip(SHARD_COLUMNS, row, strict=True))
    return Shard(**values | {"state": ShardState(values["state"])})


def _answer_row(answer: Answer, attempt: int, usd: float, shard: str | None) -> tuple[object, ...]:
    """An answer in the order of `STORE`."""
    said = (answer.state, answer.text, answer.reason, answer.is_final, answer.model)
    counted = (answer.input_tokens, answer.cached_tokens, answer.output_tokens, usd)
    return (answer.key, attempt, *said, *counted, answer.raw, shard)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _unreadable(db: sqlite3.Connection) -> str:
    """Why this cannot be used as a ledger; empty where it can."""
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return f"no ledger: {error}"
    if version == VERSION or (version, tables) == (0, 0):
        return ""
    return f"no ledger of version {VERSION}, which this program writes, but of {version}"
