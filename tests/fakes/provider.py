"""A provider of labels in this process: what it was asked and what it billed outlive the runs that ask it.

Faults are scripted: by call (`calls`), by job (`jobs`), by request and attempt (`fates`). A `Lifeline` kills the
program before or after the n-th thing that anybody outside it could notice: a call's effect, or a commit.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cloze.labels.answers import Answer, State
from cloze.labels.cost import Price
from cloze.labels.ledger import Ledger
from cloze.labels.provider import BusyError, DeniedError, Job, JobState, RefusedError, UncertainError

PRICE = Price(0.125, 0.75, 0.0125)
MODEL = "teacher-1"
POLLS = 2  # a job has ended when it is asked for the second time
_BAD = {"blocked": "SAFETY", "truncated": "MAX_TOKENS", "empty": "no parts", "unparsable": "{", "failed": "code 3"}


class Killed(BaseException):
    """The process is no more; nothing in it may catch this."""


class Lifeline:
    """Ends the program's life at its n-th tick; the dead stay dead."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.n_ticks = at, 0

    def tick(self) -> None:
        self.n_ticks += 1
        if self.at is not None and self.n_ticks >= self.at:
            raise Killed


class MortalLedger(Ledger):
    """A ledger whose process may die right before or right after any commit."""

    def __init__(self, path: Path, life: Lifeline) -> None:
        super().__init__(path)
        self._life = life

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
            self._life.tick()
        self._life.tick()


@dataclass
class Script:
    """What goes wrong.

    Attributes:
        calls: by method, a fault for each call in turn; none is left when the list is. `busy`, `refused`, `lost before`
            (nothing was done), `lost after` (it was), and of `create` also `twice` (two jobs were made, answer lost).
        jobs: how each job ends in the order of their making; `succeeded` when the list is used up. `failed`, `expired`
            and `cancelled` leave no answers, `expired in part` leaves those to every other request.
        fates: by (key, attempt), what becomes of a request; else it is answered. The keys of `_BAD`, `dropped`, `torn`,
            `duplicate`, `bad, then good`, `stranger`, `rerouted`.
        poison: keys that make the provider refuse a whole file.
        hidden: how many looks a new job stays out of the listing.
    """

    calls: dict[str, list[str]] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    fates: dict[tuple[str, int], str] = field(default_factory=dict)
    poison: set[str] = field(default_factory=set)
    hidden: int = 0


@dataclass
class _Made:
    """A job, at the provider."""

    job: Job
    source: str
    model: str
    fate: str
    hidden: int
    n_polls: int = 0


