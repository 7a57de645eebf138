"""What a version in the registry says of itself: a card and tags made from its runs, anew after every evaluation."""

import logging
from typing import TYPE_CHECKING

from cloze.errors import MissingInputError
from mlflow_projects import champions, tracking
from mlflow_projects.refusals import RefusedError, refusals_told
from mlflow_projects.registry import require_version

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from cloze.reporting.model_card import Evaluation, Trained
    from mlflow_projects.program import Finished

log = logging.getLogger(__name__)

EVALUATIONS = "cloze.evaluations"
LIFT = "cloze.lift"
_SORTED_BY = "rougeL"
_MAX_NAMED = 100  # evaluations in a tag, which holds 5,000 characters


def credit(finished: "Finished", trained: "Run") -> None:
    """Give an adapter's version the evaluation that has just been made of it.

    The run says which adapter it judged. Where nothing was hidden from the model, its scores against its own labels
    are also those of the version's logged model, so that MLflow's page of models can be sorted by them. A version that
    was deleted, or that belongs to somebody else, is left as it is, with a warning: the evaluation stands.
    """
    tracking.set_tags({"cloze.adapter_digest": trained.data.tags["cloze.digest.adapter"]})
    uri = trained.data.tags.get("cloze.model_version", "")
    if not uri:
        return
    try:
        with refusals_told():
            _credit_version(uri, finished)
    except (MissingInputError, RefusedError) as error:
        log.warning("this evaluation is not noted at %s: %s", uri, error)


def _credit_version(uri: str, finished: "Finished") -> None:
    from cloze.reporting.model_card import own_figures

    version = require_version(uri)
    paradigm = finished.resolved.tags.get("cloze.paradigm")
    if paradigm == version.tags["cloze.paradigm"] and not _hidden(tracking.get_run(finished.run_id)):
        model_id, read = str(version.source).removeprefix("models:/"), finished.resolved.inputs["sequences"]
        figures = own_figures(finished.metrics, paradigm)
        tracking.log_model_metrics(figures, model_id, "sequences", read.uri, read.digest)
    write_card(uri)


def write_card(uri: str) -> None:
    """Write the description and tags of a version anew.

    What it says follows from the runs alone, so of two that write at once either may come last.
    """
    from cloze.reporting.model_card import model_card, own_figures
    from mlflow_projects.program import cache_folder

    version = require_version(uri)
    trained = tracking.get_run(str(version.run_id))
    runs = _evaluations(version.tags["cloze.digest"])
    evaluations = [_evaluation(run) for run in runs]
    store = tracking.client()
    past = champions.reigns(version.name, str(version.version), cache_folder())
    store.update_model_version(version.name, version.version, model_card(_trained(version, trained), evaluations, past))
    tags = {EVALUATIONS: ",".join(run.info.run_id for run in runs[:_MAX_NAMED])}
    seeing = [evaluation for evaluation in evaluations if evaluation.hidden == "none"]
    if seeing:
        lift = own_figures(seeing[0].metrics, version.tags["cloze.paradigm"]).get(f"own/lift/{_SORTED_BY}")
        tags |= {} if lift is None else {LIFT: f"{lift:+.4f}"}
    for name, value in tags.items():
        store.set_model_version_tag(version.name, version.version, name, value)


def _evaluations(digest: str) -> "list[Run]":
    """Evaluated runs of an adapter with these weights, newest first; results logged, though the run may not be over."""
    runs = tracking.find_runs(f"tags.`cloze.step` = 'eval' and tags.`cloze.adapter_digest` = '{digest}'")
    return [run for run in runs if "cloze.step_key" in run.data.tags]


def _evaluation(run: "Run") -> "Evaluation":
    from cloze.reporting.model_card import Evaluation

    settings = run.data.params
    return Evaluation(
        run.info.run_id, run.info.run_name or "", settings["cfg.split"], _hidden(run) or "none", run.data.metrics
    )


def _hidden(run: "Run") -> str:
    """What the predictions that a run judged were made without; empty where with everything."""
    predictions = tracking.lineage(run).get("predictions.parquet", "")
    if not predictions.startswith("runs:/"):
        return ""
    predicted = tracking.get_run(predictions.removeprefix("runs:/").partition("/")[0])
    blind = predicted.data.params.get("cfg.blind", "none")
    return "" if blind == "none" else blind


def _trained(version: "ModelVersion", run: "Run") -> "Trained":
    from cloze.reporting.model_card import Trained

    settings = {name.removeprefix("cfg."): value for name, value in run.data.params.items() if name.startswith("cfg.")}
    return Trained(
        uri=f"models:/{version.name}/{version.version}",
        run_id=run.info.run_id,
        paradigm=version.tags["cloze.paradigm"],
        base=version.tags["cloze.base"],
        base_digest=version.tags["cloze.base_digest"],
        settings=settings,
        metrics=run.data.metrics,
        labeller=_labeller(settings["labels"]),
        commit=run.data.tags.get("mlflow.source.git.commit", ""),
        is_dirty=run.data.tags.get("cloze.git_dirty") == "yes",
    )


def _labeller(labels: str) -> str:
    """Who wrote a labels table, as far as its run says."""
    if not labels.startswith("runs:/"):
        return ""
    run = tracking.get_run(labels.removeprefix("runs:/").partition("/")[0])
    labeller, model = (run.data.params.get(f"cfg.{name}", "") for name in ("labeller", "model"))
    return f"{labeller} ({model})" if model else labeller
