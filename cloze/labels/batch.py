"""Sends requests in files and collects answers within a day; a crash at any instant loses and repeats nothing.

Each step of a shard (see `ShardState`) is committed before the next begins. The only step that costs money, creating
the job, lies between two commits, CREATING and SUBMITTED: whoever finds a shard in CREATING does not know whether its
job exists, and looks for it by display name before making one.

What is left to chance is the provider's own doing: a job that its listing hides for longer than we look
(`LOOKS` times, `LOOK_WAIT_S` apart), or one call that makes two jobs of which the second ends before it is cancelled.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cloze.errors import ClozeError, DataError, SettingsError
from cloze.labels.answers import Answer, State
from cloze.labels.cost import Price
from cloze.labels.ledger import IN_FLIGHT, BudgetError, Ledger, Pending, Shard, ShardState
from cloze.labels.provider import BatchProvider, BusyError, Job, JobState, RefusedError, UncertainError
from cloze.labels.watch import ModelWatch, as_it_came

Lines = Callable[[Sequence[tuple[str, int]]], Iterator[tuple[str, bytes]]]

LOOKS = 4
LOOK_WAIT_S = 60.0
MAX_TROUBLES = 100  # calls in a row that failed without saying no
MAX_REFUSALS = 32  # files in a row that were refused


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How a batch run goes.

    Attributes:
        model: asked; an answer by another stops the run.
        price: USD per million tokens, of the batch API.
        budget_usd: limit for the selection: what was billed, what is under way and what is next together.
        max_attempts: how often a request is sent at most, the first time included.
        shard_requests, shard_bytes: limits of one file.
        max_jobs: how many jobs may be under way at a time.
        poll_s: seconds between two rounds of asking.
    """

    model: str
    price: Price
    budget_usd: float
    max_attempts: int = 3
    shard_requests: int = 10_000
    shard_bytes: int = 1_000_000_000
    max_jobs: int = 20
    poll_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("max_attempts", "shard_requests", "shard_bytes", "max_jobs"):
            if getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "1 or more")


def run_batches(
    ledger: Ledger,
    provider: BatchProvider,
    lines: Lines,
    settings: BatchOptions,
    wait: Callable[[float], None],
    say: Callable[[str], None],
    parse: Callable[[Answer], Answer] = as_it_came,
) -> None:
    """Send the selected requests and collect their answers until each is final or out of attempts.

    Call it again after whatever ended it: it goes on where the ledger says that it was.

    Args:
        lines: one JSON line for each (key, attempt), in that order, made one at a time; attempts count from 1. What
            it raises (a picture that cannot be read, say) ends the run before anything of that file is sent.
        wait: sleeps so many seconds.
        say: tells a person what happens.
        parse: makes the label's text of an `OK` answer, or says why it is none (`UNPARSABLE`).

    Raises:
        BudgetError: the next file does not fit into the budget. What was sent before has been collected.
        SettingsError: another model answered than was asked, or one line is larger than `shard_bytes`.
        ClozeError: the provider refuses everything, or does not answer any more.
    """
    _Run(ledger, provider, lines, settings, wait, say, parse).drive()


