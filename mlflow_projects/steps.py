"""Run a step, or reuse a finished run that did exactly the same.

Inputs come in this order: what the user names (`runs:/...`, `models:/...`, a path); what the lineage of the inputs
already found says; the newest finished run with the step key that making it would have; and at last a child run.
"""

import dataclasses
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.errors import ClozeError, MissingInputError, SettingsError
from cloze.locks import locked
from cloze.settings import Settings, TableInput, inputs, parse, words
from cloze.stage import REQUEUE_FILE, StoppedError
from mlflow_projects import artifacts, tracking
from mlflow_projects.program import find_program
from mlflow_projects.provenance import ROOT
from mlflow_projects.registry import find_version
from mlflow_projects.signals import Terminated
from mlflow_projects.stepkey import code_digests, content_digest, step_key

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)

_RUN = re.compile(r"^runs:/(?P<run>[0-9a-f]{32})(?:/(?P<name>.+))?$|^(?P<bare>[0-9a-f]{32})$")


class StepFailedError(ClozeError):
    """A step that this one needs did not finish."""


class NotMadeError(StepFailedError):
    """A step that this one needs was not done before, and is not to be done now."""


@dataclass(frozen=True)
class Input:
    """One resolved input: where it was named, where it lies, what it holds, and the run that made it, if one did."""

    uri: str
    path: Path
    digest: str
    run: "Run | None" = None


@dataclass(frozen=True)
class Resolved:
    """A step with every input found.

    Attributes:
        settings: as given, inputs as URIs.
        inputs: by name of the setting; optional ones that are absent are left out.
        lineage: URI of every artifact that the inputs were made from, and the inputs themselves.
        tags: paradigm and condition, as far as settings and inputs fix them.
    """

    step: str
    settings: Settings
    inputs: dict[str, Input] = field(default_factory=dict)
    lineage: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def local_settings(self) -> Settings:
        """The settings as a stage wants them: local paths, empty where an optional input is absent."""
        paths = {n: str(self.inputs[n].path) if n in self.inputs else "" for n in inputs(type(self.settings))}
        return dataclasses.replace(self.settings, **paths)

    def key_parts(self) -> dict[str, Any]:
        """What the step key is made of."""
        names = inputs(type(self.settings))
        values = {name: word for name, word in words(self.settings).items() if name not in names}
        contents = {name: content_digest(word) for name, word in values.items()}
        return {
            "step": self.step,
            "settings": values,
            "contents": {name: digest for name, digest in contents.items() if digest},
            "inputs": {name: found.digest for name, found in self.inputs.items()},
            "code": dict(code_digests(f"jobs.{self.step}")),
        }

    @property
    def name(self) -> str:
        """What to call the run: the step and what sets it apart."""
        blind = getattr(self.settings, "blind", "none")
        parts = [self.step, self.tags.get("cloze.condition", ""), self.tags.get("cloze.paradigm", "")]
        return "-".join(part for part in [*parts, "" if blind == "none" else f"blind-{blind}"] if part)


