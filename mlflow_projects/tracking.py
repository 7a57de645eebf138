"""The only module that calls MLflow tracking: runs, their lineage, their ends.

A run of ours carries, besides what MLflow gives it:

    cloze.step            entry point
    cloze.step_key        what it did, as a digest (mlflow_projects/stepkey.py)
    cloze.resume_key      the same, of one that has begun and can be resumed
    cloze.attempts        how often it was begun, where that was more than once
    cloze.paradigm        pred or descp, where it has one
    cloze.condition       zero-shot or fine-tuned, where it has one
    cloze.lineage         JSON: artifact name -> URI of every table and adapter it was made from, its own included
    cloze.digest.<name>   SHA-256 of everything that the stage left
    cloze.reused.<name>   run that was taken for a step that this one needed
    cloze.host, cloze.process                     the process that holds it, so that the dead can be told
    cloze.error, cloze.end_reason                 why it ended as it did
"""

import json
import logging
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.errors import MissingInputError, SettingsError
from cloze.stage import StoppedError
from mlflow_projects import artifacts, provenance
from mlflow_projects.guardian import Guardian
from mlflow_projects.signals import Terminated, signals_deferred
from mlflow_projects.slurm import own_job_id

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import Run
    from mlflow.utils.async_logging.run_operations import RunOperations
    from PIL.Image import Image

log = logging.getLogger(__name__)

EXPERIMENT = "comics-cloze"
REUSED = "cloze.reused."
# What MLflow calls a run that nobody named, such as bold-fox-123.
_MADE_UP_NAME = re.compile(r"^[a-z]+-[a-z]+-\d+$")
_INSERT_ATTEMPTS = 3
# An environment that is not ready after a day never will be (seconds).
_LONGEST_SETUP = 24 * 3600
# What makes a process one of several; the step that it runs is no part of that.
_OF_TORCHRUN = re.compile(r"RANK$|LOCAL_|WORLD_SIZE$|GROUP_|ROLE_|MASTER_|TORCHELASTIC_")
_RUN_ID = re.compile(r"\b[0-9a-f]{32}\b")
_DIGEST_LENGTH = 36  # MLflow refuses longer dataset digests


_queued: "list[RunOperations]" = []  # curves on their way to the store
_logged: dict[str, set[int]] = {}  # steps by metric that an earlier attempt at the active run has logged


def client() -> "MlflowClient":
    """A client of the tracking store that the environment names."""
    from mlflow import MlflowClient

    return MlflowClient()


@contextmanager
def tracked(step: str, *, system_metrics: bool = False) -> Iterator[str]:
    """Open the run of a step, yield its id, and give it a true end however the block is left.

    The run of `mlflow run`, or of the step that asked for this one, is adopted (MLFLOW_RUN_ID); else a new one is made.
    With `system_metrics`, MLflow logs the load of the machine beside it (`system/*`), every ten seconds.
    """
    import mlflow

    end_dead_runs()
    if "MLFLOW_RUN_ID" not in os.environ:
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT))
    os.environ.pop("MLFLOW_EXPERIMENT_NAME", None)  # with MLFLOW_EXPERIMENT_ID beside it, MLflow refuses both
    status, reason, guardian = "FAILED", "", None
    try:
        with signals_deferred():
            run_id = mlflow.start_run(log_system_metrics=system_metrics or None).info.run_id
        guardian = Guardian(run_id, mlflow.get_tracking_uri())
        mlflow.set_tags({"cloze.step": step, **provenance.process_tags(), **provenance.code_tags()})
        _take_up_attempt(run_id)
        if own_job_id():
            from mlflow_projects.slurm_runs import begin_attempt

            begin_attempt(run_id)
        mlflow.log_dict(provenance.environment(), "environment.json")
        yield run_id
        await_queued()
        status = "FINISHED"
    except (KeyboardInterrupt, Terminated) as error:
        status, reason = "KILLED", "interrupted" if isinstance(error, KeyboardInterrupt) else f"terminated by {error}"
        raise
    except StoppedError as error:
        status, reason = "KILLED", str(error)
        raise
    except BaseException as error:
        reason = str(error) or type(error).__name__
        if mlflow.active_run():
            mlflow.log_text(reason, "error.txt")
        raise
    finally:
        if mlflow.active_run():
            if reason:
                mlflow.set_tags({"cloze.error" if status == "FAILED" else "cloze.end_reason": reason[:5000]})
            mlflow.flush_async_logging()
            mlflow.end_run(status)
        if guardian:
            guardian.dismiss()


