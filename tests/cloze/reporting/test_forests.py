"""Forest plots: the page's colours, the same bytes each time, what is unknown left empty."""

from xml.etree import ElementTree as ET

from cloze.reporting.forests import Interval, draw_forest
from tests.cloze.reporting.study import SCRIPT

ROWS = [("a", [Interval(0.1, 0.05, 0.2), None]), ("b", [Interval(-0.1, None, None), Interval(0.3, 0.2, 0.4)])]
SVG = "{http://www.w3.org/2000/svg}"


def draw(rows=ROWS, columns=("left", "right")) -> str:
    return draw_forest(columns, rows, "lift (points of 1)", "p")


def test_the_same_values_are_the_same_bytes_in_the_colours_of_the_page():
    assert draw() == draw()
    assert "var(--line0)" in draw()
    assert "#0102" not in draw()


def test_each_value_is_a_dot_and_each_known_interval_a_line():
    lines = [path for path in ET.fromstring(draw()).iter(f"{SVG}path") if "stroke-width: 2.4" in path.get("style", "")]  # noqa: S314
    assert len(lines) == 2
    assert len(ET.fromstring(draw()).findall(f".//{SVG}use[@style]")) >= 3  # noqa: S314


def test_names_are_text_and_never_a_pattern():
    svg = draw([(SCRIPT, [None, None]), (r"\1 \g<0> $x_1$", [None, None])], (r"\1", "<b>"))
    assert "<script" not in svg
    texts = [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314
    assert r"\1 \g<0> $x_1$" in texts
    assert {r"\1", "<b>"} <= set(texts)
