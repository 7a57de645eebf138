"""Merge one tracking store into another: what nodes without a route to the server logged into a store of their own.

Every run, logged model and version that is copied carries the tag `cloze.spooled`, by which the next merge finds it:
what is there is completed, never made again. Ids of runs and models and numbers of versions are those of the store that
takes them; parameters and tags that name them are rewritten, artifacts are left byte for byte as their digests say
(`MLmodel` excepted, which has none). Aliases and traces are not copied: who is champion is decided where all versions
are.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mlflow_projects import tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Metric, Run
    from mlflow.entities.model_registry import ModelVersion

SPOOLED = "cloze.spooled"
_MERGED = "cloze.merged"
_NAMES = re.compile(r"models:/[\w.-]+/\d+|m-[0-9a-f]{32}|\b[0-9a-f]{32}\b")
_AT_ONCE = 1000  # points in one batch, the most that MLflow takes


class Merge:
    """Copies what is missing.

    Attributes:
        counts: by kind, how many were copied or completed now.
        open: runs that have not ended, and are left for later.
    """

    def __init__(self, source_uri: str) -> None:
        from mlflow import MlflowClient

        self._source = MlflowClient(tracking_uri=source_uri, registry_uri=source_uri)
        self._target = tracking.client()
        self._names: dict[str, str] = {}
        self.counts = {"runs": 0, "params": 0, "points": 0, "artifacts": 0, "models": 0, "versions": 0}
        self.open: list[Run] = []

    def all(self, only: Sequence[str] = ()) -> None:
        """Merge all runs that have ended, or those of these ids, with their models."""
        experiments = {e.experiment_id: e.name for e in self._source.search_experiments()}
        known = {run.data.tags[SPOOLED]: run for run in tracking.find_runs(f"tags.`{SPOOLED}` != ''")}
        runs = [run for run in _pages(self._source, list(experiments)) if not only or run.info.run_id in only]
        self.open = [run for run in runs if run.info.status in ("RUNNING", "SCHEDULED")]
        ended = [run for run in runs if run not in self.open and not self._is_from_here(run)]
        copies: dict[str, Run] = {}
        for run in ended:
            old = run.info.run_id
            copies[old] = known.get(old) or self._created(run, experiments[run.info.experiment_id])
            self._names[old] = copies[old].info.run_id
        todo = [run for run in ended if copies[run.info.run_id].data.tags.get(_MERGED) != "yes"]
        self._models([run.info.run_id for run in ended], list(experiments))
        for run in todo:
            self._fill(run, copies[run.info.run_id])

    def _is_from_here(self, run: "Run") -> bool:
        """Whether it was copied from the target in the first place; then it keeps its first name."""
        from mlflow.exceptions import MlflowException

        origin = run.data.tags.get(SPOOLED, "")
        try:
            self._target.get_run(origin or run.info.run_id)
        except MlflowException:
            return False
        self._names[run.info.run_id] = origin
        return bool(origin)

    def _created(self, run: "Run", experiment: str) -> "Run":
        found = self._target.get_experiment_by_name(experiment)
        experiment_id = found.experiment_id if found else self._target.create_experiment(experiment)
        started = run.info.start_time
        return self._target.create_run(
            experiment_id, started, tags={SPOOLED: run.info.run_id}, run_name=run.info.run_name
        )

    def _fill(self, run: "Run", copy: "Run") -> None:
        """Give a copy what its run has; its end comes last."""
        from mlflow.entities import LoggedModelOutput, Param, RunTag

        old, new = run.info.run_id, copy.info.run_id
        params = [Param(k, self._renamed(v)) for k, v in run.data.params.items() if k not in copy.data.params]
        tags = [RunTag(k, self._renamed(v)) for k, v in run.data.tags.items() if k != SPOOLED]
        points = [point for name in run.data.metrics for point in self._missing_points(old, new, name)]
        self._target.log_batch(new, params=params, tags=tags)
        for start in range(0, len(points), _AT_ONCE):
            self._target.log_batch(new, metrics=points[start : start + _AT_ONCE])
        if run.inputs and run.inputs.dataset_inputs:
            self._target.log_inputs(new, datasets=run.inputs.dataset_inputs)
        if run.outputs and run.outputs.model_outputs:
            there = {m.model_id for m in copy.outputs.model_outputs} if copy.outputs else set()
            made = [LoggedModelOutput(self._renamed(m.model_id), m.step) for m in run.outputs.model_outputs]
            self._target.log_outputs(new, [model for model in made if model.model_id not in there])
        self.counts["artifacts"] += self._copy_artifacts(old, new)
        self._target.set_terminated(new, run.info.status, run.info.end_time)
        self._target.set_tag(new, _MERGED, "yes")
        self.counts["runs"] += 1
        self.counts["params"] += len(params)
        self.counts["points"] += len(points)

    def _missing_points(self, old: str, new: str, name: str) -> "Iterator[Metric]":
        from mlflow.entities import Metric

        there = {(m.step, m.timestamp, m.value) for m in self._target.get_metric_history(new, name)}
        for m in self._source.get_metric_history(old, name):
            if (m.step, m.timestamp, m.value) not in there:
                model = self._renamed(m.model_id) if m.model_id else None
                data = {"dataset_name": m.dataset_name, "dataset_digest": m.dataset_digest}
                yield Metric(m.key, m.value, m.timestamp, m.step, model_id=model, **data)

    def _copy_artifacts(self, old: str, new: str) -> int:
        there = dict(_files(self._target, new))
        missing = [path for path, size in _files(self._source, old) if there.get(path) != size]
        with tempfile.TemporaryDirectory(prefix="cloze-") as folder:
            for path in missing:
                local = self._source.download_artifacts(old, path, folder)
                parent = str(PurePosixPath(path).parent)
                self._target.log_artifact(new, local, None if parent == "." else parent)
        return len(missing)

    def _models(self, run_ids: list[str], experiments: list[str]) -> None:
        """Logged models and their versions in the registry."""
        models = [m for m in self._source.search_logged_models(experiments) if m.source_run_id in run_ids]
        ids = [experiment.experiment_id for experiment in self._target.search_experiments()]
        known = {m.tags[SPOOLED]: m for m in self._target.search_logged_models(ids) if SPOOLED in m.tags}
        for model in models:
            copy = known.get(model.model_id)
            if copy is None or copy.status != "READY":
                copy = self._copy_model(model, copy)
            self._names[model.model_id] = copy.model_id
        there = {v.tags[SPOOLED]: v for v in self._target.search_model_versions() if SPOOLED in v.tags}
        for version in sorted(self._source.search_model_versions(), key=lambda v: int(v.version)):
            if version.run_id in run_ids:
                self._copy_version(version, there)

    def _copy_model(self, model: "LoggedModel", begun: "LoggedModel | None") -> "LoggedModel":
        from mlflow.artifacts import download_artifacts

        run = self._target.get_run(self._names[str(model.source_run_id)])
        tags = {**{k: self._renamed(v) for k, v in model.tags.items()}, SPOOLED: model.model_id}
        copy = begun or self._target.create_logged_model(
            run.info.experiment_id, model.name, run.info.run_id, tags, model.params, model.model_type
        )
        self._names[model.model_id] = copy.model_id
        with tempfile.TemporaryDirectory(prefix="cloze-") as folder:
            files = Path(download_artifacts(artifact_uri=model.artifact_location, dst_path=folder))
            described = files / "MLmodel"
            if described.is_file():
                described.write_text(self._renamed(described.read_text(encoding="utf-8")), encoding="utf-8")
            self._target.log_model_artifacts(copy.model_id, str(files))
        self.counts["models"] += 1
        return self._target.finalize_logged_model(copy.model_id, "READY")

    def _copy_version(self, version: "ModelVersion", there: "dict[str, ModelVersion]") -> None:
        own = f"{version.run_id}/{version.name}/{version.version}"
        copy = there.get(own)
        if copy is None:
            if not self._target.search_registered_models(f"name = '{version.name}'"):
                described = self._source.get_registered_model(version.name).description
                self._target.create_registered_model(version.name, description=described)
            tags = {**{k: self._renamed(v) for k, v in version.tags.items()}, SPOOLED: own}
            model = self._names.get(str(version.model_id))
            copy = self._target.create_model_version(
                version.name, self._renamed(version.source), self._names[str(version.run_id)], tags, model_id=model
            )
            self.counts["versions"] += 1
        self._names[f"models:/{version.name}/{version.version}"] = f"models:/{copy.name}/{copy.version}"

    def _renamed(self, text: Any) -> str:
        return _NAMES.sub(lambda match: self._names.get(match[0], match[0]), str(text))


def _pages(store: "MlflowClient", experiments: list[str]) -> "Iterator[Run]":
    token: str | None = None
    while token != "":
        page = store.search_runs(experiments, max_results=1000, page_token=token)
        yield from page
        token = page.token or ""


def _files(store: "MlflowClient", run_id: str, below: str | None = None) -> Iterator[tuple[str, int | None]]:
    """Path and size of every artifact of a run."""
    for item in store.list_artifacts(run_id, below):
        if item.is_dir:
            yield from _files(store, run_id, item.path)
        else:
            yield item.path, item.file_size
