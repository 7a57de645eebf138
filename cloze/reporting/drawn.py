"""Drawn panels, judged: how near they come to the true panel, beside what comes as near without the prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloze.reporting.cells import Cell, titles
from cloze.reporting.estimates import Estimate, estimate_in

REFERENCE = "panel6"
MEASURES = {
    "palette": "colours",
    "edges": "directions of edges",
    "structure": "light and dark",
    "encoder": "image encoder",
}
FLOORS = {
    "panel5": "panel 5 itself",
    "foreign": "another book's panel 6",
    "foreign_drawing": "drawn for another book",
    "base": "base without LoRA",
}
_RIVAL = "foreign_drawing"  # as well drawn, and of something else


@dataclass(frozen=True)
class Likeness:
    """How like the true panels the drawings are by one measure.

    Attributes:
        floors: by name of the floor its value; None where that was not measured.
        nearer: share of drawings that are nearer than what was drawn for another book, with its interval.
    """

    title: str
    estimate: Estimate
    floors: dict[str, float | None]
    nearer: float | None
    nearer_low: float | None
    nearer_high: float | None


@dataclass(frozen=True)
class DrawnTable:
    """What was drawn from the predictions of one or more runs.

    Attributes:
        floors: titles by name, of those that any measure has.
    """

    title: str
    n_drawings: int
    floors: dict[str, str]
    rows: list[Likeness]


def drawn_tables(cells: Sequence[Cell]) -> list[DrawnTable]:
    """A table for each set of drawings that was judged; runs that share predictions share it."""
    by_table: dict[str, list[tuple[str, Cell]]] = {}
    for title, cell in zip(titles(cells), cells, strict=True):
        if place := cell.tables.get("renders"):
            by_table.setdefault(place, []).append((title, cell))
    found = []
    for shared in by_table.values():
        metrics = shared[0][1].drawn
        if rows := _rows(metrics):
            known = {name for row in rows for name, value in row.floors.items() if value is not None}
            floors = {name: title for name, title in FLOORS.items() if name in known}
            title = " and ".join(title for title, _ in shared)
            found.append(DrawnTable(title, int(metrics["renders"]), floors, rows))
    return found


def _rows(metrics: Mapping[str, float]) -> list[Likeness]:
    rows = []
    for measure, title in MEASURES.items():
        name, nearer = f"{REFERENCE}/{measure}", f"closer/{_RIVAL}/{REFERENCE}/{measure}"
        if found := estimate_in(metrics, REFERENCE, measure, FLOORS):
            floors = {floor: metrics.get(f"floor/{floor}/{name}") for floor in FLOORS}
            shares = [metrics.get(f"{end}{nearer}") for end in ("", "ci_low/", "ci_high/")]
            rows.append(Likeness(f"{title} ({measure})", found, floors, *shares))
    return rows
