"""Claim: 250,000 requests are planned and reconciled in under 60 s and 2 GiB, whatever the number under way.

    python -m benchmarks.label_ledger                     # 250,000 rows, 25 files under way; and 50,000 beside it
    python -m benchmarks.label_ledger --rows 1000000

Rows and answers are generated: keys as long as real ones, requests of 200 bytes (pictures by URI), answers of some
1,100 bytes of which 2 % are not `ok`, in another order than asked. The provider only moves files; what it does is timed
apart and not counted. Each size runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cloze.labels.answers import Answer, State
from cloze.labels.batch import BatchOptions, run_batches
from cloze.labels.cost import Price
from cloze.labels.ledger import Ledger, Planned
from cloze.labels.provider import Job, JobState
from tests.fakes.provider import read_answers

MODEL = "teacher-1"
PRICE = Price(0.125, 0.75, 0.0125)
TEXT = "The detective turns to the door as it bursts open, and shouts that the mill has been set on fire. " * 8


def planned(n: int) -> Iterator[Planned]:
    for i in range(n):
        subject = f"{i // 400}/{i // 8 % 50}_{i % 8}"
        key = f"pred/{subject}/{i:07}/3f9c2b7e11aa/{MODEL}"
        yield Planned(key, subject, "pred", "3f9c2b7e11aa", MODEL, f"{i:064x}", 1_790, 150)


def lines(pairs: Sequence[tuple[str, int]]) -> Iterator[tuple[str, bytes]]:
    for key, attempt in pairs:
        body = {"contents": [{"fileUri": f"gs://comics/{key}/{panel}.jpg"} for panel in range(2)], "seed": attempt}
        yield key, json.dumps({"key": key, "request": body}).encode()


class Depot:
    """A provider that keeps files; every job of it has ended well by the time it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds = 0.0
        self.jobs: dict[str, Job] = {}

    def upload(self, path: Path, name: str) -> str:
        self._timed(lambda: (self.folder / name).write_bytes(path.read_bytes()))
        return name

    def create(self, model: str, source: str, display_name: str) -> Job:
        job = Job(f"jobs/{source}", display_name, JobState.SUCCEEDED, "", result=str(self.folder / f"{source}.out"))
        self.jobs[job.name] = job
        self._timed(lambda: self._answer(self.folder / source, model))
        return job

    def find(self, display_name: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.display_name == display_name]

    def get(self, name: str) -> Job:
        return self.jobs[name]

    def cancel(self, name: str) -> None:
        raise AssertionError("nothing to cancel")

    def download(self, job: Job, path: Path) -> None:
        self._timed(lambda: Path(str(job.result)).rename(path))

    def answers(self, path: Path) -> Iterator[Answer]:
        return read_answers(path)

    def _answer(self, source: Path, model: str) -> None:
        """One answer per request, the last request first; the attempts after the first are all good."""
        with source.with_name(f"{source.name}.out").open("w") as out:
            for number, line in enumerate(reversed(source.read_text().splitlines())):
                request = json.loads(line)
                is_bad = number % 50 == 0 and request["request"]["seed"] == 1
                outcome = (
                    {"state": State.TRUNCATED, "reason": "MAX_TOKENS"} if is_bad else {"state": "ok", "text": TEXT}
                )
                counted = {"input_tokens": 1_790, "output_tokens": 150, "model": model}
                out.write(json.dumps({"key": request["key"], **outcome, **counted}) + "\n")
        source.unlink()

    def _timed(self, work: Callable[[], Any]) -> None:
        start = time.perf_counter()
        work()
        self.seconds += time.perf_counter() - start


def measure(folder: Path, n: int, shard: int) -> None:
    """All phases over n rows; prints one JSON line of seconds and peak MiB after each."""
    depot = Depot(folder)
    clock = time.perf_counter

    def phase(name: str, work: Callable[[], Any]) -> None:
        start, elsewhere = clock(), depot.seconds
        work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"phase": name, "s": clock() - start - (depot.seconds - elsewhere), "mib": peak}), flush=True)

    options = BatchOptions(model=MODEL, price=PRICE, budget_usd=1e6, shard_requests=shard, max_jobs=10_000, poll_s=1)
    with Ledger(folder / "ledger.sqlite") as ledger:
        phase("start", lambda: None)
        phase("plan", lambda: ledger.plan(planned(n)))
        phase("plan again", lambda: ledger.plan(planned(n)))
        submitted: list[str] = []
        phase("pack and submit", lambda: _until_submitted(ledger, depot, options, submitted.append))
        assert ledger.counts()[State.SUBMITTED] == n
        phase(
            "collect and retry",
            lambda: run_batches(ledger, depot, lines, options, lambda seconds: None, submitted.append),
        )
        assert ledger.counts()[State.OK] == n
        phase("rows", lambda: sum(1 for _ in ledger.rows()))


class _Submitted(Exception):  # noqa: N818 - ends a run that would go on collecting
    pass


def _until_submitted(ledger: Ledger, depot: Depot, options: BatchOptions, say: Callable[[str], None]) -> None:
    """The part of a run until it would wait for the first time: everything is under way then."""

    def stop(seconds: float) -> None:
        raise _Submitted

    try:
        run_batches(ledger, depot, lines, options, stop, say)
    except _Submitted:
        return


def run(n: int, shard: int) -> None:
    """Measure in a process of its own and print what it found."""
    print(f"{n:,} rows, {shard:,} in a file, {-(-n // shard)} files under way at once:")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.label_ledger", "--measure", folder, str(n), str(shard)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = [json.loads(line) for line in out.splitlines()]
    for row in found:
        print(f"  {row['phase']:<18} {row['s']:6.1f} s   peak {row['mib']:5.0f} MiB")
    print(f"  {'together':<18} {sum(row['s'] for row in found):6.1f} s   peak {found[-1]['mib']:5.0f} MiB")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=250_000)
    options.add_argument("--shard", type=int, default=10_000)
    options.add_argument("--measure", nargs=3, metavar=("FOLDER", "ROWS", "SHARD"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.measure:
        folder, n, shard = chosen.measure
        measure(Path(folder), int(n), int(shard))
        return
    for n in (chosen.rows // 5, chosen.rows):
        run(n, chosen.shard)


if __name__ == "__main__":
    main()
