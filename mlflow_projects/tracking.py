"""The only module that calls MLflow tracking: runs, their lineage, their ends.

A run of ours carries, besides what MLflow gives it:

    cloze.step            entry point
    cloze.step_key        what it did, as a digest (mlflow_projects/stepkey.py)
    cloze.paradigm        pred or descp, where it has one
    cloze.condition       zero-shot or fine-tuned, where it has one
    cloze.lineage         JSON: artifact name -> URI of every table and adapter it was made from, its own included
    cloze.digest.<name>   SHA-256 of each artifact that others may read
    cloze.host, cloze.pid, cloze.process_start    the process that holds it, so that the dead can be told
    cloze.error, cloze.end_reason                 why it ended as it did
"""

import json
import logging
import os
import platform
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from cloze.errors import DataError, MissingInputError
from cloze.tables import file_digest, folder_digest
from mlflow_projects.guardian import Guardian

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

EXPERIMENT = "comics-cloze"
ROOT = Path(__file__).resolve().parent.parent
# What MLflow calls a run that nobody named, such as bold-fox-123.
_MADE_UP_NAME = re.compile(r"^[a-z]+-[a-z]+-\d+$")
_INSERT_ATTEMPTS = 3
_DIGEST_LENGTH = 36  # MLflow refuses longer dataset digests
_PACKAGES = ("mlflow", "torch", "transformers", "peft", "duckdb", "pyarrow", "pillow", "numpy", "rouge-score-rs")


class Terminated(BaseException):
    """SIGTERM arrived. Not an Exception, so that nothing on the way takes it for an error of its own."""


def client() -> "MlflowClient":
    """A client of the tracking store that the environment names."""
    from mlflow import MlflowClient

    return MlflowClient()


@contextmanager
def tracked(step: str) -> Iterator[str]:
    """Open the run of a step, yield its id, and give it a true end however the block is left.

    The run of `mlflow run`, or of the step that asked for this one, is adopted (MLFLOW_RUN_ID); else a new one is made.
    """
    import mlflow

    end_dead_runs()
    if "MLFLOW_RUN_ID" not in os.environ:
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT))
    os.environ.pop("MLFLOW_EXPERIMENT_NAME", None)  # with MLFLOW_EXPERIMENT_ID beside it, MLflow refuses both
    run = mlflow.start_run()
    run_id = run.info.run_id
    guardian = Guardian(run_id, mlflow.get_tracking_uri())
    status, reason = "FAILED", ""
    try:
        mlflow.set_tags({"cloze.step": step, **_process_tags(), **_code_tags()})
        mlflow.log_dict(_environment(), "environment.json")
        yield run_id
        status = "FINISHED"
    except (KeyboardInterrupt, Terminated) as error:
        status, reason = "KILLED", "interrupted" if isinstance(error, KeyboardInterrupt) else "terminated by SIGTERM"
        raise
    except BaseException as error:
        reason = str(error) or type(error).__name__
        mlflow.log_text(reason, "error.txt")
        raise
    finally:
        with signals_ignored():
            if reason:
                mlflow.set_tags({"cloze.error" if status == "FAILED" else "cloze.end_reason": reason[:5000]})
            mlflow.flush_async_logging()
            mlflow.end_run(status)
            guardian.dismiss()


