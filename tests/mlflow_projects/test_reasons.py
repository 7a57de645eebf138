"""`cloze explain` names what changed since the most similar earlier run, and whom a step was reused from."""

import json
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mlflow_projects.cli import main
from mlflow_projects.reasons import differences, explain
from mlflow_projects.stepkey import step_key

PARTS = {
    "step": "cut",
    "settings": {"context": "5", "seed": "42"},
    "inputs": {"panels": "a" * 64},
    "contents": {},
    "code": {"cloze/data/stories.py": "c" * 64, "cloze/data/windows.py": "d" * 64},
}


def ran(store, step: str, parts: dict[str, Any] | None, status: str = "FINISHED", **tags: str) -> str:
    experiment = store.get_experiment_by_name("comics-cloze").experiment_id
    run_id: str = store.create_run(experiment, run_name=step, tags={"cloze.step": step, **tags}).info.run_id
    if parts is not None:
        store.log_dict(run_id, parts, "step.json")
        store.set_tag(run_id, "cloze.step_key", step_key(parts))
    store.set_terminated(run_id, status)
    return run_id


def test_what_changed_is_named_with_both_values():
    after = {
        **PARTS,
        "settings": {"context": "3", "seed": "42"},
        "inputs": {"panels": "b" * 64},
        "contents": {"ocr": "e" * 64},
        "code": {"cloze/data/stories.py": "f" * 64},
    }
    assert differences(PARTS, after) == [
        "setting context: '5' -> '3'",
        "input panels changed: aaaaaaaaaaaa -> bbbbbbbbbbbb",
        "the contents of ocr: new",
        "code cloze/data/stories.py changed: cccccccccccc -> ffffffffffff",
        "code cloze/data/windows.py: gone",
    ]


parts = st.fixed_dictionaries(
    {
        part: st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3)
        for part in ("settings", "inputs", "code")
    }
)


@given(parts, parts)
def test_there_are_differences_where_and_only_where_keys_differ(before, after):
    assert (differences(before, after) == []) == (step_key(before) == step_key(after))


def test_a_run_is_explained_beside_the_most_similar_finished_one(store, tmp_path):
    near = ran(store, "cut", PARTS)
    ran(store, "cut", {**PARTS, "settings": {"context": "9", "seed": "1"}})
    ran(store, "cut", {**PARTS, "settings": {"context": "3", "seed": "42"}}, "FAILED")
    run_id = ran(store, "cut", {**PARTS, "settings": {"context": "3", "seed": "42"}})
    (reason,) = explain(run_id, tmp_path)
    assert (reason.compared_with, reason.because) == (near, ("setting context: '5' -> '3'",))
    (same,) = explain(ran(store, "cut", PARTS), tmp_path)
    assert "an earlier run did exactly this" in same.because[0]


def test_the_first_run_of_a_step_and_one_that_never_knew_its_inputs_say_so(store, tmp_path):
    (first,) = explain(ran(store, "first", PARTS), tmp_path)
    assert first.because[0].startswith("no earlier run of first had finished in sqlite")
    (early,) = explain(ran(store, "first", None, "FAILED"), tmp_path)
    assert "ended before its inputs were known" in early.because[0]


def test_a_study_says_of_each_step_whether_it_ran_or_was_reused(store, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOZE_CACHE", str(tmp_path))
    made = ran(store, "made", PARTS)
    study = ran(store, "study", PARTS, **{"cloze.reused.old": f"runs:/{made}"})
    child = ran(store, "fresh", PARTS, **{"mlflow.parentRunId": study})
    found = explain(study, tmp_path)
    assert [(reason.name, reason.decision, reason.run_id) for reason in found] == [
        ("study", "ran", study),
        ("old", "reused", made),
        ("fresh", "ran", child),
    ]
    text = CliRunner().invoke(main, ["explain", f"runs:/{study}"]).stdout
    assert f"old (made) reused  runs:/{made}" in text
    listed = json.loads(CliRunner().invoke(main, ["explain", study, "--format", "json"]).stdout)
    assert [reason["decision"] for reason in listed] == ["ran", "reused", "ran"]


@pytest.mark.parametrize("is_there", [False, True])
def test_what_is_no_step_of_ours_is_refused(store, is_there):
    experiment = store.get_experiment_by_name("comics-cloze").experiment_id
    run_id = store.create_run(experiment).info.run_id if is_there else "f" * 32
    done = CliRunner().invoke(main, ["explain", run_id])
    assert done.exit_code == 2
    assert ("is not a step of ours" if is_there else "no run") in done.stderr
