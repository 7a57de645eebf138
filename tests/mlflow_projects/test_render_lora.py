"""A LoRA of Stable Diffusion becomes a version of `cloze-render` that `render` draws with."""

import json
from pathlib import Path

import pytest

from mlflow_projects import tracking
from tests.mlflow_projects.conftest import Finetuned, run_here

FEW = {"steps": "4", "batch": "2", "rank": "4", "lr": "1e-2", "validate": "2"}


@pytest.fixture(scope="module")
def trained(finetuned: Finetuned) -> str:
    tables = finetuned.tables
    given = {"sequences": tables.sequences, "labels": tables.labels["descp"], **FEW}
    return run_here(
        "finetune_sd", [w for name, word in given.items() for w in (f"--{name}", word)], finetuned.environment
    )


def test_its_version_says_what_it_is_of_and_how_it_was_made(trained, store):
    run = store.get_run(trained)
    version = store.get_model_version("cloze-render", run.data.tags["cloze.model_version"].rpartition("/")[2])
    origin = json.loads(Path(store.download_artifacts(trained, "lora/base.json")).read_text())
    assert version.tags["cloze.base_digest"] == origin["digest"]
    assert version.run_id == trained
    assert f"in 4 steps on {run.data.metrics['examples']:.0f} panels" in version.description
    assert {metric.step for metric in store.get_metric_history(trained, "train/loss")} == {1, 2, 3, 4}
    pictures = {Path(item.path).name for item in store.list_artifacts(trained, "images")}
    assert sum(name.startswith("validation") and name.endswith(".png") for name in pictures) >= 3


def test_predictions_are_drawn_with_it_and_without_it_as_a_floor(trained, finetuned, store):
    uri = store.get_run(trained).data.tags["cloze.model_version"]
    words = ["--predictions", f"runs:/{finetuned.predicted}", "--lora", uri, "--examples", "3", "--steps", "2"]
    drew = store.get_run(run_here("render", [*words, "--resamples", "100"], finetuned.environment))
    assert {"eval/panel6/palette", "floor/base/panel6/palette", "floor/panel5/panel6/palette"} <= set(drew.data.metrics)
    assert tracking.lineage(drew)["lora"] == f"runs:/{trained}/lora"
