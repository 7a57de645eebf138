"""Adapters in the model registry: weights and their configuration only, never the base."""

from typing import TYPE_CHECKING

from cloze.errors import MissingInputError
from mlflow_projects import tracking

if TYPE_CHECKING:
    from mlflow_projects.program import Finished

ADAPTER = "adapter"


def register_adapter(finished: "Finished") -> None:
    """Register the adapter that a finished step logged as a new version of `cloze-{paradigm}`."""
    from mlflow.exceptions import MlflowException

    store = tracking.client()
    paradigm = finished.resolved.tags["cloze.paradigm"]
    name = f"cloze-{paradigm}"
    try:
        store.create_registered_model(name, description=f"LoRA adapters trained on `{paradigm}` labels.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    run = tracking.get_run(finished.run_id)
    version = store.create_model_version(
        name,
        source=f"runs:/{finished.run_id}/{ADAPTER}",
        run_id=finished.run_id,
        tags={
            "cloze.paradigm": paradigm,
            "cloze.step_key": run.data.tags["cloze.step_key"],
            "cloze.digest": run.data.tags[f"cloze.digest.{ADAPTER}"],
            "cloze.base": run.data.params["cfg.base"],
        },
    )
    tracking.set_tags({"cloze.model_version": f"models:/{name}/{version.version}"})


def find_version(uri: str) -> tuple[str, str]:
    """What `models:/NAME/VERSION` or `models:/NAME@ALIAS` names: its version's own URI, and the run that made it.

    An alias may move while a run that was given it goes on; the version's URI may not.

    Raises:
        MissingInputError: the registry has no such model, version or alias.
    """
    from mlflow.exceptions import MlflowException

    name, _, alias = uri.removeprefix("models:/").partition("@")
    model, _, number = name.partition("/")
    store = tracking.client()
    try:
        version = store.get_model_version_by_alias(model, alias) if alias else store.get_model_version(model, number)
    except MlflowException as error:
        raise MissingInputError(f"{uri}: {error.message}; `mlflow ui` lists models, versions and aliases") from error
    return f"models:/{model}/{version.version}", str(version.run_id)
