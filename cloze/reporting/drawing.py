"""Figures as SVG: the same bytes for the same values, and inside a page its own colours, in light and dark."""

import html
import io
import re
from contextlib import AbstractContextManager

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Colours that stand for the page's own (CSS variables); matplotlib only has to tell them apart.
INK = "#010203"
LINES = ("#010210", "#010211", "#010212", "#010213")
_CSS = {INK: "currentColor"} | {colour: f"var(--line{i})" for i, colour in enumerate(LINES)}


def style(salt: str) -> AbstractContextManager[None]:
    """Names of runs are no formulas; text stays text; the ids are the same each time."""
    return rc_context(
        {
            "text.parse_math": False,
            "svg.fonttype": "none",
            "svg.hashsalt": salt,
            "font.family": "sans-serif",
            "font.size": 11,
        }
    )


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty figure of this width and height in inches."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def svg_of(figure: Figure, *, transparent: bool) -> str:
    """The figure as an SVG file."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=transparent, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def element(svg: str, prefix: str, title: str) -> str:
    """The bare element, with the page's colours, ids of its own, and a size that follows the page."""
    svg = svg[svg.index("<svg") :]
    for colour, css in _CSS.items():
        svg = svg.replace(colour, css)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    label = f'role="img" aria-label="{html.escape(title)}"'
    return re.sub(r'(<svg [^>]*?)width="[^"]+" height="[^"]+"', lambda found: found[1] + label, svg, count=1)
