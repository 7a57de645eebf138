"""A score is only shown as an estimate: with its interval, its best floor and its lift; a change with its test."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cloze.reporting.cells import PARADIGMS, Cell
from cloze.scoring.floors import FLOORS

# Those that `eval` can be asked for; what no run has is not shown.
TEXT_METRICS = {
    "rougeL": "ROUGE-L",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "bleu": "BLEU",
    "sacrebleu": "corpus BLEU (sacreBLEU)",
    "sacrebleu_sentence": "sentence BLEU (sacreBLEU)",
    "bertscore_f1": "BERTScore F1",
}
FACT_METRICS = {
    "recall": "all facts",
    "recall_picture": "facts in the picture only",
    "recall_lettering": "facts in the lettering only",
    "recall_both": "facts in both",
}
CONTENT_METRICS = {
    "rougeL_dialogue": "ROUGE-L of what is said",
    "rougeL_scene": "ROUGE-L of the rest",
    "names_f1": "names (F1)",
    "names": "names (recall)",
}
REFERENCES = {"pred": "pred label", "descp": "descp label", "lettering": "lettering", "facts": "facts"}


@dataclass(frozen=True)
class Estimate:
    """A mean score with what it takes to read it; None where something is unknown.

    Attributes:
        labels: what another label scores on the same examples, which is no floor.
    """

    score: float
    low: float | None
    high: float | None
    floor: float
    floor_name: str
    lift: float
    lift_low: float | None
    lift_high: float | None
    labels: float | None = None

    @property
    def top(self) -> float:
        """The largest value that is part of it."""
        return max(self.score, self.floor, self.high or 0.0)


@dataclass(frozen=True)
class Change:
    """Mean difference of runs on the sequences that all of them predicted, with interval and test.

    Attributes:
        p_holm: p corrected for all tests of its family, after Holm.
        p_joint: the same by max-T, which is what is judged by.
        differs: fields in which the runs disagree though they should not; only where the user insists.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    p_joint: float | None
    n_sequences: int
    n_books: int
    differs: tuple[str, ...] = ()


def estimate(cell: Cell, reference: str, metric: str) -> Estimate | None:
    """The cell's mean score against a reference; None where it was not measured, or not with a floor."""
    return estimate_in(cell.metrics, reference, metric)


def estimate_in(
    metrics: Mapping[str, float], reference: str, metric: str, floors: Collection[str] = FLOORS.keys()
) -> Estimate | None:
    """The same, of a run's metrics; the best of these floors counts."""
    name = f"{reference}/{metric}"
    known = _floors(metrics, name, floors)
    if f"eval/{name}" not in metrics or not known:
        return None
    best = max(known, key=known.__getitem__)
    return Estimate(
        score=metrics[f"eval/{name}"],
        low=metrics.get(f"ci_low/{name}"),
        high=metrics.get(f"ci_high/{name}"),
        floor=known[best],
        floor_name=best,
        lift=metrics[f"eval/{name}"] - known[best],
        lift_low=metrics.get(f"ci_low/lift/{name}"),
        lift_high=metrics.get(f"ci_high/lift/{name}"),
        labels=metrics.get(f"floor/labels/{name}"),
    )


def own_reference(cell: Cell) -> str:
    """The reference that the cell is judged by first: its own labels, or the lettering where there are none."""
    is_labelled = cell.paradigm in PARADIGMS and any(name.startswith(f"eval/{cell.paradigm}/") for name in cell.metrics)
    return cell.paradigm if is_labelled else "lettering"


def _floors(metrics: Mapping[str, float], name: str, floors: Collection[str]) -> dict[str, float]:
    found = {}
    for key, value in metrics.items():
        kind, _, rest = key.partition("/")
        floor, _, of = rest.partition("/")
        if kind == "floor" and of == name and floor in floors:
            found[floor] = value
    return found
