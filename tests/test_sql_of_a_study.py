"""Numbers computed from the tables of a real study are those that its runs logged as metrics."""

import json
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner

from mlflow_projects.cli import main
from tests.conftest import Study
from tests.mlflow_projects.conftest import set_environment

CLOSE = 1e-9


@pytest.fixture(scope="module")
def ask(study: Study, environment: dict[str, str]) -> Any:
    """Answers of `cloze sql`, as a user gets them."""

    def asked(*words: str) -> list[dict[str, Any]]:
        with pytest.MonkeyPatch.context() as patch:
            set_environment(patch, {**environment, "MLFLOW_TRACKING_URI": study.tracking_uri})
            mlflow.set_tracking_uri(study.tracking_uri)
            done = CliRunner().invoke(main, ["sql", *words, "--format", "json"])
        assert done.exit_code == 0, done.output
        assert "warning" not in done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    return asked


@pytest.fixture(scope="module")
def metrics(study: Study) -> dict[str, dict[str, float]]:
    """Last values of every run's metrics."""
    client = mlflow.MlflowClient(study.tracking_uri)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000)
    return {run.info.run_id: run.data.metrics for run in runs}


def test_scores_floors_and_lifts(ask, metrics):
    rows = ask("-c", "select * from cells")
    assert len({row["run_id"] for row in rows}) == 5
    for row in rows:
        of, name = metrics[row["run_id"]], f"{row['reference']}/{row['metric']}"
        assert row["score"] == pytest.approx(of[f"eval/{name}"], abs=CLOSE)
        assert row["lift"] == pytest.approx(of[f"lift/{name}"], abs=CLOSE)
        assert row["floor"] == pytest.approx(of[f"floor/{row['floor_name']}/{name}"], abs=CLOSE)
        floors = {key for key in of if key.startswith("floor/") and key.endswith(f"/{name}")} - {f"floor/labels/{name}"}
        assert row["floor"] == pytest.approx(max(of[key] for key in floors), abs=CLOSE)
    shown = {(row["run_id"], f"eval/{row['reference']}/{row['metric']}") for row in rows}
    logged = {(run_id, key) for run_id, of in metrics.items() for key in of if key.startswith("eval/")}
    assert shown == {(run_id, key) for run_id, key in logged if not key.startswith("eval/panel6/")}


def test_likeness_of_drawn_panels_and_of_their_floors(ask, metrics):
    rows = ask("-c", "select run_id, floor, metric, avg(score) as score from render_scores group by all")
    rows = [row for row in rows if row["metric"] != "copy"]
    assert {row["metric"] for row in rows} == {"palette", "edges", "structure"}
    for row in rows:
        head = f"floor/{row['floor']}" if row["floor"] else "eval"
        assert row["score"] == pytest.approx(metrics[row["run_id"]][f"{head}/panel6/{row['metric']}"], abs=CLOSE)
    logged = {key for of in metrics.values() for key in of if key.startswith("eval/panel6/")}
    assert len(rows) == 4 * len(logged)  # the drawing and three floors


def test_measures(ask, metrics):
    rows = ask(
        "-c", "select run_id, text, measure, avg(value) as value from measures group by all having count(value) > 0"
    )
    assert len(rows) > 50
    for row in rows:
        logged = metrics[row["run_id"]][f"measure/{row['measure']}/{row['text']}"]
        assert row["value"] == pytest.approx(logged, abs=CLOSE)


def test_what_fine_tuning_changes_is_what_the_report_says(ask):
    found = {row["paradigm"]: row for row in ask("paired_difference")}
    reported = ask("-c", "select * from comparisons where metric = 'rougeL'")
    assert set(found) == {"pred", "descp"}
    for paradigm, row in found.items():
        (said,) = [
            one for one in reported if one["contrast"] == f"fine-tuning on {paradigm}" and one["reference"] == paradigm
        ]
        assert row["difference"] == pytest.approx(said["difference"], abs=CLOSE)
        assert (row["n_sequences"], row["n_books"]) == (said["n_sequences"], said["n_books"])


def test_counts_of_labels_predictions_and_sequences(ask, metrics):
    rows = ask("-c", "select run_id, count(*) filter (where state = 'ok') as n from labels group by run_id")
    assert len(rows) == 2
    for row in rows:
        assert row["n"] == metrics[row["run_id"]]["labels_ok"]
    rows = ask("-c", "select run_id, count(*) as n from predictions group by run_id")
    assert len(rows) == 4
    for row in rows:
        assert row["n"] == metrics[row["run_id"]]["predictions"]


def test_masking_is_what_fine_tuning_logged(ask, metrics):
    rows = ask("masking")
    assert len(rows) == 2
    for row in rows:
        assert row["masking_ratio"] == metrics[row["run_id"]]["masking_ratio"]
        assert row["masking_ratio"] == pytest.approx(1 - row["supervised_tokens"] / row["tokens"], abs=CLOSE)
