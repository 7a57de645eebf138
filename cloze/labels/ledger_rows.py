"""The rows of the ledger, and the SQL that makes its tables and moves requests from state to state.

- `request`: one row per (sequence, paradigm, prompt digest, model), in exactly one state. Tokens and cost are the sums
  over its attempts. `shard` names the open shard that holds it; NULL while it is `submitted` interactively.
- `shard`: one file of requests on its way through a provider.
- `answer`: what came back for each attempt, as it came. An attempt that was paid for has one row here, always.
"""

# ruff: noqa: S608 - SQL is put together from the constants of this file only; values are always bound

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import NamedTuple

from cloze.errors import SettingsError
from cloze.labels.answers import RETRIED, State


class ShardState(StrEnum):
    """How far a shard has come; each is committed before the next step is begun."""

    INTENT = "intent"  # its file is written, its cost reserved
    UPLOADED = "uploaded"  # the provider has the file
    CREATING = "creating"  # a job may exist: look for it by display name before making one
    SUBMITTED = "submitted"  # a job exists and its name is known
    FETCHED = "fetched"  # its answers are on our disk
    INGESTED = "ingested"
    DEAD = "dead"  # refused, or ended without answers


class BudgetError(SettingsError):
    """The next step could cost more than the budget has left. Nothing of it was sent."""

    def __init__(self, budget: float, spent: float, reserved: float, estimate: float, what: str) -> None:
        figures = f"{spent:.4f} spent, {reserved:.4f} reserved for what is under way, {estimate:.4f} for {what}"
        super().__init__("budget_usd", budget, f"{spent + reserved + estimate:.4f} or more: {figures}")


@dataclass(frozen=True, slots=True)
class Planned:
    """A request to be made; `request_digest` changes whenever what would be sent does."""

    key: str
    subject: str
    paradigm: str
    prompt_digest: str
    model: str
    request_digest: str
    est_input_tokens: int
    est_output_tokens: int


class Pending(NamedTuple):
    """A request that waits to be sent; the first attempt is 1."""

    key: str
    attempt: int
    est_input_tokens: int
    est_output_tokens: int


@dataclass(frozen=True)
class Shard:
    """A file of requests on its way through a provider.

    Attributes:
        id: digest of the model and of the requests with their attempts, so that a retry is another shard.
        display_name: from `id`; the name of the file and of the job at the provider, by which they are found again.
        path: the file, below the ledger's folder of shards.
        source: what the provider calls the uploaded file.
        job_name: what the provider calls the job.
        est_usd: reserved while the shard is open.
        error: how its job ended, or why it was refused.
    """

    id: str
    display_name: str
    state: ShardState
    model: str
    path: str
    source: str | None
    job_name: str | None
    n_requests: int
    n_bytes: int
    est_usd: float
    error: str | None


class Totals(NamedTuple):
    """Sums over the selection; of `estimate`, over what is still to be sent."""

    n: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    usd: float


class Ingested(NamedTuple):
    """What one file of answers held."""

    answered: int
    absent: int
    duplicates: int
    unknown: int
    usd: float


VERSION = 1
IN_FLIGHT = (ShardState.CREATING, ShardState.SUBMITTED, ShardState.FETCHED)
ENDED = (ShardState.INGESTED, ShardState.DEAD)
PLANNED_COLUMNS = tuple(field.name for field in fields(Planned))
SHARD_COLUMNS = tuple(field.name for field in fields(Shard))
SELECTED = "request.rowid IN (SELECT id FROM selection)"  # by rowid: half the time of by key


def quoted(values: Iterable[str]) -> str:
    """Words as SQL's `IN (...)` lists them."""
    return ", ".join(f"'{value}'" for value in sorted(values))


OPEN = (
    f"state NOT IN ({quoted(ENDED)}) AND EXISTS (SELECT 1 FROM request CROSS JOIN selection "
    "ON selection.id = request.rowid WHERE request.shard = shard.id)"
)

