"""After an evaluation the registry knows of it: card, tags, and figures that versions can be sorted by."""

import re

import mlflow
import pytest

from tests.mlflow_projects.conftest import evaluate


@pytest.fixture(scope="module")
def evaluated_blind(finetuned, evaluated) -> str:
    return evaluate(finetuned, "--adapter", "models:/cloze-pred/1", "--blind", "images")


@pytest.fixture
def version(store, evaluated, evaluated_blind):
    return store.get_model_version("cloze-pred", "1")


def test_a_version_names_its_evaluations_newest_first(version, evaluated, evaluated_blind):
    assert version.tags["cloze.evaluations"] == f"{evaluated_blind},{evaluated}"


def test_its_card_has_the_scores_of_all_of_them(store, version, evaluated, evaluated_blind):
    metrics = store.get_run(evaluated).data.metrics
    card = version.description.replace("&nbsp;", "")
    assert card.index(f"`{evaluated[:8]}`") < card.index(f"`{evaluated_blind[:8]}`")
    assert f"| pred | ROUGE-L | {metrics['eval/pred/rougeL']:.3f} |" in card
    assert version.run_id in card


def test_its_lift_is_that_of_the_evaluation_that_saw_everything(store, version, evaluated):
    lift = store.get_run(evaluated).data.metrics["lift/pred/rougeL"]
    assert float(version.tags["cloze.lift"]) == pytest.approx(lift, abs=1e-4)


def test_logged_models_can_be_sorted_by_lift(store, version, evaluated, evaluated_blind):
    run = store.get_run(evaluated)
    found = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id],
        filter_string="metrics.`own/lift/rougeL` > -1",
        order_by=[{"field_name": "metrics.own/lift/rougeL", "ascending": False}],
        output_format="list",
    )
    lifts = {
        f"models:/{model.model_id}": metric
        for model in found
        for metric in model.metrics or []
        if metric.key == "own/lift/rougeL"
    }
    assert [metric.value for metric in lifts.values()] == sorted((m.value for m in lifts.values()), reverse=True)
    lift = lifts[version.source]
    read = next(given.dataset for given in run.inputs.dataset_inputs if given.dataset.name == "sequences")
    assert (lift.run_id, lift.dataset_name, lift.dataset_digest) == (evaluated, "sequences", read.digest)
    assert lift.value == pytest.approx(run.data.metrics["lift/pred/rougeL"])


def test_a_version_says_its_data_code_and_weights(store, finetuned, version):
    run = store.get_run(finetuned.run_id)
    assert re.fullmatch("[0-9a-f]{64}", version.tags["cloze.sequences_digest"])
    assert re.fullmatch("[0-9a-f]{64}", version.tags["cloze.labels_digest"])
    assert version.tags["mlflow.source.git.commit"] == run.data.tags["mlflow.source.git.commit"]
    assert version.tags["cloze.trainable_parameters_vision"] == "0"
