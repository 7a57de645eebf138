"""What makes evaluated runs fit for comparing, in MLflow's pages and in our report."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.digests import file_digest
from cloze.errors import MissingInputError
from mlflow_projects import artifacts, champions, tracking
from mlflow_projects.model_card import credit

if TYPE_CHECKING:
    from mlflow.entities import Run

    from mlflow_projects.program import Finished

_TOKEN_FIGURES = ("masking_ratio", "supervised_tokens")
_TABLES = ("sequences", "predictions", "facts")
_LABELS = ("pred_labels", "descp_labels")


def make_comparable(finished: "Finished") -> None:
    """Show examples side by side in MLflow, and give an evaluated run the curves of the adapter it judges.

    One comparison page of evaluated runs then shows scores and how the adapters were trained. The adapter's version in
    the registry gets the evaluation.
    """
    tracking.log_table(finished.out / "examples.parquet", "examples.json")
    adapter = finished.resolved.lineage.get("adapter", "")
    if adapter.startswith("runs:/"):
        trained = tracking.get_run(_parts(adapter)[0])
        names = [n for n in trained.data.metrics if n.startswith(("train/", "val/")) or n in _TOKEN_FIGURES]
        tracking.copy_metrics(trained, names)
        credit(finished, trained)


def describe_runs(runs: "Sequence[Run]", cache: Path) -> Path:
    """Write what is known of evaluated runs to a JSON file in the cache, named by its contents.

    The file holds `{"tracking_uri": ..., "cells": [...], "decisions": [...]}`; a cell has run_id, run_name, paradigm,
    condition, blind, metrics, curves (name -> [[step, value], ...]), settings, fingerprint, signatures, tables (name ->
    local path or null) and drawn (metrics of the run that drew its predictions). Decisions are those about champions of
    the models that the adapters belong to.

    Raises:
        MissingInputError: one of them is not the run of an `eval`.
    """
    cells = [_cell(run, cache) for run in runs]
    described = {
        "tracking_uri": tracking.public_tracking_uri(),
        "cells": cells,
        "decisions": _decisions(runs, cache),
    }
    text = json.dumps(described, sort_keys=True, indent=1)
    folder = cache / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{runs[0].info.run_id}.partial"
    partial.write_text(text, encoding="utf-8")
    return partial.rename(folder / f"{file_digest(partial)[:32]}.json")


def _cell(run: "Run", cache: Path) -> dict[str, Any]:
    tags = run.data.tags
    if tags.get("cloze.step") != "eval":
        raise MissingInputError(
            f"run {run.info.run_id} is of the step {tags.get('cloze.step', '(none of ours)')}; "
            "runs of `eval`, or of a study, were expected"
        )
    settings = {n.removeprefix("cfg."): v for n, v in run.data.params.items() if n.startswith("cfg.")}
    uris = tracking.lineage(run)
    tables: dict[str, str | None] = {"scores": table_path(f"runs:/{run.info.run_id}/scores.parquet", cache)}
    for name in _TABLES:
        tables[name] = table_path(uris.get(f"{name}.parquet", ""), cache)
    for name in _LABELS:
        tables[name] = table_path(settings.get(name, ""), cache)
    predictions = uris["predictions.parquet"]
    tables["renders"], drawn = _drawn(predictions, cache)
    predicted = tracking.get_run(_parts(predictions)[0]) if predictions.startswith("runs:/") else None
    curves = [name for name in run.data.metrics if name.startswith(("train/", "val/"))]
    return {
        "run_id": run.info.run_id,
        "run_name": run.info.run_name,
        "paradigm": tags.get("cloze.paradigm", "none"),
        "condition": tags.get("cloze.condition", "given"),
        "blind": predicted.data.params["cfg.blind"] if predicted else "none",
        "metrics": run.data.metrics,
        "curves": {name: tracking.metric_history(run.info.run_id, name) for name in sorted(curves)},
        "settings": settings,
        "fingerprint": artifacts.read_json(predicted, "fingerprint.json", cache) if predicted else {},
        "signatures": artifacts.read_json(run, "signatures.json", cache),
        "tables": tables,
        "drawn": drawn,
    }


def _drawn(predictions: str, cache: Path) -> tuple[str | None, dict[str, float]]:
    """Of the newest run that drew these predictions the local path of its table, and its metrics.

    The pictures lie beside the table. None and no metrics where no run drew them.
    """
    drawn = tracking.find_runs("attributes.status = 'FINISHED' and tags.`cloze.step` = 'render'")
    for run in drawn:
        if tracking.lineage(run).get("predictions.parquet") == predictions:
            artifacts.artifact_path(run, "panels", cache)
            return str(artifacts.artifact_path(run, "renders.parquet", cache)), run.data.metrics
    return None, {}


def _decisions(runs: "Sequence[Run]", cache: Path) -> list[dict[str, Any]]:
    """About the champions of the models that the runs' adapters are versions of."""
    adapters = {tracking.lineage(run).get("adapter", "") for run in runs}
    trained = [tracking.get_run(_parts(uri)[0]) for uri in sorted(adapters) if uri.startswith("runs:/")]
    versions = [run.data.tags.get("cloze.model_version", "") for run in trained]
    models = sorted({uri.removeprefix("models:/").partition("/")[0] for uri in versions if uri})
    return [
        asdict(each) | {"decided_at": f"{each.decided_at:%Y-%m-%d %H:%M:%S}"}
        for model in models
        for each in champions.history(model, cache)
    ]


def table_path(uri: str, cache: Path) -> str | None:
    """Local path of a table by the URI that a run read it by; None where it read none."""
    if not uri or uri == "none":
        return None
    if not uri.startswith("runs:/"):
        return str(artifacts.given_path(uri)[0])
    run_id, name = _parts(uri)
    return str(artifacts.artifact_path(tracking.get_run(run_id), name, cache))


def _parts(uri: str) -> tuple[str, str]:
    run_id, _, name = uri.removeprefix("runs:/").partition("/")
    return run_id, name
