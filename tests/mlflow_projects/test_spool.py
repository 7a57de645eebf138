"""What was logged in a store of its own is merged into another, and twice is no more than once."""

import json
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner

from mlflow_projects.cli import main
from mlflow_projects.spool import Merge


@pytest.fixture
def spool(finetuned) -> str:
    """The store of a real training and prediction."""
    return finetuned.environment["MLFLOW_TRACKING_URI"]


@pytest.fixture
def server(tmp_path, monkeypatch) -> mlflow.MlflowClient:
    """A store that already holds another version of the same model."""
    uri = f"sqlite:///{tmp_path / 'server.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    store = mlflow.MlflowClient(uri)
    store.create_experiment("comics-cloze", artifact_location=(tmp_path / "artifacts").as_uri())
    store.create_registered_model("cloze-pred")
    store.create_model_version("cloze-pred", source=str(tmp_path))
    return store


def counted(store: mlflow.MlflowClient) -> dict[str, int]:
    runs = store.search_runs(["1"])
    points = [p for r in runs for name in r.data.metrics for p in store.get_metric_history(r.info.run_id, name)]
    files = list(Path(runs[0].info.artifact_uri.removeprefix("file://")).parents[1].rglob("*"))
    params = sum(len(r.data.params) for r in runs)
    models, versions = store.search_logged_models(["1"]), store.search_model_versions()
    return {
        "runs": len(runs),
        "params": params,
        "points": len(points),
        "files": len(files),
        "models": len(models),
        "versions": len(versions),
    }


def test_runs_curves_artifacts_and_models_are_merged_once_and_name_each_other(finetuned, spool, server):
    runs = [finetuned.run_id, finetuned.predicted]
    words = [word for run in runs for word in ("--run", f"runs:/{run}")]
    done = CliRunner().invoke(main, ["merge", spool, *words])
    assert done.exit_code == 0, done.output
    once = counted(server)
    assert (once["runs"], once["models"], once["versions"]) == (2, 1, 2)
    assert CliRunner().invoke(main, ["merge", spool, *words]).exit_code == 0
    assert counted(server) == once

    source = mlflow.MlflowClient(spool)
    copies = {run.data.tags["cloze.spooled"]: run for run in server.search_runs(["1"])}
    trained, predicted = (copies[run] for run in runs)
    original = source.get_run(finetuned.run_id)
    assert (trained.info.status, trained.info.end_time) == (original.info.status, original.info.end_time)
    assert trained.data.metrics == original.data.metrics
    curve = [(m.step, m.value) for m in server.get_metric_history(trained.info.run_id, "train/loss")]
    assert curve == [(m.step, m.value) for m in source.get_metric_history(finetuned.run_id, "train/loss")]
    assert predicted.data.params["cfg.adapter"] == "models:/cloze-pred/2"
    lineage = json.loads(predicted.data.tags["cloze.lineage"])
    assert lineage["adapter"] == f"runs:/{trained.info.run_id}/adapter"
    version = server.get_model_version("cloze-pred", "2")
    assert version.run_id == trained.info.run_id
    loaded = mlflow.models.get_model_info("models:/cloze-pred/2")
    assert loaded.run_id == trained.info.run_id


def test_a_merge_that_was_cut_short_is_completed(finetuned, spool, server, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Merge, "_copy_artifacts", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Merge(spool).all([finetuned.run_id])
    (begun,) = server.search_runs(["1"])
    assert begun.info.status == "RUNNING"
    Merge(spool).all([finetuned.run_id])
    (copy,) = server.search_runs(["1"])
    assert (copy.info.run_id, copy.info.status) == (begun.info.run_id, "FINISHED")
    names = [m.step for m in server.get_metric_history(copy.info.run_id, "train/loss")]
    assert len(names) == len(set(names))
    assert len(server.search_logged_models(["1"])) == 1


def test_a_run_that_has_not_ended_is_left_for_later(spool, server, finetuned):
    source = mlflow.MlflowClient(spool)
    run = source.create_run("1")
    done = CliRunner().invoke(main, ["merge", spool, "--run", run.info.run_id])
    source.set_terminated(run.info.run_id, "KILLED")
    assert f"left for later: runs:/{run.info.run_id} is RUNNING" in done.output
    assert server.search_runs(["1"]) == []
