"""A study file names steps that need each other; what is wrong with it is said before anything runs."""

from itertools import product
from pathlib import Path

import pytest

from cloze.errors import DataError, SettingsError
from cloze.scoring.evaluation import EvalSettings
from cloze.settings import choices, parse
from mlflow_projects.program import find_program
from mlflow_projects.studies import STUDIES, load_study


def written(folder: Path, text: str) -> str:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_step_needs_the_steps_it_refers_to(tmp_path):
    study = load_study(
        written(tmp_path, 'steps:\n  a: {entry: ingest}\n  b: {entry: report, runs: "@a,@a"}\n  c: {entry: label}\n')
    )
    assert {name: step.needs for name, step in study.items()} == {"a": set(), "b": {"a"}, "c": set()}


def test_a_step_can_wait_for_one_that_no_parameter_names(tmp_path):
    text = 'steps:\n  a: {entry: render}\n  b: {entry: report, after: "@a"}\n'
    step = load_study(written(tmp_path, text))["b"]
    assert (step.needs, step.parameters) == ({"a"}, {})


def test_an_alias_in_the_registry_is_no_step(tmp_path):
    study = load_study(written(tmp_path, 'steps:\n  a: {entry: predict, adapter: "models:/cloze-pred@champion"}\n'))
    assert study["a"].needs == set()
    assert study["a"].words({}) == {"adapter": "models:/cloze-pred@champion"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [a]", "no mapping `steps`"),
        ("steps: {a: {paradigm: pred}}", "step a names no `entry`"),
        ('steps: {a: {entry: label, sequences: "@b"}}', "step a refers to @b"),
        ("steps: {a: ", "not YAML"),
    ],
)
def test_a_file_that_is_no_study_is_refused_with_its_name(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        load_study(path)
    assert str(caught.value).startswith(path)


def test_an_unknown_study_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"one of .*sample"):
        load_study("smaple")


@pytest.mark.parametrize("name", sorted(path.stem for path in STUDIES.glob("*.yaml")))
def test_every_study_of_ours_gives_its_steps_words_that_they_take(name):
    study = load_study(name)
    assert study
    for step in study.values():
        parse(find_program(step.entry).settings, step.parameters)


def test_the_ablation_does_again_what_the_sample_study_did_so_that_it_is_reused():
    sample, ablation = load_study("sample"), load_study("ablation")
    shared = sample.keys() & ablation.keys() - {"report"}
    assert shared >= {"sequences", "labels_descp", "finetune_pred", "zero_shot", "tuned_descp", "eval_tuned_pred"}
    assert {name: ablation[name] for name in shared} == {name: sample[name] for name in shared}


def test_the_ablation_hides_everything_that_can_be_hidden_from_every_adapter():
    study = load_study("ablation").values()
    hidden = {
        (s.parameters.get("adapter", ""), s.parameters.get("blind", "none")) for s in study if s.entry == "predict"
    }
    assert hidden == set(product(("", "@finetune_pred", "@finetune_descp"), choices(EvalSettings, "blind")))