class Steps:
    """Finds inputs and runs missing steps as children of one run.

    Args:
        parent_id: the run that asks.
        cache: folder for what is fetched or can be made again.
        state: folder for what must not be lost.
        makes: runs what is missing; else that is an error.
    """

    def __init__(self, parent_id: str, cache: Path, state: Path, *, makes: bool = True) -> None:
        self.parent_id = parent_id
        self._makes = makes
        self.cache = cache
        self.state = state
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def resolve(self, step: str, settings: Settings) -> Resolved:
        """Find, reuse or make every input of a step.

        Raises:
            MissingInputError: an input that was named cannot be used.
            StepFailedError: an input had to be made, and that failed.
        """
        found: dict[str, Input] = {}
        for name, source in inputs(type(settings)).items():
            value = getattr(settings, name)
            if value == "none" and source.optional:
                continue
            if source.many:
                found[name] = self._find_many(value, source)
                continue
            given = self._find(value, source) if value else self._inherit(name, source, settings, found)
            if given is None and source.made_by:
                given = self._make(source, settings, found)
            if given is None and not source.optional:
                raise SettingsError(name, "", f"given: no step makes {source.artifact}")
            if given is not None:
                found[name] = given
        self._check_adapter(settings, found)
        settings = dataclasses.replace(settings, **{n: i.uri for n, i in found.items()})
        tags = _tags(settings, found)
        if getattr(settings, "paradigm", "") == "auto":
            settings = dataclasses.replace(settings, paradigm=tags.get("cloze.paradigm", "auto"))
        return Resolved(step, settings, found, _merged_lineage(found, inputs(type(settings))), tags)

    def look_up(self, settings: Settings) -> Settings:
        """The settings as a stage wants them, with inputs that are named or in the lineage of those; makes nothing.

        Raises:
            MissingInputError: an input that was named cannot be used.
        """
        found: dict[str, Input] = {}
        for name, source in inputs(type(settings)).items():
            given = self._find(getattr(settings, name), source) if _is_named(settings, name) else None
            given = given or self._inherit(name, source, settings, found)
            if given is not None:
                found[name] = given
        return Resolved("", settings, found).local_settings

    def ensure(self, step: str, given: Mapping[str, str], name: str = "") -> "Run":
        """The finished run of a step with these settings: an earlier one, or a child made now."""
        program = find_program(step)
        resolved = self.resolve(step, parse(program.settings, given))
        if not program.reusable:
            return self._run_child(resolved, name or resolved.name)
        key = step_key(resolved.key_parts())
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:  # two branches of a study may need the same step
            run = tracking.find_finished(step, key)
            if run is not None:
                log.info("reused   %-32s runs:/%s", name or resolved.name, run.info.run_id)
                tracking.note_reused(self.parent_id, name or resolved.name, run.info.run_id)
                return run
            return self._run_child(resolved, name or resolved.name, self.unfinished(resolved))

    def unfinished(self, resolved: Resolved) -> str:
        """Id of the run that began this step and left a checkpoint; empty where there is none.

        Raises:
            MissingInputError: it is still at work.
        """
        key = step_key(resolved.key_parts())
        folder = self.state / "checkpoints" / key
        if not (find_program(resolved.step).resumes and any(folder.glob("step-*"))):
            return ""
        locked(folder.with_suffix(".lock"), f"what {resolved.name} would go on with").close()
        run = tracking.find_unfinished(resolved.step, key)
        return "" if run is None or run.info.run_id == self.parent_id else str(run.info.run_id)

    def resume(self, resolved: Resolved, run_id: str) -> "Run":
        """Go on with a run that did not end, as a child of this one."""
        return self._run_child(resolved, resolved.name, run_id)

    def start_no_more(self, reason: str) -> None:
        """Start no more children; those that run may finish, and be reused when the fault is mended."""
        self._stopped = True
        log.error("%s", reason)
        if self._children:
            log.info("starting no more steps; waiting for %d that run", len(self._children))

    def stop(self) -> None:
        """Ask every running child to end, and start no more."""
        self._stopped = True
        for child in list(self._children):
            child.send_signal(signal.SIGTERM)

    def _find(self, value: str, source: TableInput) -> Input:
        match = _RUN.match(value)
        if match:
            run_id = match["run"] or match["bare"]
            return self._of_run(tracking.require_finished(run_id), match["name"] or source.artifact)
        if value.startswith("models:/"):
            version, run_id = find_version(value)
            return self._of_run(tracking.require_finished(run_id), source.artifact, version)
        try:
            path, digest = artifacts.given_path(value)
        except MissingInputError as error:
            expected = f"{source.artifact} was expected: runs:/ID, models:/NAME/VERSION or a path"
            raise MissingInputError(f"{error}; {expected}") from error
        return Input(artifacts.pinned(path, digest), path, digest)

    def _find_many(self, value: str, source: TableInput) -> Input:
        """Evaluated runs, described in one file; a study stands for its evaluated runs."""
        from mlflow_projects.comparison import describe_runs

        named = [_run_id(item) for item in value.split(",")] if value else [self.ensure(source.made_by, {}).info.run_id]
        runs = []
        for run in map(tracking.require_finished, named):
            evaluated = run.data.tags.get("cloze.evaluated", "")
            runs += [tracking.require_finished(part) for part in evaluated.split(",")] if evaluated else [run]
        path = describe_runs(runs, self.cache)
        return Input(",".join(run.info.run_id for run in runs), path, artifacts.artifact_digest(path))

    def _of_run(self, run: "Run", name: str, uri: str = "") -> Input:
        path = artifacts.artifact_path(run, name, self.cache)
        return Input(uri or f"runs:/{run.info.run_id}/{name}", path, run.data.tags[f"cloze.digest.{name}"], run)

    def _inherit(self, name: str, source: TableInput, settings: Settings, found: Mapping[str, Input]) -> Input | None:
        """From the lineage of inputs found so far, or named further on."""
        if not source.inherited:
            return None
        sources = inputs(type(settings))
        named = [self._find(getattr(settings, n), s) for n, s in sources.items() if _is_named(settings, n)]
        runs = [given.run for given in [*found.values(), *named] if given.run is not None]
        uris = {tracking.lineage(run).get(source.artifact, "") for run in runs} - {""}
        by_content = {inherited.digest: inherited for inherited in (self._find(uri, source) for uri in sorted(uris))}
        if len(by_content) > 1:
            different = ", ".join(inherited.uri for inherited in by_content.values())
            raise MissingInputError(f"{name}: the inputs were made from different {source.artifact}: {different}")
        return next(iter(by_content.values()), None)

    def _check_adapter(self, settings: Settings, found: Mapping[str, Input]) -> None:
        """Refuse predictions together with an adapter that did not make them."""
        if not ("predictions" in found and "adapter" in found and found["predictions"].run):
            return
        uri = tracking.lineage(found["predictions"].run).get("adapter")
        if not uri or self._find(uri, inputs(type(settings))["adapter"]).digest != found["adapter"].digest:
            raise MissingInputError(
                f"adapter {found['adapter'].uri} did not make the predictions {found['predictions'].uri}; "
                "name one of them only"
            )

    def _make(self, source: TableInput, settings: Settings, found: Mapping[str, Input]) -> Input:
        given: dict[str, str] = {}
        own = {**words(settings), **{name: item.uri for name, item in found.items()}}
        for passed in source.passes:
            name, _, value = passed.partition(":")
            given[name] = value or own[name]
        return self._of_run(self.ensure(source.made_by, given), source.artifact)

    def _run_child(self, resolved: Resolved, name: str, unfinished: str = "") -> "Run":
        """Run a step to its end, in a run of its own or in one that did not end."""
        if not self._makes:
            raise NotMadeError(f"{name} was not done before")
        if self._stopped:
            raise StepFailedError(f"{name} was not started: another step failed")
        run_id = unfinished or tracking.create_child(resolved.step, name, self.parent_id)
        if unfinished:
            tracking.adopt_child(unfinished, self.parent_id)
        log.info("%s  %-32s runs:/%s", "resumed" if unfinished else "started", name, run_id)
        options = [part for option, word in words(resolved.settings).items() for part in (f"--{option}", word)]
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", f"jobs.{resolved.step}", *options],
                cwd=ROOT,
                env=tracking.child_environment(run_id),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except BaseException as error:
            tracking.end_vanished(run_id, f"the process could not be started: {error!r}")
            raise
        self._children.add(child)
        if self._stopped:  # it was asked for while this one was starting
            child.send_signal(signal.SIGTERM)
        asked: BaseException | None = None
        try:
            lines = _relay(child, name)
        except (Terminated, KeyboardInterrupt) as error:
            asked = error
            child.send_signal(signal.SIGTERM)
            lines = _relay(child, name)  # what resumes saves what it has done before it ends
        self._children.discard(child)
        if child.wait() == StoppedError.exit_code or Path(os.environ.get(REQUEUE_FILE, "")).is_file():
            raise StoppedError(f"{name} was asked to stop (runs:/{run_id}); the same command goes on from there")
        if child.returncode != 0:
            tracking.end_vanished(run_id, f"the process ended with status {child.returncode}")
            if asked:
                raise asked
            tail = "\n".join(lines[-12:])
            raise StepFailedError(f"{name} failed (runs:/{run_id}); the last it said:\n{tail}")
        run = tracking.require_finished(run_id)
        log.info("finished %-32s %.0f s", name, (run.info.end_time - run.info.start_time) / 1000)
        return run


