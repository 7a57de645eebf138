"""Adapters in the model registry: weights and their configuration only, never the base."""

import json
import tempfile
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.digests import folder_digest
from cloze.errors import DataError, MissingInputError
from mlflow_projects import artifacts, tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

    from mlflow_projects.program import Finished

ADAPTER = "adapter"
MODEL = "model"
_SERVED = Path(__file__).with_name("served_adapter.py")
_CODE_TAGS = ("mlflow.source.git.commit", "cloze.git_dirty")
# What `cloze.model.predictor` imports; MLflow would load base and all in another process to find out.
_PACKAGES = (
    "jinja2",
    "mlflow",
    "numpy",
    "pandas",
    "peft",
    "pillow",
    "pyarrow",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)


def register_adapter(finished: "Finished") -> str:
    """Log the adapter of a finished step as a model to serve; the URI of its version of `cloze-{paradigm}`."""
    paradigm = finished.resolved.tags["cloze.paradigm"]
    name = f"cloze-{paradigm}"
    store = made_model(name, f"LoRA adapters trained on `{paradigm}` labels.")
    tags = _tags(finished, paradigm)
    model_id = _log_model(finished, tags)
    version = store.create_model_version(
        name, source=f"models:/{model_id}", run_id=finished.run_id, tags=tags, model_id=model_id
    )
    registered = [{"name": name, "version": version.version}]
    store.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(registered)})  # links the pages
    uri = f"models:/{name}/{version.version}"
    tracking.set_tags({"cloze.model_version": uri})
    return uri


def made_model(name: str, about: str) -> "MlflowClient":
    """The store, in which there is now a registered model of that name."""
    from mlflow.exceptions import MlflowException

    store = tracking.client()
    try:
        store.create_registered_model(name, description=about)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return store


def find_version(uri: str) -> tuple[str, str]:
    """What `models:/NAME/VERSION` or `models:/NAME@ALIAS` names: its version's own URI, and the run that made it.

    An alias may move while a run that was given it goes on; the version's URI may not.

    Raises:
        MissingInputError: the registry has no such model, version or alias.
    """
    version = require_version(uri)
    return f"models:/{version.name}/{version.version}", str(version.run_id)


def require_version(uri: str) -> "ModelVersion":
    """The version that `models:/NAME/VERSION` or `models:/NAME@ALIAS` names now.

    Raises:
        MissingInputError: the registry has no such model, version or alias.
    """
    from mlflow.exceptions import MlflowException

    name, _, alias = uri.removeprefix("models:/").partition("@")
    model, _, number = name.partition("/")
    store = tracking.client()
    try:
        return store.get_model_version_by_alias(model, alias) if alias else store.get_model_version(model, number)
    except MlflowException as error:
        raise MissingInputError(f"{uri}: {error.message}; `mlflow ui` lists models, versions and aliases") from error


def check_registered(version: "ModelVersion", cache: Path) -> str:
    """SHA-256 of a version's adapter, after checking that its run and the registry both hold just that.

    Raises:
        DataError: either holds something else.
        MissingInputError: the version was not made by a step of ours, or its files cannot be fetched.
    """
    import mlflow

    uri = f"models:/{version.name}/{version.version}"
    digest = version.tags.get("cloze.digest")
    if digest is None:
        raise MissingInputError(f"{uri} has no tag cloze.digest: `finetune` did not register it")
    trained = tracking.require_finished(str(version.run_id))
    path = artifacts.artifact_path(trained, ADAPTER, cache)
    with tempfile.TemporaryDirectory(prefix="cloze-") as folder:
        copy = Path(mlflow.artifacts.download_artifacts(artifact_uri=str(version.source), dst_path=folder))
        for where, found in ((path, path), (f"{uri} in the registry", copy / "artifacts" / ADAPTER)):
            if not found.is_dir() or folder_digest(found) != digest:
                raise DataError(where, "is not the adapter that was registered (SHA-256 differs)", "fine-tune again")
    return digest


def _tags(finished: "Finished", paradigm: str) -> dict[str, str]:
    from cloze.model.conversation import conversation_digest

    run = tracking.get_run(finished.run_id)
    code = {name: run.data.tags[name] for name in _CODE_TAGS if name in run.data.tags}
    given = {f"cloze.{name}_digest": finished.resolved.inputs[name].digest for name in ("sequences", "labels")}
    origin = json.loads((finished.out / ADAPTER / "base.json").read_text(encoding="utf-8"))
    return {
        "cloze.paradigm": paradigm,
        "cloze.step_key": run.data.tags["cloze.step_key"],
        "cloze.digest": run.data.tags[f"cloze.digest.{ADAPTER}"],
        "cloze.base": run.data.params["cfg.base"],
        "cloze.base_digest": origin["digest"],
        "cloze.prompt_digest": conversation_digest(origin["image_layout"]),
        "cloze.precision": run.data.params["cfg.precision"],
        "cloze.quantise": run.data.params["cfg.quantise"],
        "cloze.trainable_parameters": f"{finished.metrics['trainable_parameters']:.0f}",
        "cloze.trainable_parameters_vision": f"{finished.metrics['trainable_parameters_vision']:.0f}",
        **given,
        **code,
    }


def _log_model(finished: "Finished", tags: dict[str, str]) -> str:
    """Log what MLflow can serve; its id."""
    import mlflow

    from cloze.model.predict_settings import PredictSettings
    from cloze.model.predictor import example_request
    from mlflow_projects.program import cache_folder

    request = example_request(finished.resolved.inputs["sequences"].path, cache_folder())
    config: dict[str, Any] = {
        "adapter_digest": tags["cloze.digest"],
        "base": "",
        "precision": tags["cloze.precision"],
        "max_new_tokens": PredictSettings.__dataclass_fields__["max_new_tokens"].default,
        "n_panels": len(request["texts"]),
    }
    logged = mlflow.pyfunc.log_model(
        name=MODEL,
        python_model=_SERVED,
        artifacts={ADAPTER: str(finished.out / ADAPTER)},
        model_config=config,
        signature=_signature(),
        input_example=[request],
        pip_requirements=[f"{name}=={installed(name).partition('+')[0]}" for name in _PACKAGES],
        model_type="lora-adapter",
        tags=tags,
    )
    return str(logged.model_id)


def _signature() -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Array

    many = Array(DataType.string)
    answer = [ColSpec(DataType.string, "prediction"), ColSpec(DataType.string, "finish_reason")]
    return ModelSignature(
        inputs=Schema([ColSpec(many, "images"), ColSpec(many, "texts")]),
        outputs=Schema([*answer, ColSpec(AnyType(), "settings")]),  # type: ignore[no-untyped-call]
    )
