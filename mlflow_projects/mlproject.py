"""The text of `MLproject` and `conda.yaml`, made from the programs and from `pyproject.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import yaml

from cloze.settings import Settings, of_preset, words
from mlflow_projects.program import Program

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "# Made by `python -m jobs --write`; do not edit.\n"


def render_mlproject(programs: Mapping[str, Program]) -> str:
    """The MLproject file: one entry point for each program."""
    points = {name: _entry_point(name, program.settings) for name, program in programs.items()}
    return NOTICE + _dump({"name": "comics-cloze", "conda_env": "conda.yaml", "entry_points": points})


def render_conda(pyproject: Path = ROOT / "pyproject.toml") -> str:
    """The conda environment: Python and the third parties of `pyproject.toml`, never this project itself."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    python = project["requires-python"].removeprefix(">=").partition(",")[0]
    packages: list[Any] = [f"python={python}", "pip", {"pip": project["dependencies"]}]
    return NOTICE + _dump({"name": "comics-cloze", "channels": ["conda-forge"], "dependencies": packages})


def _entry_point(name: str, settings: type[Settings]) -> dict[str, Any]:
    # MLflow checks no types, and one of `path` can leave a run RUNNING: all are strings, checked by the program.
    known = [f.name for f in fields(settings)]
    required = [f.name for f in fields(settings) if f.default is MISSING]
    defaults = {**words(settings(**dict.fromkeys(required, ""))), **dict.fromkeys(of_preset(settings), "")}
    parameters = {n: {"type": "string"} if n in required else {"type": "string", "default": defaults[n]} for n in known}
    options = " ".join(f"--{n} {{{n}}}" for n in known)
    return {"parameters": parameters, "command": f"python -m jobs.{name} {options}"}


def _dump(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=10**6, allow_unicode=True)
