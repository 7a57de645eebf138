"""Each fine-tuning run is a version of its paradigm's model: small, described by tags, and an input of later steps."""

import json
from pathlib import Path

import mlflow
import pytest

from cloze.errors import MissingInputError
from mlflow_projects.registry import find_version


@pytest.fixture
def version(store, finetuned):
    return store.get_model_version("cloze-pred", "1")


@pytest.fixture
def logged(store, version):
    return store.get_logged_model(version.source.removeprefix("models:/"))


def test_a_version_says_what_it_was_made_from(store, finetuned, version):
    run = store.get_run(finetuned.run_id)
    base = json.loads(Path(run.info.artifact_uri.removeprefix("file://"), "adapter", "base.json").read_text())
    assert version.run_id == finetuned.run_id
    assert version.tags["cloze.paradigm"] == "pred"
    assert version.tags["cloze.step_key"] == run.data.tags["cloze.step_key"]
    assert version.tags["cloze.digest"] == run.data.tags["cloze.digest.adapter"]
    assert (version.tags["cloze.base"], version.tags["cloze.base_digest"]) == (str(finetuned.base), base["digest"])
    assert version.tags["cloze.precision"] == "fp32"
    assert version.tags["cloze.trainable_parameters"] == f"{run.data.metrics['trainable_parameters']:.0f}"
    assert len(version.tags["cloze.prompt_digest"]) == 12


def test_a_version_is_a_logged_model_of_its_run_that_holds_no_base(finetuned, version, logged):
    folder = Path(logged.artifact_location.removeprefix("file://"))
    weights = [path for path in folder.rglob("*") if path.suffix in (".safetensors", ".bin", ".pt", ".pkl", ".ckpt")]
    assert logged.source_run_id == finetuned.run_id
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "cloze-pred", "version": version.version}]
    assert [path.name for path in weights] == ["adapter_model.safetensors"]
    files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert sum(files) < weights[0].stat().st_size + 200_000


def test_a_version_has_a_signature_an_example_and_exact_requirements(version):
    info = mlflow.models.get_model_info("models:/cloze-pred/1")
    assert info.signature is not None
    assert info.signature.inputs.input_names() == ["images", "texts"]
    assert info.signature.outputs.input_names() == ["prediction", "finish_reason", "settings"]
    assert info.saved_input_example_info is not None
    model = Path(mlflow.artifacts.download_artifacts("models:/cloze-pred/1"))
    lines = (model / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in lines} >= {"mlflow", "peft", "torch", "transformers"}
    assert all("==" in line and "+" not in line for line in lines)


def test_a_version_is_an_input_of_predict(store, finetuned):
    run = store.get_run(finetuned.predicted)
    assert run.data.params["cfg.adapter"] == "models:/cloze-pred/1"
    assert run.data.tags["cloze.condition"] == "fine-tuned"


def test_an_alias_is_resolved_to_the_version_it_names_now(store, finetuned):
    store.set_registered_model_alias("cloze-pred", "champion", "1")
    assert find_version("models:/cloze-pred@champion") == ("models:/cloze-pred/1", finetuned.run_id)


@pytest.mark.parametrize("uri", ["models:/cloze-pred/99", "models:/cloze-pred@nobody", "models:/no-such/1"])
def test_a_version_that_is_not_there_is_an_error_that_says_so(store, finetuned, uri):
    with pytest.raises(MissingInputError, match=f"^{uri}: "):
        find_version(uri)
