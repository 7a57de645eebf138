"""Evaluated runs are described with all that a report shows of them."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from mlflow_projects.comparison import describe_runs
from tests.mlflow_projects.conftest import run_here


def test_a_run_is_described_with_the_panels_that_were_drawn_from_its_predictions(finetuned, evaluated, store, tmp_path):
    (cell,) = json.loads(describe_runs([store.get_run(evaluated)], tmp_path).read_text())["cells"]
    assert (cell["tables"]["renders"], cell["drawn"]) == (None, {})
    few = ["--examples", "3", "--steps", "2", "--resamples", "100"]
    drew = run_here("render", ["--predictions", f"runs:/{finetuned.predicted}", *few], finetuned.environment)
    (cell,) = json.loads(describe_runs([store.get_run(evaluated)], tmp_path).read_text())["cells"]
    renders = Path(cell["tables"]["renders"])
    assert cell["drawn"] == store.get_run(drew).data.metrics
    names = pq.read_table(renders)["image"].to_pylist()
    assert len(names) == cell["drawn"]["renders"] > 0
    assert all((renders.parent / name).is_file() for name in names)