class _Run:
    """One run of `run_batches`; all that must outlive it is in the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        provider: BatchProvider,
        lines: Lines,
        settings: BatchOptions,
        wait: Callable[[float], None],
        say: Callable[[str], None],
        parse: Callable[[Answer], Answer],
    ) -> None:
        self._ledger, self._provider, self._lines, self._settings = ledger, provider, lines, settings
        self._wait, self._say, self._parse = wait, say, parse
        self._hold_s = 0.0  # the provider asked not to be sent anything for so long
        self._over: BudgetError | None = None
        self._unproven: ClozeError | None = None
        self._uploaded: set[str] = set()
        self._troubles = 0
        self._refusals = 0

    def drive(self) -> None:
        n_lost = self._ledger.begin(self._settings.model, self._settings.max_attempts)
        if n_lost:
            self._say(f"{n_lost:,} requests were sent one by one and their answers lost; they may have been billed")
        self._ledger.sweep()
        while True:
            self._collect()
            self._send_all()
            if self._over is not None and not self._ledger.in_flight():
                raise self._over
            if self._unproven is not None and not self._ledger.in_flight() and self._hold_s <= 0:
                raise self._unproven
            if not self._ledger.open_shards() and not self._ledger.pending(1):
                return
            self._pause()

    # -- Collecting --------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """One round over what is under way: find lost jobs, ask how jobs stand, fetch, ingest."""
        steps = {
            ShardState.CREATING: self._recover,
            ShardState.SUBMITTED: self._poll,
            ShardState.FETCHED: self._ingest,
        }
        for shard in self._ledger.open_shards():
            if shard.state in steps:
                self._attempt(steps[shard.state], shard)

    def _recover(self, shard: Shard) -> None:
        """A job of this shard may exist: adopt it, or make it once it has been looked for in vain."""
        job = self._look(shard)
        if job is None:
            self._say(f"{shard.display_name}: no such job was found in {LOOKS} looks; creating it")
            self._create(shard)
            return
        self._say(f"{shard.display_name}: found again as {job.name}")
        self._ledger.move(shard, ShardState.SUBMITTED, job_name=job.name)

    def _look(self, shard: Shard) -> Job | None:
        """The oldest job of that name, all others cancelled. The listing may lag behind, so we look several times."""
        for look in range(LOOKS):
            if look:
                self._wait(LOOK_WAIT_S)
            jobs = self._provider.find(shard.display_name)
            for extra in jobs[1:]:
                self._say(f"{shard.display_name}: cancelling {extra.name}, a second job of the same requests")
                self._provider.cancel(extra.name)
            if jobs:
                return jobs[0]
        return None

    def _poll(self, shard: Shard) -> None:
        job = self._provider.get(_known(shard.job_name))
        if job.state is JobState.RUNNING:
            return
        ended = f"job {job.state}" + (f": {job.error}" if job.error else "")
        if job.result is None:
            self._end_without_answers(shard, ended)
            return
        try:
            self._provider.download(job, self._result(shard))
        except RefusedError as error:
            if job.state is JobState.SUCCEEDED:
                raise  # paid for: a person must look
            self._end_without_answers(shard, f"{ended}; {error}")
            return
        self._ledger.move(shard, ShardState.FETCHED, error=None if job.state is JobState.SUCCEEDED else ended)
        self._ingest(replace(shard, state=ShardState.FETCHED, error=ended))

    def _end_without_answers(self, shard: Shard, reason: str) -> None:
        self._say(f"{shard.display_name}: {reason}, without answers; its {shard.n_requests:,} requests are missing")
        self._ledger.ingest(shard, (), self._usd, self._settings.max_attempts, reason, ShardState.DEAD)
        self._ledger.sweep()

    def _ingest(self, shard: Shard) -> None:
        """Join the answers on our disk; where somebody deleted them, fetch them again in the next round.

        Raises:
            SettingsError: another model answered; that is recorded, and none of its answers is a label.
        """
        if not self._result(shard).exists():
            self._ledger.move(shard, ShardState.SUBMITTED)
            return
        watch = ModelWatch(self._settings.model, self._parse)
        answers = map(watch.checked, self._provider.answers(self._result(shard)))
        absent = f"no answer in the job's file ({shard.error or 'job succeeded'})"
        found = self._ledger.ingest(shard, answers, self._usd, self._settings.max_attempts, absent)
        self._say(
            f"{shard.display_name}: {found.answered:,} answers, {found.absent:,} missing, {found.duplicates:,} "
            f"duplicates, {found.unknown:,} of unknown keys; {found.usd:.4f} USD, estimated {shard.est_usd:.4f}"
        )
        self._ledger.sweep()
        watch.stop_if_other()

    # -- Sending -----------------------------------------------------------------------------------------------------

    def _send_all(self) -> None:
        """Send what was begun, then pack and send more, as far as jobs and budget allow."""
        if self._hold_s > 0 or (self._over is not None and self._ledger.in_flight()):
            return  # over budget: what is under way may cost less than was reserved for it, so look again after it
        self._over = self._unproven = None
        tried: set[str] = set()
        while self._hold_s <= 0 and self._over is None and self._ledger.in_flight() < self._settings.max_jobs:
            shard = self._waiting(tried) or self._pack()
            if shard is None:
                return
            tried.add(shard.id)
            self._attempt(self._send, shard)

    def _waiting(self, tried: set[str]) -> Shard | None:
        """The largest shard without a job that was not tried in this round."""
        for shard in self._ledger.open_shards():
            if shard.state not in IN_FLIGHT and shard.id not in tried:
                return shard
        return None

    def _pack(self) -> Shard | None:
        """Write the next file of requests and commit the intention to send it; None where there is none to send."""
        pending = self._ledger.pending(self._settings.shard_requests)
        if not pending:
            return None
        shard, members = self._write(pending)
        try:
            self._ledger.reserve(shard, members, self._settings.budget_usd)
        except BudgetError as error:
            self._say(str(error))
            self._over = error
            self._ledger.sweep()
            return None
        return shard

    def _write(self, pending: Sequence[Pending]) -> tuple[Shard, Sequence[Pending]]:
        """A file with the first of these requests, as many as may be, whole on the disk under its own name."""
        partial = self._ledger.folder / "next.jsonl.partial"
        n_taken = n_bytes = 0
        pairs = [(request.key, request.attempt) for request in pending]
        with partial.open("wb") as stream:
            for (key, _), (line_key, line) in zip(pairs, self._lines(pairs), strict=True):
                if key != line_key:
                    raise ValueError(f"a line of {line_key} in the place of {key}")
                if n_bytes + len(line) + 1 > self._settings.shard_bytes:
                    break
                n_bytes += stream.write(line.rstrip(b"\n") + b"\n")
                n_taken += 1
            stream.flush()
            os.fsync(stream.fileno())
        if not n_taken:
            raise SettingsError(
                "shard_bytes", self._settings.shard_bytes, f"more: request {pairs[0][0]} alone is larger"
            )
        shard = self._shard(pending[:n_taken], n_bytes)
        partial.rename(self._ledger.folder / shard.path)
        _sync_folder(self._ledger.folder)
        return shard, pending[:n_taken]

    def _shard(self, members: Sequence[Pending], n_bytes: int) -> Shard:
        what = "\n".join([self._settings.model, *(f"{request.attempt} {request.key}" for request in members)])
        digest = hashlib.sha256(what.encode()).hexdigest()
        name = f"cloze-{digest[:32]}"  # 38 characters: also good as the name of an uploaded file (40 at most)
        usd = sum(self._settings.price.usd(r.est_input_tokens, r.est_output_tokens) for r in members)
        return Shard(
            id=digest,
            display_name=name,
            state=ShardState.INTENT,
            model=self._settings.model,
            path=f"{name}.jsonl",
            source=None,
            job_name=None,
            n_requests=len(members),
            n_bytes=n_bytes,
            est_usd=usd,
            error=None,
        )

    def _send(self, shard: Shard) -> None:
        """Upload a shard and create its job."""
        file = self._ledger.folder / shard.path
        try:
            if shard.state is ShardState.INTENT:
                if not file.exists():
                    self._write_again(shard)
                source = self._provider.upload(file, shard.display_name)
                self._ledger.move(shard, ShardState.UPLOADED, source=source)
                shard = replace(shard, state=ShardState.UPLOADED, source=source)
                self._uploaded.add(shard.id)
            self._ledger.afford(shard, self._settings.budget_usd)
        except BudgetError as error:
            self._say(str(error))
            self._over = error
            return
        except RefusedError as error:
            self._refused(shard, error)
            return
        self._ledger.move(shard, ShardState.CREATING)
        self._create(replace(shard, state=ShardState.CREATING))

    def _create(self, shard: Shard) -> None:
        """Make the job of a shard in CREATING, where it stays if that fails in a way that leaves open whether it is."""
        try:
            job = self._provider.create(self._settings.model, _known(shard.source), shard.display_name)
        except BusyError:
            self._ledger.move(shard, ShardState.UPLOADED)  # nothing was made
            raise
        except RefusedError as error:
            self._refused(shard, error)
            return
        self._ledger.move(shard, ShardState.SUBMITTED, job_name=job.name)
        self._refusals = 0
        self._say(f"{shard.display_name}: {shard.n_requests:,} requests submitted as {job.name}")

    def _refused(self, shard: Shard, error: RefusedError) -> None:
        """Halve a refused shard until the request that is to blame is alone, and fail that one.

        No request is blamed before the provider has taken anything: a wrong key or model is refused with every file.
        No file is that an earlier run uploaded: the provider may have deleted it since.

        Raises:
            ClozeError: nothing but refusals.
        """
        self._say(f"{shard.display_name}: {shard.n_requests:,} requests refused: {error}")
        if shard.state is not ShardState.INTENT and shard.id not in self._uploaded:
            self._ledger.move(shard, ShardState.INTENT)
            return
        self._refusals += 1
        if self._refusals >= MAX_REFUSALS:
            raise ClozeError(
                f"the provider refused {self._refusals} files of requests in a row, the last because: {error}"
            )
        if shard.n_requests > 1:
            self._ledger.split(shard, self._halves(shard), str(error))
            self._ledger.sweep()
        elif self._ledger.was_accepted(shard.model):
            self._fail(shard, error)
        else:
            self._unproven = ClozeError(
                f"the provider refused the request {shard.display_name} and took no other: {error}"
            )
            if shard.state is ShardState.CREATING:
                self._ledger.move(shard, ShardState.UPLOADED)

    def _write_again(self, shard: Shard) -> None:
        """Restore the file of a shard that somebody deleted.

        Raises:
            DataError: its requests would not be the same.
        """
        again, _ = self._write(self._ledger.members(shard))
        if again.id != shard.id:
            raise DataError(
                self._ledger.folder / shard.path, "gone, and its requests do not fit into one file any more"
            )

    def _halves(self, shard: Shard) -> list[tuple[Shard, Sequence[Pending]]]:
        members = self._ledger.members(shard)
        middle = len(members) // 2
        halves: list[tuple[Shard, Sequence[Pending]]] = []
        for rest in (members[:middle], members[middle:]):
            while rest:
                halves.append(self._write(rest))
                rest = rest[len(halves[-1][1]) :]
        return halves

    def _fail(self, shard: Shard, error: RefusedError) -> None:
        self._provider.find(shard.display_name)  # a key that was revoked is refused here too, and ends the run
        [request] = self._ledger.members(shard)
        answer = Answer(request.key, State.FAILED, reason=f"refused: {error}", is_final=True)
        self._ledger.ingest(shard, [answer], self._usd, self._settings.max_attempts, str(error), ShardState.DEAD)
        self._ledger.sweep()

    # -- Trouble -----------------------------------------------------------------------------------------------------

    def _attempt(self, step: Callable[[Shard], None], shard: Shard) -> None:
        """One step; what it could not do now is done in a later round.

        Raises:
            UncertainError: steps failed too often in a row.
        """
        try:
            step(shard)
        except (UncertainError, BusyError) as error:
            self._troubles += 1
            if isinstance(error, BusyError):
                self._hold_s = max(self._hold_s, error.wait_s or self._settings.poll_s)
            elif self._troubles >= MAX_TROUBLES:
                raise
            self._say(f"{shard.display_name}: {error}; trying again later")
        else:
            self._troubles = 0

    def _pause(self) -> None:
        """Sleep until the next round; while we are held off, what is under way is still asked for."""
        self._wait(self._settings.poll_s)
        self._hold_s = max(0.0, self._hold_s - self._settings.poll_s)

    def _usd(self, answer: Answer) -> float:
        return self._settings.price.usd(answer.input_tokens, answer.output_tokens, answer.cached_tokens)

    def _result(self, shard: Shard) -> Path:
        return self._ledger.folder / f"{shard.display_name}.answers.jsonl"


def _known(value: str | None) -> str:
    if value is None:
        raise RuntimeError("a shard without the name that its state promises")
    return value


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
