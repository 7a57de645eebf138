"""`cloze closed-task` as a person calls it."""

import json

import pytest
from click.testing import CliRunner

from mlflow_projects.cli import main
from tests.cloze.closed_tasks.folds import text_row, write_fold


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.setenv("CLOZE_CACHE", str(tmp_path / "cache"))
    return lambda *arguments: CliRunner().invoke(main, ["closed-task", *map(str, arguments)])


@pytest.fixture
def fold(tmp_path):
    return write_fold(tmp_path / "fold.csv", [text_row(panel, book) for book in (7, 8) for panel in (3, 4)])


def test_json_has_accuracy_error_and_n(call, fold):
    done = call("text-cloze", fold, "--scorer", "idf", "--format", "json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["accuracy"], found["stderr_clustered"], found["n"]) == (1.0, 0.0, 4)


def test_a_table_has_a_line_for_each_figure(call, fold):
    lines = call("text-cloze", fold).stdout.splitlines()
    assert any(line.split() == ["accuracy", "1.0000"] for line in lines)
    assert any(line.split() == ["controls.chance", "0.3333"] for line in lines)


def test_each_item_can_be_had_as_a_line(call, fold):
    done = call("text-cloze", fold, "--per-row", "--limit", "3")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 3
    assert {"item_id", "book", "scores", "choice", "correct"} < set(rows[0])
    assert [max(range(3), key=row["scores"].__getitem__) for row in rows] == [row["choice"] for row in rows]


def test_the_same_command_says_the_same(call, fold):
    assert call("text-cloze", fold, "--per-row").stdout == call("text-cloze", fold, "--per-row").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["character-coherence", "{fold}"], "a fold of text-cloze, not of character-coherence"),
        (["text-cloze", "absent.csv"], "Error: absent.csv: no such file"),
        (["text-cloze", "{fold}", "--limit", "few"], "Error: limit is 'few'; it must be a whole number"),
        (["text-cloze", "{fold}", "--scorer", "model"], "Error: comics is ''"),
        (["text-cloze", "{fold}", "--scorer", "model", "--comics", "absent"], "absent: no such folder"),
        (["visual-cloze", "{fold}"], "'visual-cloze' is not one of 'text-cloze', 'character-coherence'"),
    ],
)
def test_what_cannot_be_examined_exits_with_2_and_says_why(call, fold, arguments, message):
    done = call(*(word.format(fold=fold) for word in arguments))
    assert done.exit_code == 2
    assert message in done.stderr