@contextmanager
def signals_ignored() -> Iterator[None]:
    """No signal cuts short what gives a run its end (signals can only be set in the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def fail_run(run_id: str, reason: str) -> None:
    """End a run that never got as far as `tracked`."""
    store = client()
    store.set_tag(run_id, "cloze.error", reason[:5000])
    store.set_terminated(run_id, "FAILED")


def end_vanished(run_id: str, reason: str) -> None:
    """End a run whose process is gone, unless it has an end already."""
    store = client()
    if store.get_run(run_id).info.status in ("RUNNING", "SCHEDULED"):
        store.set_tag(run_id, "cloze.end_reason", reason)
        store.set_terminated(run_id, "FAILED")


def end_dead_runs() -> None:
    """End runs that say RUNNING although this machine no longer has their process (it was switched off, say)."""
    store = client()
    mine = f"attributes.status = 'RUNNING' and tags.`cloze.host` = '{platform.node()}'"
    for run in store.search_runs(_experiments(store), mine, max_results=1000):
        if not _is_alive(int(run.data.tags["cloze.pid"]), float(run.data.tags["cloze.process_start"])):
            end_vanished(run.info.run_id, "the process was gone when the next one looked")


def create_child(step: str, name: str, parent_id: str) -> str:
    """A run below another, for a child process to adopt."""
    parent = get_run(parent_id)
    tags = {
        "mlflow.parentRunId": parent_id,
        "mlflow.project.entryPoint": step,
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": parent.data.tags.get("mlflow.source.name", str(ROOT)),
        "cloze.step": step,
        **_process_tags(),  # of the parent, until the child adopts the run
    }
    return client().create_run(parent.info.experiment_id, tags=tags, run_name=name).info.run_id


def child_environment(run_id: str) -> dict[str, str]:
    """The environment in which a child process adopts `run_id`."""
    import mlflow

    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_EXPERIMENT_NAME"}
    return {
        **environment,
        "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        "MLFLOW_EXPERIMENT_ID": get_run(run_id).info.experiment_id,
        "MLFLOW_RUN_ID": run_id,
    }


def get_run(run_id: str) -> "Run":
    """A run by its id.

    Raises:
        MissingInputError: the store has no such run.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client().get_run(run_id)
    except MlflowException as error:
        raise MissingInputError(f"no run {run_id} in {public_tracking_uri()}: {error.message}") from error


def require_finished(run_id: str) -> "Run":
    """A run whose results may be read.

    Raises:
        MissingInputError: it is unknown, or did not finish.
    """
    run = get_run(run_id)
    if run.info.status != "FINISHED":
        reason = run.data.tags.get("cloze.error") or run.data.tags.get("cloze.end_reason") or "no reason recorded"
        raise MissingInputError(
            f"run {run_id} ({run.data.tags.get('cloze.step', 'not a step of ours')}) is {run.info.status}, so its "
            f"results cannot be used ({reason}); run it again or name a finished one"
        )
    return run


def find_finished(step: str, key: str) -> "Run | None":
    """The newest finished run that did exactly this, if its artifacts are still there."""
    store = client()
    wanted = f"attributes.status = 'FINISHED' and tags.`cloze.step` = '{step}' and tags.`cloze.step_key` = '{key}'"
    newest = store.search_runs(_experiments(store), wanted, order_by=["attributes.start_time DESC"], max_results=10)
    return next((run for run in newest if _has_artifacts(store, run)), None)


def artifact_path(run: "Run", name: str, cache: Path) -> Path:
    """Local path of an artifact, where it lies or fetched once into the cache; its digest is checked.

    Raises:
        MissingInputError: the run has no such artifact.
        DataError: its contents are not those that the run recorded.
    """
    path = fetch(run, name, cache)
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


def lineage(run: "Run") -> dict[str, str]:
    """URI of every artifact that the run was made from or made, by artifact name."""
    found: dict[str, str] = json.loads(run.data.tags.get("cloze.lineage", "{}"))
    return found


def log_dataset(field: str, uri: str, digest: str) -> None:
    """Show an input of the active run, with the digest of its bytes.

    MLflow looks a data set up and then inserts it: of two steps that name the same one at the same moment, one is told
    that it exists already, and finds it the next time it looks.
    """
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.exceptions import MlflowException

    source = CodeDatasetSource(tags={"uri": uri})
    dataset = MetaDataset(source=source, name=field, digest=digest[:_DIGEST_LENGTH])  # type: ignore[abstract]
    for attempt in range(_INSERT_ATTEMPTS):
        try:
            mlflow.log_input(dataset, context="input")
        except MlflowException as error:
            if "IntegrityError" not in str(error) or attempt == _INSERT_ATTEMPTS - 1:
                raise
        else:
            return


def log_results(out: Path, inherited: Mapping[str, str], key: str) -> None:
    """Log everything a stage left, the lineage and digests that later steps go by, and last the step key.

    A run is reused by its step key, so one that was cut short before this has none.
    """
    import mlflow

    run = mlflow.active_run()
    assert run is not None  # noqa: S101 - called inside `tracked` only
    mlflow.log_artifacts(str(out))
    made = [p for p in sorted(out.iterdir()) if p.suffix == ".parquet" or p.is_dir()]
    uris = {path.name: f"runs:/{run.info.run_id}/{path.name}" for path in made}
    mlflow.set_tags({f"cloze.digest.{path.name}": artifact_digest(path) for path in made})
    mlflow.set_tags({"cloze.lineage": json.dumps({**inherited, **uris}), "cloze.step_key": key})


