"""The file that describes evaluated runs is read whole, or refused by cell and field."""

import json
from dataclasses import replace

import pytest

from cloze.errors import DataError
from cloze.reporting.cells import read_cells, titles


def test_cells_come_in_the_order_of_the_2x2_and_blind_ones_last(study):
    found = [cell.title for cell in read_cells(study).cells]
    assert found[:4] == ["zero-shot · pred", "zero-shot · descp", "fine-tuned · pred", "fine-tuned · descp"]
    assert found[4:] == ["fine-tuned · pred · without pictures", "fine-tuned · pred · without lettering"]


def test_panels_out_of_order_are_shuffled_not_hidden(study):
    cell = read_cells(study).cells[4]
    assert replace(cell, blind="order").title == "fine-tuned · pred · panels shuffled"


def test_two_runs_in_one_place_are_told_apart_by_their_names(study):
    cell = read_cells(study).cells[0]
    assert titles([cell, cell]) == [f"zero-shot · pred · {cell.run_name}"] * 2
    assert titles([cell]) == ["zero-shot · pred"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("cells"), "not a description of evaluated runs"),
        (lambda d: d["cells"].clear(), "describes no run"),
        (lambda d: d["cells"][1].pop("paradigm"), "cell 1: has no paradigm"),
        (lambda d: d["cells"][2]["tables"].update(scores=None), "cell 2: its scores table is None, which is no file"),
        (lambda d: d["cells"][0]["tables"].update(facts="/nowhere"), "cell 0: its facts table is /nowhere"),
    ],
)
def test_a_description_that_will_not_do_is_refused(study, tmp_path, change, message):
    described = json.loads(study.read_text())
    change(described)
    path = tmp_path / "cells.json"
    path.write_text(json.dumps(described))
    with pytest.raises(DataError, match=message):
        read_cells(path)


def test_a_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "cells.json").write_text("not json")
    with pytest.raises(DataError, match="not a description of evaluated runs"):
        read_cells(tmp_path / "cells.json")
