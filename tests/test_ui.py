"""Evaluated runs can be compared in MLflow's own pages, seen in a real browser."""

import os
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Study
from tests.servers import free_port, wait_until_healthy

EVALUATED = ("eval_zero_shot_pred", "eval_zero_shot_descp", "eval_tuned_pred", "eval_tuned_descp")
# MLflow opens an assistant and hides the model registry on a first visit.
QUIET = {
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.workflowType_v1": '"machine_learning"',
}


@pytest.fixture(scope="module")
def server(study: Study, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the light MLflow server that `make ui` starts."""
    port = free_port()
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", study.tracking_uri, "--default-artifact-root", str(folder)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, env={**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, stdout=log, stderr=log
        )
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_the_comparison_page_shows_settings_scores_and_curves_of_the_four_cells(study, server, chromium, tmp_path):
    from playwright.sync_api import sync_playwright

    runs = study.runs("eval")
    ids = [runs[name] for name in EVALUATED]
    selected = urllib.parse.quote(str(ids).replace("'", '"'))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1600, "height": 2400})
        page.add_init_script("".join(f"localStorage.setItem({k!r}, {v!r});" for k, v in QUIET.items()))
        page.goto(f"{server}/#/compare-runs?runs={selected}&experiments={urllib.parse.quote(_experiments(study, ids))}")
        page.get_by_text("Metrics", exact=False).first.wait_for(timeout=60_000)
        page.wait_for_timeout(3000)
        pictures = Path(os.environ.get("CLOZE_SCREENSHOTS", tmp_path))
        page.screenshot(path=pictures / "compare.png", full_page=True)
        text = page.inner_text("body")
        for wanted in (
            *EVALUATED,
            "cfg.paradigm",
            "ci_high/descp/rougeL",
        ):  # the first rows; the rest come by scrolling
            assert wanted in text
        experiments = urllib.parse.quote(_experiments(study, ids))
        page.goto(
            f"{server}/#/metric?runs={selected}&metric=%22train%2Floss%22&experiments={experiments}"
            "&plot_metric_keys=%5B%22train%2Floss%22%5D&plot_layout=%7B%7D&x_axis=step&y_axis_scale=linear&line_smoothness=1"
            "&show_point=false&deselected_curves=%5B%5D&last_linear_y_axis_range=%5B%5D"
        )
        page.locator("svg.main-svg .scatterlayer .trace").first.wait_for(state="attached", timeout=60_000)
        page.wait_for_timeout(2000)
        page.screenshot(path=pictures / "curves.png", full_page=True)
        assert page.locator("svg.main-svg .scatterlayer .trace").count() >= 2  # one curve for each fine-tuned run
        browser.close()


def _experiments(study: Study, ids: list[str]) -> str:
    import mlflow

    return f'["{mlflow.MlflowClient(study.tracking_uri).get_run(ids[0]).info.experiment_id}"]'
