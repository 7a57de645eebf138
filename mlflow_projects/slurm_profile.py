"""A profile: what one cluster needs, in JSON; `mlflow run --backend-config slurm/<profile>.json`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from cloze.errors import SettingsError

_OPTION = re.compile(r"[a-z]+(-[a-z]+)*")
# What the backend or the template decides.
_OURS = frozenset(
    {"array", "chdir", "dependency", "error", "export", "job-name", "kill-on-invalid-dep", "ntasks", "ntasks-per-node"}
    | {"open-mode", "output", "parsable", "requeue", "test-only", "wait", "wrap"}
)


@dataclass(frozen=True)
class Profile:
    """What one cluster needs.

    Attributes:
        about: a word to who reads it.
        sbatch: long options of sbatch by name; `true` for one without a value.
        setup: lines of shell that a job runs first.
        processes: processes on each node that share the work of a step that can be shared.
        shards: tasks of a job array that share the work of a step that can be cut into shards.
        python: interpreter on the nodes; empty: the one that runs `mlflow run`.
        logs: folder of logs, below the project unless absolute; every node must see it.
        wait: `mlflow run` stays until the job has ended.
        steps: by entry point, what is different for it.
    """

    about: str = ""
    sbatch: Mapping[str, str | int | bool] = field(default_factory=dict)
    setup: tuple[str, ...] = ()
    processes: int = 1
    shards: int = 1
    python: str = ""
    logs: str = "slurm/logs"
    wait: bool = True
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of_step(self, entry: str) -> "Profile":
        """The profile of one entry point; its options of sbatch are laid over the general ones."""
        own = dict(self.steps.get(entry, {}))
        options = {**self.sbatch, **own.pop("sbatch", {})}
        return replace(
            self, **own, sbatch={name: value for name, value in options.items() if value is not False}, steps={}
        )

    @property
    def options(self) -> list[str]:
        """Its options as words for sbatch."""
        return [f"--{name}" if value is True else f"--{name}={value}" for name, value in self.sbatch.items()]


def parse_profile(content: Mapping[str, Any]) -> Profile:
    """A profile from its JSON.

    Raises:
        SettingsError: an unknown name, or a value that will not do.
    """
    profile = _parse(content, "")
    for entry, own in profile.steps.items():
        if "steps" in own:
            raise SettingsError(f"steps.{entry}.steps", own["steps"], "left out")
        _parse(own, f"steps.{entry}.")
    return profile


def _parse(content: object, where: str) -> Profile:
    if not isinstance(content, Mapping):
        raise SettingsError(where.removesuffix("."), content, "an object")
    known = {f.name: f.type for f in fields(Profile)}
    for name, value in content.items():
        if name not in known:
            raise SettingsError(f"{where}{name}", value, f"left out; a profile has {', '.join(known)}")
    given = dict(content)
    for name, kind in (
        ("about", str),
        ("python", str),
        ("logs", str),
        ("wait", bool),
        ("processes", int),
        ("shards", int),
    ):
        if name in given and type(given[name]) is not kind:
            raise SettingsError(
                f"{where}{name}", given[name], {str: "a text", bool: "true or false", int: "a number"}[kind]
            )
    for name in ("processes", "shards"):
        if given.get(name, 1) < 1:
            raise SettingsError(f"{where}{name}", given[name], "1 or more")
    given["setup"] = tuple(given.get("setup", ()))
    if isinstance(content.get("setup", []), str) or not all(isinstance(line, str) for line in given["setup"]):
        raise SettingsError(f"{where}setup", content["setup"], "a list of lines")
    if not isinstance(given.get("steps", {}), Mapping):
        raise SettingsError(f"{where}steps", given["steps"], "an object by entry point")
    if not isinstance(given.get("sbatch", {}), Mapping):
        raise SettingsError(f"{where}sbatch", given["sbatch"], "an object of sbatch's long options")
    for name, value in given.get("sbatch", {}).items():
        _check_option(f"{where}sbatch.{name}", name, value)
    return Profile(**given)


def _check_option(where: str, name: str, value: object) -> None:
    if not _OPTION.fullmatch(name):
        raise SettingsError(where, value, "a long option of sbatch without its dashes, such as gpus-per-node")
    if name in _OURS:
        raise SettingsError(where, value, "left out: slurm/job.sbatch and the backend see to it")
    if not isinstance(value, str | int) or (isinstance(value, str) and not value.isprintable()):
        raise SettingsError(where, value, "a text on one line, a number, true or false")
