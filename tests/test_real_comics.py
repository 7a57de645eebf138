"""The whole way holds on real comics: Golden Age panels and their lettering, no labels, a base that never saw any."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mlflow_projects.conftest import run_here


@dataclass(frozen=True)
class Project:
    """A folder with a store of its own, in which entry points run."""

    folder: Path
    environment: dict[str, str]

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def run(self, step: str, *arguments: str) -> str:
        """Run one entry point; the URI of its run."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)  # artifacts lie below it
            return "runs:/" + run_here(step, arguments, {**self.environment, "MLFLOW_TRACKING_URI": self.tracking_uri})


@pytest.fixture(scope="module")
def project(environment, tmp_path_factory):
    return Project(tmp_path_factory.mktemp("real"), environment)


@pytest.fixture(scope="module")
def sequences(project, real_data) -> str:
    panels = project.run("ingest", "--comics", str(real_data / "real_comics"))
    return project.run("sequences", "--panels", panels, "--min_story", "6")


def test_real_panels_become_a_report_with_the_models_text(project, sequences):
    import mlflow

    predictions = project.run("predict", "--sequences", sequences, "--split", "all", "--examples", "12")
    given = ("--predictions", predictions, "--split", "all", "--pred_labels", "none", "--descp_labels", "none")
    scored = project.run("eval", *given)
    report = project.run("report", "--runs", scored)

    client = mlflow.MlflowClient(project.tracking_uri)
    metrics = client.get_run(scored.removeprefix("runs:/")).data.metrics
    assert metrics["n_predictions"] == 12
    assert "eval/lettering/rougeL" in metrics
    assert not [name for name in metrics if name.startswith(("eval/pred/", "eval/facts/"))]
    page = Path(client.get_run(report.removeprefix("runs:/")).info.artifact_uri, "report.html").read_text("utf-8")
    assert page.count("data:image/webp;base64,") >= 6
    assert "lettering" in page


def test_sequences_of_real_comics_are_not_labelled_by_the_sample(project, sequences):
    with pytest.raises(AssertionError, match="knows the drawn sample only"):
        project.run("label", "--sequences", sequences)
