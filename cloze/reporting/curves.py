"""Curves as SVG that follows the page's colours, in light and dark, and is the same bytes for the same values."""

import html
import io
import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

Curve = Sequence[tuple[float, float]]

# Colours that stand for the page's own (CSS variables); matplotlib only has to tell them apart.
_INK = "#010203"
_LINES = ("#010210", "#010211", "#010212", "#010213")
_DASHES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
_CSS = {_INK: "currentColor"} | {colour: f"var(--line{i})" for i, colour in enumerate(_LINES)}

_SMOOTH_FROM = 20  # points; below this a curve is drawn as it is
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
    # Names of runs are no formulas; text stays text; the ids are the same each time.
    with rc_context(
        {
            "text.parse_math": False,
            "svg.fonttype": "none",
            "svg.hashsalt": prefix,
            "font.family": "sans-serif",
            "font.size": 11,
        }
    ):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for number, (name, curve) in enumerate(curves.items()):
            _draw_line(axes, name, np.array(curve, dtype=float), number % len(_LINES))
        _dress(axes, y_label)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_the_page(buffer.getvalue(), prefix, f"{y_label} by step: {', '.join(curves)}")


def running_mean(values: np.ndarray) -> np.ndarray:
    """Mean (n,) of each value and those before it, over 5 % of the curve; short curves stay as they are."""
    if len(values) < _SMOOTH_FROM:
        return values
    width = max(2, round(len(values) * _WINDOW))
    sums = np.cumsum(np.insert(values, 0, 0.0))
    first = np.maximum(np.arange(len(values)) - width + 1, 0)
    return (sums[1:] - sums[first]) / (np.arange(len(values)) - first + 1)


def _draw_line(axes: Axes, name: str, curve: np.ndarray, number: int) -> None:
    steps, values = curve[:, 0], curve[:, 1]
    colour, smooth = _LINES[number], running_mean(values)
    if smooth is not values:
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
    marker = "o" if len(steps) == 1 else None
    axes.plot(steps, smooth, color=colour, linewidth=1.8, linestyle=_DASHES[number], marker=marker, label=name)


def _dress(axes: Axes, y_label: str) -> None:
    axes.set_xlabel("step", color=_INK)
    axes.set_ylabel(y_label, color=_INK)
    axes.tick_params(colors=_INK)
    axes.grid(color=_INK, alpha=0.15, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.legend(frameon=False, labelcolor=_INK, handlelength=3)


def _for_the_page(svg: str, prefix: str, title: str) -> str:
    """The bare element, with the page's colours, ids of its own, and a size that follows the page."""
    svg = svg[svg.index("<svg") :]
    for colour, css in _CSS.items():
        svg = svg.replace(colour, css)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(
        r'<svg ([^>]*?)width="[^"]+" height="[^"]+"',
        rf'<svg \1role="img" aria-label="{html.escape(title)}"',
        svg,
        count=1,
    )
