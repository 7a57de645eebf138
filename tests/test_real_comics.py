"""The whole way holds on real comics: Golden Age panels and their lettering, no labels, a base that never saw any."""

import re
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def run(environment, tmp_path_factory):
    """Runs one entry point in a store of its own and gives back its run id."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('real') / 'mlflow.db'}"
    folder = Path(__file__).resolve().parent.parent

    def run_step(step: str, *arguments: str) -> str:
        done = subprocess.run(
            ["python", "-m", f"jobs.{step}", *arguments],
            cwd=folder,
            env={**environment, "MLFLOW_TRACKING_URI": uri},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        run_ids = re.findall(rf"{step} finished: runs:/(\w+)", done.stdout)
        return f"runs:/{run_ids[-1]}"

    run_step.uri = uri
    return run_step


def test_real_panels_become_a_report_with_the_models_text(run, real_data):
    import mlflow

    panels = run("ingest", "--comics", str(real_data / "real_comics"))
    sequences = run("sequences", "--panels", panels, "--min_story", "6")
    predictions = run("predict", "--sequences", sequences, "--split", "all", "--examples", "12")
    scored = run("eval", "--predictions", predictions, "--pred_labels", "none", "--descp_labels", "none")
    report = run("report", "--runs", scored)

    client = mlflow.MlflowClient(run.uri)
    metrics = client.get_run(scored.removeprefix("runs:/")).data.metrics
    assert metrics["n_predictions"] == 12
    assert "eval/lettering/rougeL" in metrics
    assert not [name for name in metrics if name.startswith(("eval/pred/", "eval/facts/"))]
    page = Path(client.get_run(report.removeprefix("runs:/")).info.artifact_uri, "report.html").read_text("utf-8")
    assert page.count("data:image/webp;base64,") >= 6
    assert "lettering" in page


def test_sequences_of_real_comics_are_not_labelled_by_the_sample(run, real_data):
    panels = run("ingest", "--comics", str(real_data / "real_comics"))
    sequences = run("sequences", "--panels", panels, "--min_story", "6")
    with pytest.raises(AssertionError, match="knows the drawn sample only"):
        run("label", "--sequences", sequences)