def _take_up_attempt(run_id: str) -> None:
    """Where this is another attempt at the run: forget how the last one ended, and know what it has logged."""
    run = get_run(run_id)
    if "slurm.job_id" in run.data.tags and not own_job_id():
        client().delete_tag(run_id, "slurm.job_id")  # it goes on outside of Slurm
    _logged.clear()
    for name in run.data.metrics:
        _logged[name] = {step for step, _ in metric_history(run_id, name)}
    if "cloze.resume_key" not in run.data.tags:
        return
    client().set_tag(run_id, "cloze.attempts", int(run.data.tags.get("cloze.attempts", "1")) + 1)
    for tag in {"cloze.error", "cloze.end_reason"} & set(run.data.tags):
        client().delete_tag(run_id, tag)


def find_unfinished(step: str, key: str) -> "Run | None":
    """The newest run that began to do exactly this and did not end it."""
    store = client()
    wanted = f"attributes.status != 'FINISHED' and tags.`cloze.step` = '{step}' and tags.`cloze.resume_key` = '{key}'"
    newest = store.search_runs(_experiments(store), wanted, order_by=["attributes.start_time DESC"], max_results=1)
    return newest[0] if newest else None


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
    """End runs that say RUNNING although nobody can be working on them any more.

    Either this machine no longer has their process (it was switched off, say), or `mlflow run` opened them and never
    got their environment ready, so that no process of ours ever began.
    """
    store = client()
    for run in store.search_runs(_experiments(store), "attributes.status = 'RUNNING'", max_results=1000):
        tags = run.data.tags
        if "slurm.job_id" in tags:
            continue  # Slurm knows better, on every host: `cloze jobs` asks it
        if tags.get("cloze.host") == platform.node() and provenance.is_gone(tags["cloze.process"]):
            end_vanished(run.info.run_id, "the process was gone when the next one looked")
        is_unborn = "cloze.host" not in tags and "mlflow.project.entryPoint" in tags
        if is_unborn and time.time() - run.info.start_time / 1000 > _LONGEST_SETUP:
            end_vanished(run.info.run_id, "no process began: `mlflow run` could not make the environment ready")


def create_child(step: str, name: str, parent_id: str) -> str:
    """A run below another, for a child process to adopt."""
    parent = get_run(parent_id)
    tags = {
        "mlflow.parentRunId": parent_id,
        "mlflow.project.entryPoint": step,
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": parent.data.tags.get("mlflow.source.name", str(provenance.ROOT)),
        "cloze.step": step,
        **provenance.process_tags(),  # of the parent, until the child adopts the run
    }
    return client().create_run(parent.info.experiment_id, tags=tags, run_name=name).info.run_id


def note_reused(parent_id: str, name: str, run_id: str) -> None:
    """Say in a run that it did not run a step that it needed, but took the results of an earlier run."""
    if get_run(run_id).data.tags.get("mlflow.parentRunId") != parent_id:  # its own children are no earlier runs
        client().set_tag(parent_id, f"{REUSED}{name}", f"runs:/{run_id}")


def adopt_child(run_id: str, parent_id: str) -> None:
    """Put a run that did not end below the one that goes on with it; the run that began it keeps no child of it."""
    store = client()
    for tag, value in {"mlflow.parentRunId": parent_id, **provenance.process_tags()}.items():
        store.set_tag(run_id, tag, value)
    store.update_run(run_id, status="RUNNING")


