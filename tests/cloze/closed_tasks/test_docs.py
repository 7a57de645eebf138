"""The page about closed tasks names what there is."""

from dataclasses import fields
from pathlib import Path

from cloze.closed_tasks.examination import examine
from cloze.closed_tasks.settings import SCORERS, TASKS, ClosedTaskSettings
from cloze.settings import choices
from tests.cloze.closed_tasks.folds import text_row, write_fold

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "closed-tasks.md").read_text()


def test_tasks_scorers_and_normalisations_are_explained():
    for name in (*TASKS, *SCORERS, *choices(ClosedTaskSettings, "normalise")):
        assert f"`{name}`" in PAGE, name


def test_each_figure_is_explained(tmp_path):
    fold = write_fold(tmp_path / "fold.csv", [text_row(panel, book) for book in (7, 8) for panel in (3, 4)])
    told = set(examine("text-cloze", fold, ClosedTaskSettings(), tmp_path).summary)
    unexplained = {name for name in told if f"`{name}`" not in PAGE} - {"task", "items", "scorer"}
    assert not unexplained


def test_options_that_are_shown_are_there():
    named = {word.strip("`.,;:)") for word in PAGE.replace("(", " ").split() if word.startswith(("--", "`--"))}
    known = {f"--{field.name}" for field in fields(ClosedTaskSettings)} | {"--format", "--per-row"}
    assert named
    assert named <= known
