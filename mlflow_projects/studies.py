"""A study: named steps with their settings, run as far as they were not run before.

A study is a YAML file in `mlflow_projects/studies/` (or a path to one). Under `steps` it names steps; each gives an
entry point (`entry`) and its parameters. `@name` in a parameter is the run of that step and makes this one wait for it;
under `after` it does the latter only.
"""

import os
import re
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import click
import yaml

from cloze.errors import DataError, SettingsError
from cloze.settings import setting
from cloze.stage import Workspace
from mlflow_projects import artifacts, tracking

if TYPE_CHECKING:
    from mlflow.entities import Run

    from mlflow_projects.steps import Steps

STUDIES = Path(__file__).parent / "studies"
_REFERENCE = re.compile(r"(?<![^\s,])@(\w+)")  # not the alias in models:/NAME@ALIAS


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What a user may set when running a study."""

    study: str = setting("Study to run: a name in mlflow_projects/studies, or a YAML file.", default="sample")
    workers: int = setting("Steps run at the same time; 0: one a core.", default=0)

    def __post_init__(self) -> None:
        """Refuse a negative number of workers."""
        if self.workers < 0:
            raise SettingsError("workers", self.workers, "0 or more")


@dataclass(frozen=True)
class StudyStep:
    """One step of a study: its entry point and the words of its parameters, references included.

    Attributes:
        after: references to steps that it waits for though none of its parameters names them.
    """

    entry: str
    parameters: Mapping[str, str]
    after: str = ""

    @property
    def needs(self) -> set[str]:
        """Names of the steps that must have finished before."""
        return {name for word in (*self.parameters.values(), self.after) for name in _REFERENCE.findall(word)}

    def words(self, runs: "Mapping[str, Run]") -> dict[str, str]:
        """The parameters with references replaced by runs."""
        return {
            key: _REFERENCE.sub(lambda match: f"runs:/{runs[match[1]].info.run_id}", word)
            for key, word in self.parameters.items()
        }


def load_study(name: str) -> dict[str, StudyStep]:
    """Read a study by name or path.

    Raises:
        SettingsError: there is no such study.
        DataError: its file is not a study.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else STUDIES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in STUDIES.glob("*.yaml")))
        raise SettingsError("study", name, f"a YAML file or one of {known}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DataError(path, f"not YAML ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("steps"), dict):
        raise DataError(path, "no mapping `steps` at the top", "see mlflow_projects/studies/sample.yaml")
    steps = {step: _parse_step(path, step, given) for step, given in content["steps"].items()}
    for step, parsed in steps.items():
        for needed in sorted(parsed.needs - set(steps)):
            raise DataError(path, f"step {step} refers to @{needed}, which is not a step of it")
    return steps


def run_study(settings: StudySettings, workspace: Workspace, steps: "Steps") -> dict[str, float]:
    """Run every step of a study, two that do not need each other at the same time, and show its table."""
    study = load_study(settings.study)
    runs = _run_all(study, settings.workers or os.cpu_count() or 1, steps)
    evaluated = [runs[name].info.run_id for name, step in study.items() if step.entry == "eval"]
    tracking.set_tags({"cloze.evaluated": ",".join(evaluated)})
    for name, step in study.items():
        if step.entry == "report":
            _show(runs[name], workspace)
    return {"steps": len(runs)}


def sorter(study: Mapping[str, StudyStep]) -> TopologicalSorter[str]:
    """The steps of a study, so that each comes after those that it needs.

    Raises:
        SettingsError: they need each other in a circle.
    """
    graph = TopologicalSorter({name: step.needs for name, step in study.items()})
    try:
        graph.prepare()
    except CycleError as error:
        raise SettingsError("study", " -> ".join(error.args[1]), "free of cycles") from error
    return graph


def _run_all(study: Mapping[str, StudyStep], workers: int, steps: "Steps") -> "dict[str, Run]":
    runs: dict[str, Run] = {}
    graph = sorter(study)
    with ThreadPoolExecutor(workers) as pool:
        waiting: dict[Future[Run], str] = {}
        try:
            while graph.is_active():
                for name in graph.get_ready():
                    step = study[name]
                    waiting[pool.submit(steps.ensure, step.entry, step.words(runs), name)] = name
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    name = waiting.pop(future)
                    runs[name] = future.result()
                    graph.done(name)
        except Exception as error:
            pool.shutdown(wait=False, cancel_futures=True)
            steps.start_no_more(str(error))
            raise
        except BaseException:  # a signal: what runs is not waited for
            pool.shutdown(wait=False, cancel_futures=True)
            steps.stop()
            raise
    return runs


def _show(report: "Run", workspace: Workspace) -> None:
    """Print the 2x2 table and where the report lies; keep a copy of the report with the study."""
    table = artifacts.artifact_path(report, "two_by_two.txt", workspace.cache).read_text(encoding="utf-8")
    page = artifacts.artifact_path(report, "report.html", workspace.cache)
    (workspace.out / "two_by_two.txt").write_text(table, encoding="utf-8")
    (workspace.out / "report.html").write_bytes(page.read_bytes())
    click.echo(f"\n{table}\nreport: {page}\nMLflow UI: make ui\n")


def _parse_step(path: Path, name: str, given: object) -> StudyStep:
    if not isinstance(given, dict) or not isinstance(given.get("entry"), str):
        raise DataError(path, f"step {name} names no `entry`")
    parameters = {key: str(value) for key, value in given.items() if key not in ("entry", "after")}
    return StudyStep(given["entry"], parameters, str(given.get("after", "")))
