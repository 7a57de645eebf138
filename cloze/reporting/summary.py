"""The 2x2 as plain text, for a terminal."""

from collections.abc import Sequence

from cloze.reporting.cells import Cell, titles
from cloze.reporting.comparable import MARK, Mark
from cloze.reporting.contrasts import Compared
from cloze.reporting.effects import own_table
from cloze.reporting.estimates import TEXT_METRICS, Change, Estimate, estimate, own_reference

_METRIC = "rougeL"
_HEAD = f"{'score':>6} {'95 % interval':>15} {'floor':>17} {'lift':>7}"


def two_by_two(cells: Sequence[Cell], compared: Sequence[Compared] = (), marks: Sequence[Mark] = ()) -> str:
    """One row a run: ROUGE-L against its own reference, and fact recall, never without their floors; then effects."""
    names = titles(cells)
    width = max(map(len, names))
    blocks = [
        _block(f"{TEXT_METRICS[_METRIC]} against the run's own reference", cells, names, width, _METRIC),
        _block("recall of the facts of panel 6", cells, names, width, "recall"),
    ]
    note = "lift = score - best floor (in brackets). Rows of pred and descp have different references: compare lifts."
    effects = _effects(compared)
    footnotes = [f"{mark.title}: {'; '.join(map(str, mark.found))} (the latter here)" for mark in marks]
    return "\n".join([*(block for block in blocks if block), note, *effects, *footnotes, ""])


def _block(title: str, cells: Sequence[Cell], names: Sequence[str], width: int, metric: str) -> str:
    references = ["facts" if metric == "recall" else own_reference(cell) for cell in cells]
    found = [estimate(cell, reference, metric) for cell, reference in zip(cells, references, strict=True)]
    if not any(found):
        return ""
    rows = [
        f"{name:<{width}}  {_row(value)}" + (f"  {reference}" if metric != "recall" else "")
        for name, value, reference in zip(names, found, references, strict=True)
    ]
    head = f"{'':<{width}}  {_HEAD}" + ("  reference" if metric != "recall" else "")
    return "\n".join([title, head.rstrip(), *(row.rstrip() for row in rows), ""])


def _row(value: Estimate | None) -> str:
    if value is None:
        return f"{'not measured':>{len(_HEAD)}}"
    interval = "unknown" if value.low is None or value.high is None else f"[{value.low:.3f}, {value.high:.3f}]"
    floor = f"{value.floor:.3f} ({value.floor_name})"
    return f"{value.score:>6.3f} {interval:>15} {floor:>17} {value.lift:>+7.3f}"


def _effects(compared: Sequence[Compared]) -> list[str]:
    """The effects of the 2x2 by ROUGE-L, one a line; nothing where there is no 2x2."""
    table = own_table(compared)
    if table is None or TEXT_METRICS[_METRIC] not in table.columns:
        return []
    column = table.columns.index(TEXT_METRICS[_METRIC])
    lines = ["", f"what fine-tuning changes ({TEXT_METRICS[_METRIC]}, paired by sequence; p by book, corrected)"]
    width = max(len(title) for title, _ in table.rows)
    for title, changes in table.rows:
        change = changes[column]
        if change is not None:
            lines.append(f"{title:<{width}}  {_change(change)}".rstrip())
    return lines


def _change(value: Change) -> str:
    interval = "unknown" if value.low is None or value.high is None else f"[{value.low:+.3f}, {value.high:+.3f}]"
    p = "unknown" if value.p_joint is None else f"{value.p_joint:.3f}"
    return f"{value.difference:>+7.3f} {interval:>17}  p {p}" + (f" {MARK}" if value.differs else "")