def child_environment(run_id: str) -> dict[str, str]:
    """The environment in which a child process adopts `run_id`."""
    import mlflow

    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_EXPERIMENT_NAME" and not _OF_TORCHRUN.match(k)}
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
    if "cloze.resumed" in run.data.tags:  # it let an earlier run go on, whose results these are
        return require_finished(run.data.tags["cloze.resumed"].removeprefix("runs:/"))
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


def find_runs(wanted: str) -> "list[Run]":
    """All runs that MLflow's filter matches, newest first."""
    store, found, token = client(), [], None
    while token != "":
        page = store.search_runs(
            _experiments(store), wanted, order_by=["attributes.start_time DESC"], max_results=1000, page_token=token
        )
        found += list(page)
        token = page.token or ""
    return found


def lineage(run: "Run") -> dict[str, str]:
    """URI of every artifact that the run was made from or made, by artifact name."""
    found: dict[str, str] = json.loads(run.data.tags.get("cloze.lineage", "{}"))
    return found


def run_ids(text: str) -> list[str]:
    """Ids of the runs that a text names."""
    return _RUN_ID.findall(text)


def sources(run: "Run") -> set[str]:
    """Ids of the runs that made what this one read, and of those that made what these had read."""
    uris = [*lineage(run).values(), *(value for name, value in run.data.params.items() if name.startswith("cfg."))]
    return set(run_ids(",".join(uris))) - {run.info.run_id}


def log_dataset(field: str, uri: str, digest: str) -> None:
    """Show an input of the active run, with the digest of its bytes.

    MLflow looks a data set up and then inserts it: of two steps that name the same one at the same moment, one is told
    that it exists already, and finds it the next time it looks.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    dataset = _dataset(field, uri, digest)
    for attempt in range(_INSERT_ATTEMPTS):
        try:
            mlflow.log_input(dataset, context="input")
        except MlflowException as error:
            if "IntegrityError" not in str(error) or attempt == _INSERT_ATTEMPTS - 1:
                raise
        else:
            return


def log_model_metrics(metrics: Mapping[str, float], model_id: str, field: str, uri: str, digest: str) -> None:
    """Log figures of the active run that are also those of a logged model, on the input of that name."""
    import mlflow

    mlflow.log_metrics(dict(metrics), model_id=model_id, dataset=_dataset(field, uri, digest))


def _dataset(field: str, uri: str, digest: str) -> "MetaDataset":
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = CodeDatasetSource(tags={"uri": uri})
    return MetaDataset(source=source, name=field, digest=digest[:_DIGEST_LENGTH])  # type: ignore[abstract]


def log_results(out: Path, inherited: Mapping[str, str], key: str) -> None:
    """Log everything a stage left, the lineage and digests that later steps go by, and last the step key.

    A run is reused by its step key, so one that was cut short before this has none.
    """
    import mlflow

    run = mlflow.active_run()
    assert run is not None  # noqa: S101 - called inside `tracked` only
    mlflow.log_artifacts(str(out))
    left = sorted(out.iterdir())
    made = [path.name for path in left if path.suffix == ".parquet" or path.is_dir()]
    uris = {name: f"runs:/{run.info.run_id}/{name}" for name in made}
    mlflow.set_tags({f"cloze.digest.{path.name}": artifacts.artifact_digest(path) for path in left})
    mlflow.set_tags({"cloze.lineage": json.dumps({**inherited, **uris}), "cloze.step_key": key})


def set_name(name: str) -> None:
    """Name the active run after what it does, unless somebody named it."""
    import mlflow

    run = mlflow.active_run()
    if run is not None and _MADE_UP_NAME.match(run.info.run_name or ""):
        mlflow.set_tag("mlflow.runName", name)


def write_once(run_id: str, name: str, value: str) -> str:
    """What stands as a parameter of a run: this value, or the one that was there first, whoever wrote it.

    Raises:
        MissingInputError: the run takes no parameter.
    """
    from mlflow.exceptions import MlflowException

    try:
        client().log_param(run_id, name, value, synchronous=True)
    except MlflowException as error:
        standing = get_run(run_id).data.params.get(name)
        if standing is None:
            raise MissingInputError(f"run {run_id} takes no parameter: {error.message}") from error
        return str(standing)
    return value


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


def log_text(text: str, name: str) -> None:
    """Log a text of the active run as an artifact."""
    import mlflow

    mlflow.log_text(text, name)


def log_step_metrics(metrics: Mapping[str, float], step: int) -> None:
    """Queue one step of a curve of the active run; `tracked` waits for it, and fails if it cannot be logged.

    What an earlier attempt at the run has logged is left as it is.
    """
    import mlflow

    new = {name: value for name, value in metrics.items() if step not in _logged.get(name, ())}
    if not new:
        return
    queued = mlflow.log_metrics(new, step=step, synchronous=False)
    assert queued is not None  # noqa: S101 - it is None where logging is synchronous
    _queued.append(queued)


def log_step_picture(name: str, picture: "Image", step: int) -> None:
    """Log a picture of one step of the active run; MLflow's page shows those of one name by their steps."""
    import mlflow

    mlflow.log_image(picture, key=name, step=step, synchronous=True)


