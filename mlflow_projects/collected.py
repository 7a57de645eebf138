"""Runs of a tracking store as the warehouse takes them: what they say, and their tables on this machine."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cloze.errors import SettingsError, UserError
from cloze.tables import SCHEMAS
from cloze.warehouse import RunRecord
from mlflow_projects import artifacts, tracking

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)

_AT_ONCE = 8  # tables that are fetched or checked at the same time
_TAGS = {
    "step": "cloze.step",
    "paradigm": "cloze.paradigm",
    "condition": "cloze.condition",
    "parent_run_id": "mlflow.parentRunId",
    "git_commit": "mlflow.source.git.commit",
}


@dataclass(frozen=True)
class Filter:
    """Which runs are wanted; what their tables were made from always comes with them.

    Attributes:
        runs: ids; a study stands for all its steps.
        tags: values that tags must have.
        paradigm: `pred` or `descp`; runs without a paradigm are wanted, too. Empty is both.
        experiment: its name; empty is all.
    """

    runs: Sequence[str] = ()
    tags: Mapping[str, str] | None = None
    paradigm: str = ""
    experiment: str = ""


def collect(wanted: Filter, cache: Path) -> list[RunRecord]:
    """The wanted runs of our steps, newest first, with the tables that they left.

    Tables are read where they lie, or fetched once into the cache. One that is missing or damaged is named in a
    warning.

    Raises:
        SettingsError: no such experiment.
        MissingInputError: no such run.
    """
    tracking.require_store()
    experiments = tracking.experiments()
    if wanted.experiment and wanted.experiment not in experiments.values():
        raise SettingsError("experiment", wanted.experiment, f"one of {', '.join(sorted(experiments.values()))}")
    found = {run.info.run_id: run for run in tracking.find_runs("tags.`cloze.step` != ''")}
    chosen = _with_sources(_chosen(found, wanted, experiments), found)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tables = list(pool.map(lambda run: _tables(run, cache), chosen))
    return [_record(run, experiments, here) for run, here in zip(chosen, tables, strict=True)]


def _chosen(found: "Mapping[str, Run]", wanted: Filter, experiments: Mapping[str, str]) -> "list[Run]":
    named: set[str] = set()
    for run_id in wanted.runs:
        run_id = run_id.removeprefix("runs:/")
        study = found.get(run_id) or tracking.get_run(run_id)
        named |= {run_id, *filter(None, study.data.tags.get("cloze.evaluated", "").split(","))}
        named |= {run.info.run_id for run in found.values() if run.data.tags.get("mlflow.parentRunId") == run_id}
    return [
        run
        for run in found.values()
        if (not wanted.runs or run.info.run_id in named)
        and wanted.experiment in ("", experiments[run.info.experiment_id])
        and all(run.data.tags.get(name) == value for name, value in (wanted.tags or {}).items())
        and (not wanted.paradigm or run.data.tags.get("cloze.paradigm", wanted.paradigm) == wanted.paradigm)
    ]


def _with_sources(chosen: "Iterable[Run]", found: "Mapping[str, Run]") -> "list[Run]":
    """The runs and all that they were made from, newest first."""
    kept: dict[str, Run] = {}
    left = list(chosen)
    while left:
        run = left.pop()
        if run.info.run_id not in kept:
            kept[run.info.run_id] = run
            left += [found[run_id] for run_id in tracking.sources(run) if run_id in found]
    return sorted(kept.values(), key=lambda run: -run.info.start_time)


def _tables(run: "Run", cache: Path) -> dict[str, Path]:
    here = {}
    for name in SCHEMAS:
        if f"cloze.digest.{name}.parquet" in run.data.tags:
            try:
                here[name] = artifacts.artifact_path(run, f"{name}.parquet", cache)
            except UserError as error:
                log.warning("%s (run %s, %s)", error, run.info.run_id, run.info.run_name)
    return here


def _record(run: "Run", experiments: Mapping[str, str], tables: Mapping[str, Path]) -> RunRecord:
    tags = run.data.tags
    words = {name: tags[tag] for name, tag in _TAGS.items() if tag in tags}
    reason = tags.get("cloze.error") or tags.get("cloze.end_reason")
    return RunRecord(
        {
            "run_id": run.info.run_id,
            "run_name": run.info.run_name or "",
            "status": run.info.status,
            "experiment": experiments[run.info.experiment_id],
            **({"reason": reason} if reason else {}),
            **words,
        },
        _time(run.info.start_time),
        _time(run.info.end_time) if run.info.end_time else None,
        run.data.params,
        tags,
        run.data.metrics,
        tables,
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
