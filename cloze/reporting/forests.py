"""Forest plots: values with their intervals, one below the other, on one scale with 0 on it."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cloze.reporting.drawing import INK, LINES, element, new_figure, style, svg_of
from cloze.reporting.effects import EffectTable
from cloze.reporting.estimates import Change, Estimate
from cloze.reporting.score_tables import ScoreTable

_ROW = 0.34  # inches
_AROUND = 0.95  # inches above and below the rows
_WRAP = 30  # characters of a row's name on one line


class Interval(NamedTuple):
    """A value and the ends of its interval, which may be unknown."""

    value: float
    low: float | None
    high: float | None


def lift_forest(table: ScoreTable) -> str:
    """The lifts of a table of scores: they alone can be compared from one reference to another."""
    rows = [(name, [_lift(entry.estimate) for entry in entries]) for name, entries in table.rows]
    return draw_forest(table.columns, rows, f"lift: {table.title} less the best floor (points of 1)", "lift")


def effect_forest(table: EffectTable) -> str:
    """The differences of a table of contrasts."""
    rows = [(name, [_difference(change) for change in changes]) for name, changes in table.rows]
    return draw_forest(table.columns, rows, f"difference in {table.title} (points of 1)", "effect")


def draw_forest(
    columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Interval | None]]], x_label: str, prefix: str
) -> str:
    """An SVG element with a panel for each column, all on one scale; the places of None stay empty.

    Args:
        rows: name, and one interval per column.
        x_label: what the values are, with their unit.
        prefix: makes the ids inside the SVG unique in the page.
    """
    with style(prefix):
        figure = new_figure((8.4, _AROUND + _ROW * len(rows) * (1 + any(len(name) > _WRAP for name, _ in rows) * 0.5)))
        panels = figure.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0]
        for number, (axes, column) in enumerate(zip(panels, columns, strict=True)):
            _draw(axes, column, [intervals[number] for _, intervals in rows])
        panels[0].set_yticks(range(len(rows)), [_wrapped(name) for name, _ in rows])
        panels[0].set_ylim(len(rows) - 0.4, -0.6)
        panels[0].xaxis.set_major_locator(MaxNLocator(4))
        figure.supxlabel(x_label, color=INK, fontsize=11)
        svg = svg_of(figure, transparent=True)
    return element(svg, prefix, f"{x_label}: {', '.join(columns)}; the values are in the table")


def _lift(found: Estimate | None) -> Interval | None:
    return None if found is None else Interval(found.lift, found.lift_low, found.lift_high)


def _difference(found: Change | None) -> Interval | None:
    return None if found is None else Interval(found.difference, found.low, found.high)


def _draw(axes: Axes, title: str, intervals: Sequence[Interval | None]) -> None:
    axes.axvline(0, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    for row, interval in enumerate(intervals):
        if interval is None:
            continue
        value, low, high = interval
        if low is not None and high is not None:
            axes.plot([low, high], [row, row], color=LINES[0], linewidth=2.4, solid_capstyle="butt")
        axes.plot([value], [row], color=LINES[0], marker="o", markersize=6.5, linestyle="none")
    axes.set_title(title, color=INK, fontsize=11, loc="left")
    axes.tick_params(colors=INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=INK, alpha=0.15, linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(INK)


def _wrapped(name: str) -> str:
    """The name on lines of about 30 characters."""
    return "\n".join(textwrap.wrap(name, _WRAP, break_on_hyphens=False)) or name
