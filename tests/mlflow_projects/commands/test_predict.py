"""`cloze predict` as a person calls it: pictures on a disk, the answer on the terminal."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cloze.tables import read_table
from mlflow_projects.cli import main
from tests.conftest import PROJECT


@pytest.fixture
def context(finetuned, store) -> tuple[list[str], list[str], dict[str, Any]]:
    """Pictures and lettering of a sequence, and what `predict` wrote about it."""
    run = store.get_run(finetuned.predicted)
    table = Path(run.info.artifact_uri.removeprefix("file://")) / "predictions.parquet"
    predicted = read_table(table, "predictions").to_pylist()[0]
    row = next(row for row in finetuned.tables.rows if row["sequence_id"] == predicted["sequence_id"])
    pictures = [str(finetuned.tables.pictures / panel["image"]) for panel in row["context"]]
    return pictures, [word for panel in row["context"] for word in ("--text", panel["text"])], predicted


@pytest.fixture
def refused(store):
    """Call it, and see it refuse: what it says."""

    def called(*words: str) -> str:
        done = CliRunner().invoke(main, ["predict", *words])
        assert done.exit_code == 2, done.output
        return done.output

    return called


def test_it_writes_what_predict_writes(finetuned, context):
    pictures, texts, predicted = context
    command = [sys.executable, "-m", "mlflow_projects.cli", "predict", *pictures, *texts, "--format", "json"]
    done = subprocess.run(
        [*command, "--adapter", "models:/cloze-pred/1"],
        cwd=PROJECT,
        env=finetuned.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout)
    assert answer["prediction"] == predicted["prediction"]
    assert answer["finish_reason"] == predicted["finish_reason"]
    assert answer["texts"] == texts[1::2]
    assert answer["settings"]["decoding"]["strategy"] == "greedy"


def test_too_few_panels_are_refused_with_their_number(refused, context):
    assert "2 images; 5 were expected" in refused(*context[0][:2], "--adapter", "models:/cloze-pred/1")


def test_a_file_that_is_no_picture_is_named(refused, context, tmp_path):
    note = tmp_path / "note.jpg"
    note.write_text("no picture")
    assert f"{note}: the picture is not a picture" in refused(str(note), *context[0][1:])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no_such.jpg"], "no_such.jpg: no such picture"),
        (["--text", "HELP!"], "text is 1; it must be given 5 times, once for each panel"),
        (["--read", *["--text", "HELP!"] * 5], "text is 'HELP!'; it must be left out with --read"),
        (["--adapter", "runs:/0123"], "it must be a registered one: models:/NAME/VERSION or models:/NAME@ALIAS"),
        (["--adapter", "models:/cloze-pred/77"], "models:/cloze-pred/77: "),
    ],
)
def test_what_cannot_be_answered_is_an_error_that_says_why(refused, context, words, said):
    pictures = context[0][1:] if words[0].endswith(".jpg") else context[0]
    assert said in refused(*words, *pictures)
