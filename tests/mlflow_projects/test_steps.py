"""Inputs are found in what was named, in its lineage, among finished runs, and made at last."""

import subprocess
import sys
from pathlib import Path

import pytest

from cloze.errors import DataError, MissingInputError, SettingsError
from cloze.settings import parse
from cloze.tables import read_table, write_table
from mlflow_projects import tracking
from mlflow_projects.program import find_program
from mlflow_projects.steps import StepFailedError, Steps


@pytest.fixture
def steps(store, environment, monkeypatch):
    """Steps below a run that stays open for the test; children are real processes."""
    monkeypatch.setenv("CLOZE_CACHE", environment["CLOZE_CACHE"])
    with tracking.tracked("main") as run_id:
        yield Steps(run_id, Path(environment["CLOZE_CACHE"]), Path(environment["CLOZE_STATE"]))


@pytest.fixture
def labelled(steps):
    """A finished run of `label`, with what it needed."""
    return steps.ensure("label", {"paradigm": "descp"})


def resolve(steps: Steps, step: str, **given: str):
    return steps.resolve(step, parse(find_program(step).settings, given))


def test_what_is_missing_is_made_below_the_run_that_asked(labelled, steps, store):
    assert labelled.info.status == "FINISHED"
    assert labelled.data.tags["mlflow.parentRunId"] == steps.parent_id
    assert set(tracking.lineage(labelled)) >= {"panels.parquet", "facts.parquet", "sequences.parquet", "labels.parquet"}
    inputs = {item.dataset.name: item.dataset.digest for item in labelled.inputs.dataset_inputs}
    assert set(inputs) == {"sequences"}


def test_the_same_step_is_not_run_twice(labelled, steps):
    assert steps.ensure("label", {"paradigm": "descp"}).info.run_id == labelled.info.run_id


def test_another_setting_is_another_step_on_the_same_inputs(labelled, steps):
    other = steps.ensure("label", {"paradigm": "pred"})
    assert other.info.run_id != labelled.info.run_id
    assert other.data.params["cfg.sequences"] == labelled.data.params["cfg.sequences"]


def test_an_input_left_empty_comes_from_the_lineage_of_one_that_was_named(labelled, steps):
    resolved = resolve(steps, "finetune", paradigm="descp", labels=f"runs:/{labelled.info.run_id}")
    assert resolved.settings.sequences == tracking.lineage(labelled)["sequences.parquet"]
    assert resolved.tags == {"cloze.paradigm": "descp"}


def test_the_key_depends_on_what_inputs_hold_not_on_where_they_lie(labelled, steps, tmp_path):
    by_run = resolve(steps, "label", sequences=labelled.data.params["cfg.sequences"])
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(by_run.inputs["sequences"].path.read_bytes())
    assert resolve(steps, "label", sequences=str(copy)).key_parts() == by_run.key_parts()


def test_an_input_named_by_its_path_stays_in_the_lineage_with_what_it_held(labelled, steps, tmp_path):
    copy = tmp_path / "copy.parquet"
    whole = resolve(steps, "label", sequences=labelled.data.params["cfg.sequences"]).inputs["sequences"].path
    write_table(read_table(whole, "sequences").slice(0, 100), copy)
    labels = steps.ensure("label", {"paradigm": "pred", "sequences": str(copy)})
    again = resolve(steps, "finetune", paradigm="pred", labels=f"runs:/{labels.info.run_id}")
    assert again.inputs["sequences"].path == copy
    copy.write_bytes(b"something else")
    with pytest.raises(DataError, match="changed since a run read it"):
        resolve(steps, "finetune", paradigm="pred", labels=f"runs:/{labels.info.run_id}")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("runs:/" + "0" * 32, "no run 000"),
        ("models:/cloze-none/1", "models:/cloze-none/1: "),
        ("/nowhere/sequences.parquet", "expected: runs:/ID, models:/NAME/VERSION or a path"),
    ],
)
def test_an_input_that_is_not_there_is_named(steps, value, message):
    with pytest.raises(MissingInputError, match=message):
        resolve(steps, "label", sequences=value)


def test_a_run_without_the_artifact_is_no_input(labelled, steps):
    panels = tracking.lineage(labelled)["panels.parquet"].split("/")[1]
    with pytest.raises(MissingInputError, match=r"\(ingest\) has no artifact sequences.parquet"):
        resolve(steps, "label", sequences=f"runs:/{panels}")


def test_a_step_that_fails_stops_what_needs_it_and_says_why(steps):
    with pytest.raises(StepFailedError, match=r"(?s)sequences failed.*min_story and context can be smaller"):
        steps.ensure("sequences", {"min_story": "1000"})


def test_an_unknown_entry_point_is_refused(steps):
    with pytest.raises(SettingsError, match=r"one of .*ingest"):
        steps.ensure("ingets", {})


def test_importing_the_programs_loads_nothing_heavy():
    code = "import sys; from mlflow_projects.program import programs; programs(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "mlflow", "pandas", "duckdb", "matplotlib"} & set(done.stdout.split())
