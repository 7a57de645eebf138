"""Claim: SQL over a 2x2 of 54,530 predictions opens in under 3 s and answers each question in under 1 s, within 2 GiB.

    python -m benchmarks.warehouse

Sequences, two label runs, predictions of two conditions (150 words each) and their four evaluations (four metrics
against three references, three floors) are generated as files. Then `cloze sql`'s views are opened over them and each
named question is asked; pandas reads the same files for the first of them, in turn. Each runs in a process of its own,
whose peak memory is reported.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from cloze.tables import SCHEMAS, write_table
from cloze.warehouse import RunRecord, find_query, open_warehouse, queries

N = 54_530
METRICS, REFERENCES, FLOORS = (
    ("rouge1", "rouge2", "rougeL", "bleu"),
    ("pred", "descp", "lettering"),
    ("foreign", "panel5"),
)
CELLS = [(condition, paradigm) for condition in ("zero-shot", "fine-tuned") for paradigm in ("pred", "descp")]
WORDS = np.array(
    ["MEANWHILE", "hero", "runs", "through", "the", "door", "and", "says", "never", "again", "night", "falls"]
)


def generate(folder: Path, n: int) -> None:
    """Write all tables, each in a folder of its run."""
    random = np.random.default_rng(0)
    books = np.sort(random.integers(0, 589, n))
    numbers = np.arange(n) - np.searchsorted(books, books)
    keys = pa.array([f"{book}/{number // 6 + 1}_{number % 6}" for book, number in zip(books, numbers, strict=True)])
    panel = {"panel_id": "0/0_0", "image": "0/0_0.jpg", "text": "OH NO! " * 8}
    write(
        folder,
        "sequences",
        "sequences",
        keys,
        book=books,
        story=numbers // 40,
        group=books,
        split="test",
        context=[panel] * 5,
        target=panel,
    )
    for paradigm in ("pred", "descp"):
        more = {
            "labeller": "gemini-batch",
            "model": "flash",
            "input_tokens": 1500,
            "output_tokens": 180,
            "cost_usd": 1e-4,
        }
        write(folder, f"label-{paradigm}", "labels", keys, paradigm=paradigm, state="ok", text=texts(random, n), **more)
    for condition in ("zero-shot", "fine-tuned"):
        for paradigm in ("pred", "descp") if condition == "fine-tuned" else ("",):
            write(
                folder,
                f"predict-{condition}-{paradigm}",
                "predictions",
                keys,
                prediction=texts(random, n),
                finish_reason="stop",
            )
    pairs = [(reference, metric) for reference in REFERENCES for metric in METRICS]
    long = pa.concat_arrays([keys] * len(pairs))
    named = {"reference": np.repeat([r for r, _ in pairs], n), "metric": np.repeat([m for _, m in pairs], n)}
    for condition, paradigm in CELLS:
        write(folder, f"eval-{condition}-{paradigm}", "scores", long, **named, score=random.random(n * len(pairs)))
        floors = {name: np.tile(values, len(FLOORS)) for name, values in named.items()}
        below = {"floor": np.repeat(FLOORS, len(long)), **floors, "score": random.random(len(long) * len(FLOORS)) / 2}
        write(folder, f"eval-{condition}-{paradigm}", "floors", pa.concat_arrays([long] * len(FLOORS)), **below)


def texts(random: np.random.Generator, n: int) -> list[str]:
    """Texts of 150 words."""
    return [" ".join(words) for words in WORDS[random.integers(0, len(WORDS), (n, 150))]]


def write(folder: Path, run: str, name: str, keys: Any, **columns: Any) -> None:
    """A table of one run; a single value is that of all rows, a missing column is unknown."""
    path = folder / run / f"{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    arrays = [keys]
    for column in [field for field in SCHEMAS[name] if field.name != "sequence_id"]:
        value = columns.get(column.name)
        is_each = isinstance(value, np.ndarray) or (isinstance(value, list) and column.name != "context")
        arrays.append(pa.array(value if is_each else [value] * len(keys), column.type))
    names = ["sequence_id", *(field.name for field in SCHEMAS[name] if field.name != "sequence_id")]
    made = pa.table(dict(zip(names, arrays, strict=True))).select(SCHEMAS[name].names)
    write_table(made.cast(SCHEMAS[name]), path)


def records(folder: Path) -> list[RunRecord]:
    """The runs that the files stand for."""
    started = datetime(2026, 1, 1, tzinfo=UTC)
    found = []
    for place in sorted(folder.iterdir()):
        step, _, rest = place.name.partition("-")
        words = {
            "run_id": run_id(place.name),
            "run_name": place.name,
            "step": step,
            "status": "FINISHED",
        }
        params = {"cfg.split": "test", "cfg.blind": "none"}
        if step == "eval":
            condition, _, paradigm = rest.rpartition("-")
            words |= {"condition": condition, "paradigm": paradigm}
            own = paradigm if condition == "fine-tuned" else ""
            params |= {"cfg.predictions": f"runs:/{run_id(f'predict-{condition}-{own}')}/predictions.parquet"}
            params |= {"cfg.sequences": f"runs:/{run_id('sequences')}/sequences.parquet"}
            params |= {f"cfg.{p}_labels": f"runs:/{run_id(f'label-{p}')}/labels.parquet" for p in ("pred", "descp")}
        tables = {path.stem: path for path in place.glob("*.parquet")}
        found.append(RunRecord(words, started, started, params, tables=tables))
    return found


def run_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def ask_duckdb(folder: Path) -> dict[str, float]:
    """Seconds to open and for each question."""
    times = {}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as spill, open_warehouse(records(folder), Path(spill)) as warehouse:
        times["open"] = time.perf_counter() - began
        for name in queries():
            began = time.perf_counter()
            query = find_query(name)
            warehouse.ask(query.sql, query.bind({}))
            times[name] = time.perf_counter() - began
    return times


def ask_pandas(folder: Path) -> dict[str, float]:
    """The same of what pandas does for two of them."""
    import pandas as pd

    began = time.perf_counter()
    evals = [place for place in sorted(folder.iterdir()) if place.name.startswith("eval-")]
    scores = {place.name: pd.read_parquet(place / "scores.parquet") for place in evals}
    floors = {place.name: pd.read_parquet(place / "floors.parquet") for place in evals}
    for name, rows in scores.items():
        means = rows.groupby(["reference", "metric"])["score"].mean()
        below = floors[name].groupby(["reference", "metric", "floor"])["score"].mean()
        means - below.groupby(level=[0, 1]).max()
    two_by_two = time.perf_counter() - began
    began = time.perf_counter()
    sequences = pd.read_parquet(folder / "sequences" / "sequences.parquet", columns=["sequence_id", "book"])
    for rows in scores.values():
        own = rows[(rows.reference == "pred") & (rows.metric == "rougeL")].merge(sequences, on="sequence_id")
        own.groupby("book")["score"].agg(["mean", "count", "std"])
    return {"two_by_two": two_by_two, "by_book": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=N)
    parser.add_argument("--ask", choices=("duckdb", "pandas"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        times = (ask_duckdb if given.ask == "duckdb" else ask_pandas)(given.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"times": times, "peak": peak}))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        generate(folder, given.rows)
        size = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 2**20
        print(f"{given.rows:,} predictions of each of 4 cells, {size:.0f} MiB of tables")
        found: dict[str, list[dict[str, Any]]] = {"duckdb": [], "pandas": []}
        for _ in range(given.rounds):
            for who, answers in found.items():
                command = [sys.executable, "-m", "benchmarks.warehouse", "--ask", who, "--folder", place]
                answers.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    for name in found["duckdb"][0]["times"]:
        taken = [answer["times"][name] for answer in found["duckdb"]]
        line = f"{name:<20} {median(taken):6.3f} s ({min(taken):.3f} to {max(taken):.3f})"
        if name in found["pandas"][0]["times"]:
            theirs = [answer["times"][name] for answer in found["pandas"]]
            ratios = [b / a for a, b in zip(taken, theirs, strict=True)]
            line += f"   pandas {median(theirs):6.3f} s, x{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        print(line)
    for who, answers in found.items():
        print(f"peak of {who}: {max(answer['peak'] for answer in answers):.2f} GiB")


if __name__ == "__main__":
    main()