class FakeProvider:
    """A `BatchProvider` and an `InteractiveProvider`; `bill` counts what was charged for, by key and attempt."""

    def __init__(self, folder: Path, script: Script | None = None) -> None:
        self.folder, self.script = folder, script or Script()
        self.life = Lifeline()
        self.bill: Counter[tuple[str, int]] = Counter()
        self.usd = 0.0
        self.made: dict[str, _Made] = {}
        self.n_calls: Counter[str] = Counter()
        self.n_open = self.most_open = 0

    # -- Batches -----------------------------------------------------------------------------------------------------

    def upload(self, path: Path, name: str) -> str:
        with self._call("upload"):
            shutil.copyfile(path, self.folder / name)
        return f"files/{name}"

    def create(self, model: str, source: str, display_name: str) -> Job:
        with self._call("create") as fault:
            lines = (self.folder / source.removeprefix("files/")).read_text().split("\n")[:-1]
            if {json.loads(line)["key"] for line in lines} & self.script.poison:
                raise RefusedError("400: a request is malformed")
            job = self._make(model, source, display_name)
            if fault == "twice":
                self._make(model, source, display_name)
        return job

    def find(self, display_name: str) -> list[Job]:
        with self._call("find"):
            found = [made for made in self.made.values() if made.job.display_name == display_name]
            seen = [made.job for made in found if made.hidden <= 0]
            for made in found:
                made.hidden -= 1
        return seen

    def get(self, name: str) -> Job:
        with self._call("get"):
            made = self.made[name]
            made.n_polls += 1
            if made.job.state is JobState.RUNNING and made.n_polls >= POLLS:
                self._end(made)
        return made.job

    def cancel(self, name: str) -> None:
        with self._call("cancel"):
            made = self.made[name]
            if made.job.state is JobState.RUNNING:
                made.job = replace(made.job, state=JobState.CANCELLED)

    def download(self, job: Job, path: Path) -> None:
        with self._call("download"):
            assert job.result is not None
            partial = path.with_name(f"{path.name}.partial")
            partial.write_bytes(Path(job.result).read_bytes()[:7])
            self.life.tick()
            shutil.copyfile(job.result, partial)
            partial.rename(path)

    def answers(self, path: Path) -> Iterator[Answer]:
        return read_answers(path)

    # -- One by one --------------------------------------------------------------------------------------------------

    async def ask(self, model: str, key: str, body: Mapping[str, Any]) -> Answer:
        import asyncio

        self.n_open += 1
        self.most_open = max(self.most_open, self.n_open)
        try:
            await asyncio.sleep(0)
            with self._call("ask"):
                if key in self.script.poison:
                    raise RefusedError("400: the request is malformed")
                [line] = self._answered({"key": key, "request": body}, model)
            return _answer(line)
        finally:
            self.n_open -= 1

    async def close(self) -> None:
        self.n_calls["close"] += 1

    # -- Inside ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _call(self, method: str) -> Iterator[str]:
        """One call: its scripted fault, and the two instants at which the caller may die."""
        self.n_calls[method] += 1
        self.life.tick()
        queue = self.script.calls.get(method, [])
        fault = queue.pop(0) if queue else ""
        before = {
            "busy": BusyError("429: quota", 90.0),
            "refused": RefusedError("403: no"),
            "denied": DeniedError("401: no such key"),
            "lost before": UncertainError("503: unavailable"),
        }
        if fault in before:
            raise before[fault]
        yield fault
        self.life.tick()
        if fault in ("lost after", "twice"):
            raise UncertainError("connection reset")

    def _make(self, model: str, source: str, display_name: str) -> Job:
        name = f"batches/{len(self.made)}"
        job = Job(name, display_name, JobState.RUNNING, created=f"{len(self.made):06}")
        fate = self.script.jobs.pop(0) if self.script.jobs else "succeeded"
        self.made[name] = _Made(job, source, model, fate, self.script.hidden)
        return job

    def _end(self, made: _Made) -> None:
        """The job's end, with or without answers. Only requests that are answered are billed."""
        state = JobState(made.fate.split()[0])
        has_answers = made.fate in ("succeeded", "expired in part")
        result = self.folder / f"{made.job.name.replace('/', '-')}.out" if has_answers else None
        error = None if state is JobState.SUCCEEDED else f"it {made.fate}"
        made.job = replace(made.job, state=state, result=str(result) if result else None, error=error)
        if result:
            source = self.folder / made.source.removeprefix("files/")
            requests = [json.loads(line) for line in source.read_text().split("\n")[:-1]]
            some = requests[:: 2 if made.fate == "expired in part" else 1]
            lines = [line for request in some for line in self._answered(request, made.model)]
            lines.sort(key=lambda line: hashlib.sha256(line.encode()).digest())
            result.write_text("".join(lines))

    def _answered(self, request: Mapping[str, Any], model: str) -> list[str]:
        """The answer's lines, usually one; bills it."""
        key, attempt = request["key"], request["request"]["attempt"]
        fate = self.script.fates.get((key, attempt), "ok")
        if fate in ("dropped", "torn"):
            return [] if fate == "dropped" else [f'{{"key": "{key}", "sta\n']
        line = answer_line(key, attempt, "ok" if fate not in _BAD else fate, model)
        self.bill[key, attempt] += 1
        self.usd += _usd(_answer(line))
        if fate == "duplicate":
            return [line, line.replace("text of", "second text of")]
        if fate == "bad, then good":
            return [answer_line(key, attempt, "empty", model), line]
        if fate == "stranger":
            return [line, answer_line(f"{key}-nobody", attempt, "ok", model)]
        if fate == "rerouted":
            return [line.replace(model, "successor-2")]
        return [line]


def answer_line(key: str, attempt: int, state: str, model: str) -> str:
    """One line of a file of answers; the text holds a letter that `str.splitlines` would split at."""
    tokens = 1_000 + len(key) * 7 + attempt
    answer: dict[str, Any] = {"key": key, "state": state, "model": model, "input_tokens": tokens}
    outcome: dict[str, Any] = {"text": f"text of {key} \u2028 at {attempt}"}
    if state in _BAD:
        outcome = {"reason": _BAD[state], "is_final": state == "blocked"}
    return json.dumps(answer | outcome | {"cached_tokens": tokens // 3, "output_tokens": tokens // 7}) + "\n"


def read_answers(path: Path) -> Iterator[Answer]:
    """Answers of a file; a line that is cut short is skipped."""
    with path.open(encoding="utf-8", newline="\n") as stream:
        for line in stream:
            if line.endswith("}\n"):
                yield _answer(line)


def lines_of(pairs: Any) -> Iterator[tuple[str, bytes]]:
    """Requests that carry their attempt, so that the provider can bill it."""
    for key, attempt in pairs:
        yield key, json.dumps({"key": key, "request": {"attempt": attempt}}).encode()


def body_of(key: str, attempt: int) -> dict[str, int]:
    return {"attempt": attempt}


def _answer(line: str) -> Answer:
    values: dict[str, Any] = json.loads(line)
    return Answer(**values | {"state": State(values["state"])}, raw=line)


def _usd(answer: Answer) -> float:
    return PRICE.usd(answer.input_tokens, answer.output_tokens, answer.cached_tokens)
