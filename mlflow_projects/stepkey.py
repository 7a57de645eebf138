"""The step key: a digest that is equal when a step would do the same work again.

It covers the entry point, its resolved parameters, the digests of its inputs, and the code of `cloze` that the step
imports (found in the sources, functions' own imports included, so nothing heavy is loaded). A module that reads files
of the repository besides code names them in `DATA_FILES`, relative to its own folder; their contents count too.
"""

import ast
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cloze.digests import file_digest, folder_digest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "cloze"
# CPython 3.11 may raise SystemError where two threads parse at once (gh-106905), and studies do.
_PARSING = threading.Lock()


def step_key(parts: Mapping[str, Any]) -> str:
    """SHA-256 over the parts of a key, as 32 hex digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@cache
def code_digests(module: str, root: Path = ROOT) -> Mapping[str, str]:
    """SHA-256 of a module below `root`, of what it imports from `cloze`, and of their data files, by path."""
    digests = {}
    for path in _closure(module, root):
        digests[_below(path, root)] = file_digest(path)
        for data in _data_files(path):
            digests[_below(data.resolve(), root)] = folder_digest(data) if data.is_dir() else file_digest(data)
    return digests


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root.resolve()).as_posix() if path.is_relative_to(root.resolve()) else path.name


def content_digest(value: str) -> str | None:
    """Digest of what a local path holds, or None if the value names nothing here.

    A file counts by its contents. A folder may hold a million pictures or 16 GB of weights, so it counts by names, the
    sizes and times of files that lie directly in it, and the times of folders below: a picture that was overwritten in
    place, under its own name, is not noticed.
    """
    path = Path(value)
    if not value or not path.exists():
        return None
    if path.is_file():
        return file_digest(path)
    digest = hashlib.sha256()
    for folder, entries in _listings(path):
        for entry in entries:
            status = entry.stat() if folder == path or entry.is_dir() else None
            seen = f"{status.st_size} {status.st_mtime_ns}" if status else ""
            digest.update(f"{entry.path[len(str(path)) :]} {seen}\n".encode())
    return digest.hexdigest()


def _listings(folder: Path) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """Every folder with what lies in it; one listing each, and no look at any single file."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    yield folder, entries
    for entry in entries:
        if entry.is_dir():
            yield from _listings(Path(entry.path))


def _closure(module: str, root: Path) -> set[Path]:
    seen: set[Path] = set()
    waiting = [_source(module, root)]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting.extend(_imports(path, root))
    return seen


def _imports(path: Path, root: Path) -> Iterator[Path]:
    for node in ast.walk(_parsed(path)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] == PACKAGE:
                source = _source(name, root)
                if source.is_file():
                    yield source


def _parsed(path: Path) -> ast.Module:
    with _PARSING:
        return ast.parse(path.read_text(encoding="utf-8"))


def _source(module: str, root: Path) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _data_files(path: Path) -> list[Path]:
    for node in _parsed(path).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "DATA_FILES" for t in node.targets):
            return [path.parent / name for name in ast.literal_eval(node.value)]
    return []
