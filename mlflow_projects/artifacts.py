"""Artifacts of runs, and files that users name, on this machine; what is read is known to be what was written."""

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.digests import file_digest, folder_digest
from cloze.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from mlflow.entities import Run

_PINNED = re.compile(r"(?P<path>.*?)(?:#sha256=(?P<digest>[0-9a-f]{64}))?", re.DOTALL)


def artifact_path(run: "Run", name: str, cache: Path) -> Path:
    """Local path of an artifact, where it lies or fetched once into the cache; its digest is checked.

    Raises:
        MissingInputError: the run has no such artifact.
        DataError: its contents are not those that the run recorded.
    """
    path = _fetch(run, name, cache)
    recorded = run.data.tags.get(f"cloze.digest.{name}")
    if recorded is None or not path.exists():
        step = run.data.tags.get("cloze.step", "not a step of ours")
        raise MissingInputError(f"run {run.info.run_id} ({step}) has no artifact {name}")
    if artifact_digest(path) != recorded:
        raise DataError(path, f"is not what run {run.info.run_id} wrote (SHA-256 differs)", "make it again")
    return path


def artifact_digest(path: Path) -> str:
    """SHA-256 of a table or a folder."""
    return folder_digest(path) if path.is_dir() else file_digest(path)


def pinned(path: Path, digest: str) -> str:
    """The URI of an input that was named by its path: the path with what it held."""
    return f"{path}#sha256={digest}"


def given_path(uri: str) -> tuple[Path, str]:
    """Path and digest of an input that was named by its path, pinned or not.

    Raises:
        MissingInputError: there is no such file or folder.
        DataError: it no longer holds what it held when it was pinned.
    """
    match = _PINNED.fullmatch(uri)
    assert match is not None  # noqa: S101 - the pattern matches everything
    path = Path(match["path"]).absolute()
    if not path.exists():
        raise MissingInputError(f"{path}: no such file or folder")
    digest = artifact_digest(path)
    if match["digest"] not in (None, digest):
        raise DataError(path, "changed since a run read it (SHA-256 differs)", "restore it, or run the steps again")
    return path, digest


def read_json(run: "Run", name: str, cache: Path) -> dict[str, Any]:
    """A JSON artifact of a run.

    Raises:
        MissingInputError: the run has none.
    """
    content: dict[str, Any] = json.loads(artifact_path(run, name, cache).read_text(encoding="utf-8"))
    return content


def logged_json(run: "Run", name: str, cache: Path) -> dict[str, Any] | None:
    """A JSON artifact that a run logged beside its results, whose digest nobody recorded; None where there is none."""
    try:
        path = _fetch(run, name, cache)
    except MissingInputError:
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content or None


def _fetch(run: "Run", name: str, cache: Path) -> Path:
    """Local path that an artifact has or would have: where it lies, or fetched once and whole into the cache."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.utils.file_utils import local_file_uri_to_path

    root = run.info.artifact_uri or ""
    if root.startswith(("/", "file:")):
        return Path(local_file_uri_to_path(root)) / name  # type: ignore[no-untyped-call]
    path = cache / "artifacts" / run.info.run_id / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            try:
                fetched = Path(download_artifacts(run_id=run.info.run_id, artifact_path=name, dst_path=folder))
            except MlflowException as error:
                raise MissingInputError(
                    f"{name} of run {run.info.run_id} cannot be fetched: {error.message}"
                ) from error
            if not path.exists():  # another process may have been faster
                fetched.rename(path)
    return path
