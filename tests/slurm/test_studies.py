"""A study on a real Slurm: what fails stops what needs it, and only what is missing is run again."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cloze.model.decoding import predict
from cloze.model.predict_settings import PredictSettings
from cloze.scoring.evaluation import EvalSettings, evaluate
from tests.cloze.model.conftest import make_workspace
from tests.slurm.cluster import await_true

SHARDS = {"steps": {"predict": {"shards": 3, "sbatch": {"begin": "now+1hour"}}}}


@pytest.fixture
def study(tables, base_folder, tmp_path) -> Path:
    path = tmp_path / "study.yaml"
    predicted = {"entry": "predict", "sequences": tables.sequences, "base": str(base_folder), "max_new_tokens": 4}
    labels = {f"{name}_labels": path for name, path in tables.labels.items()}
    judged = {"entry": "eval", "predictions": "@predicted", "paradigm": "pred", "resamples": 100, **labels}
    path.write_text(json.dumps({"steps": {"predicted": predicted, "judged": judged}}))  # JSON is YAML
    return path


def test_a_lost_shard_ends_what_needs_it_and_the_same_study_again_runs_only_what_is_missing(
    study, submit, store, cluster, cloze, tables, base_folder, tmp_path
):
    first = submit("main", {}, SHARDS, study=study)
    names = {job.name: job for job in first.jobs}
    assert list(names) == [
        "predicted 0/3",
        "predicted 1/3",
        "predicted 2/3",
        "predicted",
        "judged",
        first.jobs[-1].name,
    ]
    cloze("jobs", "cancel", names["predicted 1/3"].run_id)
    for name, needed in (("predicted", "predicted 1/3"), ("judged", "predicted"), (first.jobs[-1].name, "predicted")):
        run = store.get_run(names[name].run_id)
        assert run.info.status == "FAILED"
        assert run.data.tags["cloze.error"].startswith(f"never begun: it needs {needed} (runs:/")
    for shard in ("predicted 0/3", "predicted 2/3"):
        cluster.ask("scontrol", "update", f"JobId={names[shard].job_id}", "StartTime=now")
    await_true(lambda: all(store.get_run(names[f"predicted {k}/3"].run_id).info.status == "FINISHED" for k in (0, 2)))

    again = submit("main", {}, {"steps": {"predict": {"shards": 3}}}, study=study)
    assert [job.name for job in again.jobs[:-1]] == ["predicted 1/3", "predicted", "judged"]
    assert again.wait()
    assert not first.wait()
    ended = cluster.ask("scontrol", "show", "job", names["judged"].job_id)
    assert "JobState=CANCELLED Reason=DependencyNeverSatisfied" in ended
    assert store.get_run(names["judged"].run_id).data.tags["cloze.error"].startswith("never begun")

    runs = {job.name: job.run_id for job in again.jobs}
    assert store.get_run(again.run_id).data.tags["cloze.evaluated"] == runs["judged"]
    at_once = PredictSettings(sequences=tables.sequences, base=str(base_folder), max_new_tokens=4)
    whole = make_workspace(tmp_path / "predicted")
    predict(at_once, whole)
    joined = Path(store.download_artifacts(runs["predicted"], "."))
    assert content(joined / "predictions.parquet") == content(whole.out / "predictions.parquet")
    for name in ("fingerprint.json", "prompt.txt"):
        assert (joined / name).read_bytes() == (whole.out / name).read_bytes()
    scored = make_workspace(tmp_path / "scored")
    evaluate(
        EvalSettings(
            sequences=tables.sequences,
            predictions=str(whole.out / "predictions.parquet"),
            paradigm="pred",
            resamples=100,
            **{f"{name}_labels": path for name, path in tables.labels.items()},
        ),
        scored,
    )
    scores = Path(store.download_artifacts(runs["judged"], "scores.parquet"))
    assert pq.read_table(scores).equals(pq.read_table(scored.out / "scores.parquet"))


def content(path: Path) -> list[dict[str, object]]:
    """A table without what a clock says."""
    return pq.read_table(path).drop_columns(["seconds"]).to_pylist()
