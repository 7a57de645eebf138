"""The pages about tables and scores name what there is."""

import re
from pathlib import Path

import pytest

from cloze.scoring import bleu, contents, facts, measures, metrics
from cloze.scoring.floors import FLOORS
from cloze.scoring.measured import SUSPECTS
from cloze.scoring.results import N_SHOWN
from cloze.tables import SCHEMAS

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_table_is_explained_column_by_column(name):
    page = (DOCS / "tables.md").read_text()
    section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    explained = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)))
    assert set(explained) == set(SCHEMAS[name].names)


def test_each_metric_and_floor_is_explained():
    page = (DOCS / "scores.md").read_text()
    for name in (*metrics.METRICS, *facts.METRICS, *contents.METRICS, *measures.MEASURES, *SUSPECTS, *FLOORS):
        assert re.search(rf"^\|[^|]*`{name}`", page, re.MULTILINE), name
    assert f"NLTK {bleu.NLTK}" in page
    assert f"up to {N_SHOWN} examples" in (DOCS / "tables.md").read_text()