def log_settings(settings: Mapping[str, object], key_parts: Mapping[str, Any]) -> None:
    """Log effective settings under `cfg.*` and what the step key is made of.

    Raises:
        SettingsError: the run goes on from before, and began with another value.
    """
    import mlflow
    from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

    run = mlflow.active_run()
    assert run is not None  # noqa: S101 - called inside `tracked` only
    recorded = get_run(run.info.run_id).data.params
    for name, value in settings.items():
        began = recorded.get(f"cfg.{name}", str(value))
        if began != str(value)[:MAX_PARAM_VAL_LENGTH]:
            raise SettingsError(
                name, value, f"{began!r}, with which run {run.info.run_id} began: parameters never change on resume"
            )
    mlflow.log_params({f"cfg.{name}": value for name, value in settings.items()})
    mlflow.log_dict(dict(key_parts), "step.json")


def log_metrics(metrics: Mapping[str, float]) -> None:
    """Log final figures of the active run; an earlier attempt that got so far logged the same."""
    import mlflow

    mlflow.log_metrics({name: value for name, value in metrics.items() if name not in _logged})


def set_tags(tags: Mapping[str, str]) -> None:
    """Set tags of the active run."""
    import mlflow

    mlflow.set_tags(dict(tags))


def metric_history(run_id: str, name: str) -> list[tuple[int, float]]:
    """(step, value) of a metric, in the order of steps."""
    return sorted((m.step, m.value) for m in client().get_metric_history(run_id, name))


def require_store(uri: str = "") -> None:
    """For what only looks: MLflow would make an empty SQLite store where there is none.

    Args:
        uri: of the store; empty: the one in use.

    Raises:
        MissingInputError: there is none.
    """
    import mlflow

    uri = uri or mlflow.get_tracking_uri()
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not path.exists():
        raise MissingInputError(
            f"{path}: no tracking store; set MLFLOW_TRACKING_URI, or start where the runs were made"
        )


def public_tracking_uri() -> str:
    """The tracking store in use, without the password that its URI may hold."""
    import mlflow

    return re.sub(r"//[^@/]*@", "//***@", mlflow.get_tracking_uri())


def await_queued() -> None:
    """Wait until queued metrics are in the store; raise what went wrong with one, if anything did."""
    while _queued:
        _queued.pop().wait()  # type: ignore[no-untyped-call]


def _has_artifacts(store: "MlflowClient", run: "Run") -> bool:
    recorded = [tag.removeprefix("cloze.digest.") for tag in run.data.tags if tag.startswith("cloze.digest.")]
    present = {item.path for item in store.list_artifacts(run.info.run_id)}
    return present.issuperset(recorded)


def experiments() -> dict[str, str]:
    """Names of all experiments by their ids."""
    return {experiment.experiment_id: experiment.name for experiment in client().search_experiments()}


def _experiments(store: "MlflowClient") -> list[str]:
    return [experiment.experiment_id for experiment in store.search_experiments()]
