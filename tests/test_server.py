"""Several people, one server: PostgreSQL, artifacts kept by the server, passwords, as docs/server.md sets them up."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest

from tests.conftest import PROJECT
from tests.servers import free_port

START = str(PROJECT / "server" / "local")
STUDY = str(PROJECT / "tests" / "studies" / "small.yaml")
PASSWORDS = {name: secrets.token_hex(16) for name in ("admin", "ada", "bob")}


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    folder: Path
    environment: dict[str, str]

    def as_user(self, name: str, **more: str) -> dict[str, str]:
        """The environment of somebody's commands."""
        who = {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": PASSWORDS[name]}
        return {**self.environment, "MLFLOW_TRACKING_URI": self.url, **who, **more}


def run(words: list[str], environment: dict[str, str], cwd: Path = PROJECT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *words], env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    """Started by the project's own script, with the users ada and bob."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        pytest.skip("no PostgreSQL on this machine; .ci/packages installs it (as root, on Debian)")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    secret = {"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORDS["admin"], "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex()}
    try:
        started = subprocess.run(
            [START, "start", str(folder), str(free_port())],
            env={**environment, **secret},
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert started.returncode == 0, started.stderr
        found = Server(started.stdout.strip(), folder, environment)
        code = "import sys; from mlflow.server import get_app_client as get\n"
        code += "[get('basic-auth', tracking_uri=sys.argv[1]).create_user(*sys.argv[n : n + 2]) for n in (2, 4)]"
        made = run(["-c", code, found.url, "ada", PASSWORDS["ada"], "bob", PASSWORDS["bob"]], found.as_user("admin"))
        assert made.returncode == 0, made.stderr[-2000:]
        yield found
    finally:
        subprocess.run([START, "stop", str(folder)], check=True, timeout=60)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def study(server: Server) -> str:
    """What a study of ada's printed."""
    done = run(["-m", "jobs.main", "--study", STUDY], server.as_user("ada", MLFLOW_EXPERIMENT_NAME="ada"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_study_runs_and_its_artifacts_are_with_the_server(server, study):
    assert "fine-tuned · pred" in study
    kept = {path.name for path in (server.folder / "artifacts").rglob("*")}
    assert {
        "panels.parquet",
        "predictions.parquet",
        "scores.parquet",
        "report.html",
        "adapter_model.safetensors",
    } <= kept


def test_another_user_on_another_machine_reuses_every_step_but_the_report(server, study, cache, tmp_path):
    for drawn in cache.glob("sample-*"):  # it would only be drawn again
        shutil.copytree(drawn, tmp_path / "cache" / drawn.name)
    places = {"CLOZE_CACHE": str(tmp_path / "cache"), "CLOZE_STATE": str(tmp_path / "state")}
    given = server.as_user("bob", MLFLOW_EXPERIMENT_NAME="bob", **places)
    done = run(["-m", "jobs.main", "--study", STUDY], given)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    said = [line.split()[:2] for line in done.stdout.splitlines()]
    assert sum(words[:1] == ["reused"] for words in said) == 6
    # What a report is made of names the places of tables on this machine.
    assert [words for words in said if words[:1] == ["started"]] == [["started", "report"]]
    assert list((tmp_path / "cache" / "artifacts").rglob("scores.parquet"))


def test_sql_and_lineage_work_against_it(server, study):
    asked = run(["-m", "mlflow_projects.cli", "sql", "two_by_two", "--format", "json"], server.as_user("bob"))
    assert asked.returncode == 0, asked.stderr
    assert [row["condition"] for row in json.loads(asked.stdout)] == ["fine-tuned"]
    shown = run(["-m", "mlflow_projects.cli", "lineage", "models:/cloze-pred/1"], server.as_user("bob"))
    assert "comics  sample" in shown.stdout


def test_an_evaluation_of_somebody_elses_adapter_stands_though_its_version_cannot_be_changed(server, study):
    given = server.as_user("bob", MLFLOW_EXPERIMENT_NAME="bob")
    tuned = "select run_id from runs where run_name = 'tuned'"
    asked = run(["-m", "mlflow_projects.cli", "sql", "-c", tuned, "--format", "json"], given)
    (predicted,) = [row["run_id"] for row in json.loads(asked.stdout)]
    words = ["--predictions", f"runs:/{predicted}", "--pred_labels", "none", "--descp_labels", "none"]
    done = run(["-m", "jobs.eval", *words, "--resamples", "100"], given)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "this evaluation is not noted at models:/cloze-pred/1" in done.stdout


POLICY = """
predict: {examples: 16, max_new_tokens: 16}
eval: {descp_labels: none, resamples: 200}
rules:
  contamination: {books: 0}
  lift: {metric: rougeL, above: -1}
"""


def test_a_version_is_promoted_by_whom_it_belongs_to_and_nobody_else(server, study, tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    words = ["-m", "jobs.promote", "--adapter", "models:/cloze-pred/1", "--policy", str(tmp_path / "policy.yaml")]
    refused = run(words, server.as_user("bob", MLFLOW_EXPERIMENT_NAME="bob"))
    assert (refused.returncode, "does not let bob do this" in refused.stderr) == (2, True), refused.stderr[-2000:]
    done = run(words, server.as_user("ada", MLFLOW_EXPERIMENT_NAME="ada"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "started" not in done.stdout  # the study's own evaluation is what it goes by
    words = ["-m", "mlflow_projects.cli", "sql", "champion_history", "--format", "json"]
    (spell,) = json.loads(run(words, server.as_user("bob")).stdout)
    assert (spell["model"], spell["version"], spell["decision"]) == ("cloze-pred", "1", "promoted")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"MLFLOW_TRACKING_PASSWORD": "not the password"}, "refuses the password of bob: set MLFLOW_TRACKING_USERNAME"),
        ({"MLFLOW_EXPERIMENT_NAME": "ada"}, "does not let bob do this ('Permission denied')"),
        ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}, "does not answer"),
    ],
)
def test_what_the_server_refuses_is_said_in_one_line(server, study, change, said):
    done = run(["-m", "jobs.sequences"], {**server.as_user("bob"), **change})
    assert done.returncode == 2, done.stderr[-2000:]
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_no_password_is_kept_with_the_runs(server, study):
    for name, value in server.as_user("admin").items():
        os.environ[name] = value if name.startswith("MLFLOW_TRACKING") else os.environ.get(name, value)
    try:
        client = mlflow.MlflowClient(server.url)
        runs = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000)
        assert len(runs) >= 10
        said = json.dumps([run.to_dictionary() for run in runs])
    finally:
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_URI"):
            del os.environ[name]
    content = said + "".join(p.read_text("utf-8", "replace") for p in (server.folder / "artifacts").rglob("*.json"))
    assert not any(password in content for password in PASSWORDS.values())
