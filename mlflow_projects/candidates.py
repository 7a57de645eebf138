"""The evaluations that a promotion goes by, made where they are missing: of challenger and champion alike."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from cloze.reporting.cells import read_cells
from cloze.reporting.evidence import read_evidence, read_sequences
from cloze.tables import read_table
from mlflow_projects import artifacts, tracking
from mlflow_projects.comparison import describe_runs, table_path
from mlflow_projects.rules import Books, Candidate, Row

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from mlflow_projects.policy import Policy
    from mlflow_projects.steps import Steps

_LABELS = ("pred_labels", "descp_labels")


def candidates(
    challenger: "ModelVersion", champion: "ModelVersion | None", policy: "Policy", cache: Path, steps: "Steps"
) -> tuple[Candidate, Candidate | None, Mapping[str, Row]]:
    """Challenger and champion, judged by the same sequences and labels, and these sequences by id.

    Raises:
        StepFailedError: an evaluation could not be made.
    """
    ours = _evaluated(challenger, policy, steps, None)
    first = _candidate(challenger, ours, cache)
    wanted = first.evidence.predictions.index
    rows, _ = read_sequences(str(first.evidence.cell.tables["sequences"]), wanted)
    if champion is None:
        return first, None, rows
    return first, _candidate(champion, _evaluated(champion, policy, steps, ours), cache), rows


def _evaluated(version: "ModelVersion", policy: "Policy", steps: "Steps", like: "Run | None") -> "Run":
    """The evaluation of a version: an earlier one that did exactly this, or one made now.

    Args:
        like: an evaluation whose sequences and labels are to be used.
    """
    given = like.data.params if like else {}
    sequences = {"sequences": given["cfg.sequences"]} if given else {}
    labels = {name: given[f"cfg.{name}"] for name in _LABELS if given}
    whose = f"{version.name}-{version.version}"
    asked = {**sequences, **policy.predict, "adapter": f"models:/{version.name}/{version.version}"}
    predicted = steps.ensure("predict", asked, f"predict-{whose}")
    asked = {**labels, **policy.eval, "predictions": f"runs:/{predicted.info.run_id}"}
    return steps.ensure("eval", asked, f"eval-{whose}")


def _candidate(version: "ModelVersion", evaluated: "Run", cache: Path) -> Candidate:
    (cell,) = read_cells(describe_runs([evaluated], cache)).cells
    return Candidate(
        f"models:/{version.name}/{version.version}", read_evidence(cell), _books(str(version.run_id), cache)
    )


def _books(run_id: str, cache: Path) -> Books:
    """Of the training that made a version."""
    run = tracking.require_finished(run_id)
    used = pq.read_table(artifacts.artifact_path(run, "examples.parquet", cache), columns=["book"])
    path = table_path(run.data.params["cfg.sequences"], cache)
    sequences = read_table(str(path), "sequences", ["book", "group"])
    groups = dict(zip(sequences["book"].to_pylist(), sequences["group"].to_pylist(), strict=True))
    return Books(frozenset(used["book"].to_pylist()), groups)