def _relay(child: "subprocess.Popen[str]", name: str) -> list[str]:
    """Pass on what a child says, line by line, under its name."""
    lines: list[str] = []
    assert child.stdout is not None  # noqa: S101 - it was asked for
    for line in child.stdout:
        lines.append(line.rstrip())
        log.info("  %s | %s", name, lines[-1])
    return lines


def _run_id(value: str) -> str:
    match = _RUN.match(value.strip())
    if not match:
        raise MissingInputError(f"{value}: not a run; expected runs:/ID or a run's id, several with commas between")
    return match["run"] or match["bare"]


def _is_named(settings: Settings, name: str) -> bool:
    return getattr(settings, name) not in ("", "none")


def _tags(settings: Settings, found: Mapping[str, Input]) -> dict[str, str]:
    """Paradigm and condition: of the settings, else of the inputs, else of what having an adapter means."""
    inherited: dict[str, str] = {}
    for given in found.values():
        if given.run is not None:
            for name in ("cloze.paradigm", "cloze.condition"):
                if name in given.run.data.tags:
                    inherited.setdefault(name, given.run.data.tags[name])
    names = inputs(type(settings))
    tags = {}
    paradigm = getattr(settings, "paradigm", None)
    if paradigm not in (None, "auto"):
        tags["cloze.paradigm"] = paradigm
    elif paradigm == "auto" or "adapter" in found:
        wanted = inherited.get("cloze.paradigm", "pred")
        if f"{wanted}_labels" not in names or f"{wanted}_labels" in found:  # real comics may have no labels at all
            tags["cloze.paradigm"] = wanted
    if "adapter" in found:
        tags["cloze.condition"] = "fine-tuned"
    elif "cloze.condition" in inherited:
        tags["cloze.condition"] = inherited["cloze.condition"]
    elif "adapter" in names and "predictions" not in found:  # a file of predictions does not say who made them
        tags["cloze.condition"] = "zero-shot"
    return tags


def _merged_lineage(found: Mapping[str, Input], sources: Mapping[str, TableInput]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name, given in found.items():
        if given.run is not None:
            merged.update(tracking.lineage(given.run))
        elif not sources[name].many:
            merged[sources[name].artifact] = given.uri
    return merged
