"""Figures beside the scores: how the adapters were trained, and in what the runs differ."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloze.reporting.cells import Cell, titles
from cloze.reporting.curves import Curve, draw_curves, is_smoothed

PLOTS = {
    "train/loss": "training loss (nats per answer token)",
    "val/loss": "validation loss (nats per answer token)",
}
SMOOTHED = "; faint: as logged, strong: running mean over 5 % of the steps"
TRAINING_FIGURES = {
    "masking_ratio": "share of tokens without loss",
    "supervised_tokens": "tokens with loss",
    "train/loss": "last training loss",
    "val/loss": "last validation loss",
    "train/tokens_per_second": "tokens per second, last",
    "train/lr": "learning rate, last",
}


@dataclass(frozen=True)
class Training:
    """How adapters were trained.

    Attributes:
        plots: caption and SVG of each plot.
        figures: what each figure is, and its value for each trained run; None where it was not logged.
        titles: of the trained runs.
    """

    plots: list[tuple[str, str]]
    titles: list[str]
    figures: list[tuple[str, list[float | None]]]


@dataclass(frozen=True)
class Difference:
    """What runs were given, by field.

    Attributes:
        differing: field and one value per run, where they are not all the same.
        same: field and the value of all runs.
    """

    differing: list[tuple[str, list[str]]]
    same: list[tuple[str, str]]


def trainings(cells: Sequence[Cell]) -> Training:
    """Curves and figures of each training; runs that judge the same adapter are one training."""
    trained = _distinct([cell for cell in cells if any(name in cell.curves for name in PLOTS)])
    names = titles(trained)
    plots = []
    for metric, label in PLOTS.items():
        curves = {
            name: cell.curves[metric] for name, cell in zip(names, trained, strict=True) if cell.curves.get(metric)
        }
        if curves:
            smoothed = any(is_smoothed(curve) for curve in curves.values())
            caption = f"{label.capitalize()}{SMOOTHED if smoothed else ''}."
            plots.append((caption, draw_curves(curves, label, metric.replace("/", "-"))))
    figures = [(label, [cell.metrics.get(name) for cell in trained]) for name, label in TRAINING_FIGURES.items()]
    return Training(plots, names, [row for row in figures if any(value is not None for value in row[1])])


def differences(given: Sequence[Mapping[str, Any]]) -> Difference:
    """Compare what runs were given; a field that one run lacks is different."""
    fields = sorted({field for values in given for field in values})
    rows = [
        (field, [_word(values[field]) if field in values else "not recorded" for values in given]) for field in fields
    ]
    return Difference(
        differing=[(field, values) for field, values in rows if len(set(values)) > 1],
        same=[(field, values[0]) for field, values in rows if len(set(values)) == 1],
    )


def _distinct(cells: Sequence[Cell]) -> list[Cell]:
    """The first of the cells that have the same curves."""
    seen: list[Mapping[str, Curve]] = []
    found = []
    for cell in cells:
        if cell.curves not in seen:
            seen.append(cell.curves)
            found.append(cell)
    return found


def _word(value: Any) -> str:
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
