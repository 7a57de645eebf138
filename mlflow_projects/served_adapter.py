"""What MLflow runs when a registered adapter is loaded or served.

    mlflow models serve -m models:/cloze-pred/1 --env-manager local

MLflow copies this file into the logged model. The model holds the adapter and never the base, which is looked for by
its digest where it was in training, or in the folder that CLOZE_BASE names. Requests send pictures as base64, or name
them below the folder CLOZE_IMAGES.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, INVALID_STATE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

if TYPE_CHECKING:
    from cloze.model.predictor import Predictor


COLUMNS = ["images", "texts"]


class ServedAdapter(PythonModel):
    """An adapter behind MLflow's interface for models of any kind."""

    _predictor: "Predictor"

    def load_context(self, context: PythonModelContext) -> None:
        """Load base and adapter.

        Raises:
            MlflowException: the project's code or the base is not here (the text says how to get it), or the adapter's
                files are not those that were registered.
        """
        try:
            from cloze.digests import folder_digest
            from cloze.errors import UserError
            from cloze.model.adapter import adapter_origin
            from cloze.model.predictor import Predictor
        except ModuleNotFoundError as error:
            if error.name != "cloze":
                raise
            remedy = "start from the folder of comics-cloze, or put it on PYTHONPATH"
            raise MlflowException(f"the package `cloze` is not installed here: {remedy}", INVALID_STATE) from error
        adapter = Path(context.artifacts["adapter"])
        config = context.model_config
        if folder_digest(adapter) != config["adapter_digest"]:
            problem = f"{adapter} is not what was registered (SHA-256 differs)"
            raise MlflowException(f"{problem}: register it again, or roll back to another version", INVALID_STATE)
        base = os.environ.get("CLOZE_BASE") or config["base"]
        images = os.environ.get("CLOZE_IMAGES", "")
        try:
            self._predictor = Predictor(
                adapter,
                base=base,
                precision=config["precision"],
                max_new_tokens=config["max_new_tokens"],
                n_panels=config["n_panels"],
                image_root=images,
            )
        except UserError as error:
            origin = adapter_origin(adapter)
            needed = _how_to_get(origin["base"], origin["digest"])
            raise MlflowException(f"{error}. {needed}", INVALID_STATE) from error

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Text of the next panel for each row, why it ended, and what the text depends on besides the row.

        Raises:
            MlflowException: a request that cannot be answered (status 400 of a server).
        """
        from cloze.errors import DataError

        try:
            answers = self._predictor(
                [dict(zip(COLUMNS, row, strict=True)) for row in model_input[COLUMNS].values.tolist()]
            )
        except DataError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error
        return pd.DataFrame(
            {
                "prediction": [answer.text for answer in answers],
                "finish_reason": [answer.finish_reason for answer in answers],
                "settings": [self._predictor.settings] * len(answers),
            }
        )


def _how_to_get(base: str, digest: str) -> str:
    """What to do where the base of an adapter is not there, or is another one."""
    if base == "sample":
        source = "it comes with comics-cloze: use the commit that the run names (tag mlflow.source.git.commit)"
    elif digest.startswith("revision "):
        source = f"where there is a network: hf download {base} --revision {digest.removeprefix('revision ')}"
    else:
        source = "copy the folder from where the adapter was trained, and name it in CLOZE_BASE"
    return f"This adapter needs the base {base} with the digest {digest}; {source}"


mlflow.models.set_model(ServedAdapter())