_COUNTED = " ".join(
    f"{name} INTEGER NOT NULL DEFAULT 0 CHECK ({name} >= 0),"
    for name in ("input_tokens", "cached_tokens", "output_tokens")
)
_OUTCOME = f"""
    text TEXT, reason TEXT, is_final INTEGER NOT NULL DEFAULT 0, {_COUNTED}
    CHECK ((state = '{State.OK}') = (text IS NOT NULL))"""
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS shard(
    id TEXT PRIMARY KEY NOT NULL, display_name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ({quoted(ShardState)})),
    model TEXT NOT NULL, path TEXT NOT NULL, source TEXT, job_name TEXT,
    n_requests INTEGER NOT NULL, n_bytes INTEGER NOT NULL, est_usd REAL NOT NULL, error TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT;
CREATE TABLE IF NOT EXISTS request(
    key TEXT PRIMARY KEY NOT NULL, subject TEXT NOT NULL, paradigm TEXT NOT NULL,
    prompt_digest TEXT NOT NULL, model TEXT NOT NULL, request_digest TEXT NOT NULL,
    est_input_tokens INTEGER NOT NULL, est_output_tokens INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT '{State.PLANNED}' CHECK (state IN ({quoted(State)})),
    attempt INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    cost_usd REAL NOT NULL DEFAULT 0, shard TEXT REFERENCES shard(id), {_OUTCOME},
    CHECK (shard IS NULL OR state = '{State.SUBMITTED}')
) STRICT;
CREATE INDEX IF NOT EXISTS request_planned ON request(subject, key) WHERE state = '{State.PLANNED}';
CREATE INDEX IF NOT EXISTS request_shard ON request(shard) WHERE shard IS NOT NULL;
CREATE TABLE IF NOT EXISTS answer(
    key TEXT NOT NULL REFERENCES request(key), attempt INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ({quoted(set(State) - {State.PLANNED, State.SUBMITTED})})),
    model TEXT NOT NULL, usd REAL NOT NULL, raw TEXT NOT NULL, shard TEXT REFERENCES shard(id), {_OUTCOME},
    PRIMARY KEY (key, attempt)
) STRICT;
CREATE TEMP TABLE selection(id INTEGER PRIMARY KEY);
PRAGMA user_version = {VERSION};
COMMIT;
"""
STORE = f"""
INSERT INTO answer(key, attempt, state, text, reason, is_final, model, input_tokens, cached_tokens, output_tokens, usd,
    raw, shard)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(key, attempt) DO UPDATE SET (state, text, reason, is_final, model, input_tokens, cached_tokens,
    output_tokens, usd, raw) = (excluded.state, excluded.text, excluded.reason, excluded.is_final, excluded.model,
    excluded.input_tokens, excluded.cached_tokens, excluded.output_tokens, excluded.usd, excluded.raw)
WHERE excluded.state = '{State.OK}' AND answer.state <> '{State.OK}'
"""  # of duplicates the first good one stays, else the first
ABSENT = f"""
INSERT INTO answer(key, attempt, state, reason, model, usd, raw, shard)
SELECT key, attempt, '{State.MISSING}', :reason, '', 0.0, '', shard FROM request
WHERE {{rows}} AND NOT EXISTS (SELECT 1 FROM answer AS a WHERE a.key = request.key AND a.attempt = request.attempt)
"""
_AGAIN = f"a.state IN ({quoted(RETRIED)}) AND NOT a.is_final AND request.attempt < :max_attempts"
SETTLE = f"""
UPDATE request SET
    state = CASE WHEN {_AGAIN} THEN '{State.PLANNED}' ELSE a.state END,
    attempt = request.attempt + CASE WHEN {_AGAIN} THEN 1 ELSE 0 END,
    reason = CASE WHEN {_AGAIN} THEN NULL ELSE a.reason END,
    text = a.text, is_final = a.is_final, shard = NULL,
    input_tokens = request.input_tokens + a.input_tokens, cached_tokens = request.cached_tokens + a.cached_tokens,
    output_tokens = request.output_tokens + a.output_tokens, cost_usd = request.cost_usd + a.usd
FROM answer AS a
WHERE {{rows}} AND request.state = '{State.SUBMITTED}' AND a.key = request.key AND a.attempt = request.attempt
"""
OF_SHARD = "request.shard = :shard"
OF_KEY = "request.key = :key"
SENT_ALONE = f"request.state = '{State.SUBMITTED}' AND request.shard IS NULL AND {SELECTED}"