def set_name(name: str) -> None:
    """Name the active run after what it does, unless somebody named it."""
    import mlflow

    run = mlflow.active_run()
    if run is not None and _MADE_UP_NAME.match(run.info.run_name or ""):
        mlflow.set_tag("mlflow.runName", name)


def copy_metrics(source: "Run", names: Sequence[str]) -> None:
    """Copy metrics with all their steps from another run into the active one."""
    import mlflow
    from mlflow.entities import Metric

    run = mlflow.active_run()
    assert run is not None  # noqa: S101 - called inside `tracked` only
    store = client()
    points = [
        Metric(m.key, m.value, m.timestamp, m.step)
        for name in names
        for m in store.get_metric_history(source.info.run_id, name)
    ]
    for start in range(0, len(points), 1000):  # the most that one batch may hold
        store.log_batch(run.info.run_id, metrics=points[start : start + 1000])


def log_table(path: Path, name: str) -> None:
    """Log a small table in the form that MLflow's pages show side by side for several runs."""
    import mlflow
    import pandas as pd

    mlflow.log_table(pd.read_parquet(path), name)


def log_step_metrics(metrics: Mapping[str, float], step: int) -> None:
    """Queue one step of a curve of the active run; `tracked` waits for the queue before it ends the run."""
    import mlflow

    mlflow.log_metrics(dict(metrics), step=step, synchronous=False)


def log_settings(settings: Mapping[str, object], key_parts: Mapping[str, Any]) -> None:
    """Log effective settings under `cfg.*` and what the step key is made of."""
    import mlflow

    mlflow.log_params({f"cfg.{name}": value for name, value in settings.items()})
    mlflow.log_dict(dict(key_parts), "step.json")


def log_metrics(metrics: Mapping[str, float]) -> None:
    """Log final figures of the active run."""
    import mlflow

    mlflow.log_metrics(dict(metrics))


def set_tags(tags: Mapping[str, str]) -> None:
    """Set tags of the active run."""
    import mlflow

    mlflow.set_tags(dict(tags))


def metric_history(run_id: str, name: str) -> list[tuple[int, float]]:
    """(step, value) of a metric, in the order of steps."""
    return sorted((m.step, m.value) for m in client().get_metric_history(run_id, name))


def read_json(run: "Run", name: str, cache: Path) -> dict[str, Any] | None:
    """A JSON artifact of a run; None where it has none."""
    path = fetch(run, name, cache)
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def public_tracking_uri() -> str:
    """The tracking store in use, without the password that its URI may hold."""
    import mlflow

    return re.sub(r"//[^@/]*@", "//***@", mlflow.get_tracking_uri())


def fetch(run: "Run", name: str, cache: Path) -> Path:
    """Local path that an artifact has or would have: where it lies, or fetched once into the cache."""
    root = run.info.artifact_uri or ""
    if root.startswith(("/", "file:")):
        return Path(root.removeprefix("file://")) / name
    target = cache / "artifacts" / run.info.run_id
    if not (target / name).exists():
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        target.mkdir(parents=True, exist_ok=True)
        try:
            download_artifacts(run_id=run.info.run_id, artifact_path=name, dst_path=str(target))
        except MlflowException as error:
            log.warning("%s of run %s cannot be fetched: %s", name, run.info.run_id, error.message)
    return target / name


def _has_artifacts(store: "MlflowClient", run: "Run") -> bool:
    recorded = [tag.removeprefix("cloze.digest.") for tag in run.data.tags if tag.startswith("cloze.digest.")]
    present = {item.path for item in store.list_artifacts(run.info.run_id)}
    return present.issuperset(recorded)


def _experiments(store: "MlflowClient") -> list[str]:
    return [experiment.experiment_id for experiment in store.search_experiments()]


def _process_tags() -> dict[str, str]:
    process = psutil.Process()
    return {
        "cloze.host": platform.node(),
        "cloze.pid": str(process.pid),
        "cloze.process_start": str(process.create_time()),
    }


def _is_alive(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1
    except psutil.NoSuchProcess:
        return False


def _code_tags() -> dict[str, str]:
    """Commit, and whether the tree differs from it; nothing where this is no git checkout."""
    commit, status = (_git("rev-parse", "HEAD"), _git("status", "--porcelain"))
    if commit is None or status is None:
        return {}
    return {"mlflow.source.git.commit": commit, "cloze.git_dirty": "yes" if status else "no"}


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _environment() -> dict[str, str]:
    packages = {name: version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}
