"""What a run of `label` shows besides its table: a sheet to read, and a trace of each single request."""

import os
from typing import TYPE_CHECKING

from mlflow_projects import tracking

if TYPE_CHECKING:
    from cloze.settings import Settings
    from mlflow_projects.program import Finished

SHEET = "labels.html"


def trace_requests(settings: "Settings") -> None:
    """Let MLflow keep a trace of each request that is sent by itself; a batch has none."""
    os.environ.setdefault("MLFLOW_MODEL_CATALOG_URI", "")  # prices from the web: the ledger has ours
    labeller = getattr(settings, "labeller", "") or getattr(settings, "judge", "")
    if labeller == "gemini":
        import mlflow.gemini

        mlflow.gemini.autolog()
    if labeller == "openai":
        import mlflow.openai

        mlflow.openai.autolog()


def show_labels(finished: "Finished") -> None:
    """Log some of the labels with their strips, for a person to read before many more are paid for."""
    from cloze.reporting.label_sheet import label_sheet
    from mlflow_projects.program import cache_folder

    labels = finished.out / "labels.parquet"
    if labels.exists():  # a dry run has none
        sheet = label_sheet(labels, finished.resolved.inputs["sequences"].path, cache_folder())
        tracking.log_text(sheet, SHEET)
