"""Curves as SVG that is the same bytes for the same values.

Inside a page they follow its colours, in light and dark; a figure that stands alone has its own.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from cloze.reporting.drawing import INK, LINES, element, new_figure, style, svg_of

Curve = Sequence[tuple[float, float]]

_DASHES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
_ALONE = dict(zip((INK, *LINES), ("#222222", "#0072b2", "#c04d00", "#00755a", "#a3437f"), strict=True))

_SMOOTH_FROM = 20  # points; below this a curve is drawn as it is
_LEGEND = 36  # characters of a name that has room above the lines
_WINDOW = 0.05  # of the curve's points, behind each smoothed value


def draw_curves(curves: Mapping[str, Curve], y_label: str, prefix: str) -> str:
    """An SVG element with one line per curve and a legend.

    Long curves are drawn as a running mean over 5 % of their points, with the logged values faint behind it. Lines
    differ by colour and by dash.

    Args:
        curves: (step, value) pairs by the name of their line.
        y_label: what the values are, with their unit.
        prefix: makes the ids inside the SVG unique in the page.
    """
    with style(prefix):
        figure = new_figure((7.2, 3.6))
        axes = figure.add_subplot()
        for number, (name, curve) in enumerate(curves.items()):
            _draw_line(axes, name, curve, number % len(LINES))
        _dress(axes, y_label)
        _legend(axes)
        svg = svg_of(figure, transparent=True)
    return element(svg, prefix, f"{y_label} by step: {', '.join(curves)}")


def draw_training(losses: Mapping[str, Curve], rates: Curve) -> str:
    """A figure of one training as an SVG file: its losses, and below them the learning rate by the same steps.

    Args:
        losses: (step, nats per answer token) pairs by the name of their line.
        rates: (step, learning rate) pairs.
    """
    with style("training"):
        figure = new_figure((7.2, 5.2))
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        for number, (name, curve) in enumerate(losses.items()):
            _draw_line(above, name, curve, number)
        steps, values = np.array(rates, dtype=float).T
        below.plot(steps, values, color=LINES[2], linewidth=1.8, marker=_marker(rates))
        below.set_ylim(bottom=0)
        below.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        _dress(above, "loss (nats per answer token)")
        _dress(below, "learning rate")
        _legend(above)
        above.set_xlabel("")
        svg = svg_of(figure, transparent=False)
    for colour, own in _ALONE.items():
        svg = svg.replace(colour, own)
    return svg


def is_smoothed(curve: Curve) -> bool:
    """Whether a curve is long enough to be drawn as a running mean."""
    return len(curve) >= _SMOOTH_FROM


def running_mean(values: np.ndarray) -> np.ndarray:
    """Mean (n,) of each value and those before it, over 5 % of the curve; short curves stay as they are."""
    if len(values) < _SMOOTH_FROM:
        return values
    width = max(2, round(len(values) * _WINDOW))
    sums = np.cumsum(np.insert(values, 0, 0.0))
    first = np.maximum(np.arange(len(values)) - width + 1, 0)
    return (sums[1:] - sums[first]) / (np.arange(len(values)) - first + 1)


def _draw_line(axes: Axes, name: str, curve: Curve, number: int) -> None:
    steps, values = np.array(curve, dtype=float).T
    colour, smooth = LINES[number], running_mean(values)
    if smooth is not values:
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
    axes.plot(steps, smooth, color=colour, linewidth=1.8, linestyle=_DASHES[number], marker=_marker(curve), label=name)


def _marker(curve: Curve) -> str | None:
    """A line through one point cannot be seen."""
    return "o" if len(curve) == 1 else None


def _dress(axes: Axes, y_label: str) -> None:
    axes.set_xlabel("step", color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.tick_params(colors=INK)
    axes.grid(color=INK, alpha=0.15, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)


def _legend(axes: Axes) -> None:
    """Above the lines, where it is in view at phone width, too; names that are too long for that, inside."""
    legend = axes.legend(ncols=2, frameon=False, labelcolor=INK, handlelength=3, borderpad=0.2)
    if all(len(text.get_text()) <= _LEGEND for text in legend.get_texts()):
        legend.set_loc("lower left")
        legend.set_bbox_to_anchor((0, 1))
    else:
        legend.set_ncols(1)
        legend.set_in_layout(False)
