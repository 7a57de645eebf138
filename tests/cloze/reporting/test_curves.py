"""Curves as SVG: the page's colours, the same bytes each time, no formulas, no scripts."""

from xml.etree import ElementTree as ET

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cloze.reporting.curves import draw_curves, draw_training, running_mean
from tests.cloze.reporting.study import SCRIPT

CURVE = [(float(step), 3.0 / (step + 1)) for step in range(40)]


def test_the_same_curves_are_the_same_bytes():
    assert draw_curves({"a": CURVE}, "loss", "p") == draw_curves({"a": CURVE}, "loss", "p")


def test_it_has_only_the_colours_of_the_page_and_ids_of_its_own():
    svg = draw_curves({"a": CURVE, "b": CURVE[:1]}, "loss", "p")
    ids = [element.get("id", "") for element in ET.fromstring(svg).iter() if element.get("id")]  # noqa: S314
    assert "#0" not in svg.replace("#p-", "")
    assert "var(--line0)" in svg
    assert "var(--line1)" in svg
    assert ids
    assert all(name.startswith("p-") for name in ids)


def test_names_of_runs_are_text():
    svg = draw_curves({f"$x_1$ {SCRIPT}": CURVE}, "loss", "p")
    texts = [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    assert f"$x_1$ {SCRIPT}" in texts
    assert "<script" not in svg


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=200))
def test_a_running_mean_stays_within_the_values_and_keeps_their_number(values):
    smooth = running_mean(np.array(values))
    assert len(smooth) == len(values)
    assert smooth.min() >= min(values) - 1e-6
    assert smooth.max() <= max(values) + 1e-6


def test_a_running_mean_looks_back_only():
    values = np.zeros(100)
    values[50] = 5.0
    assert running_mean(values)[[49, 50, 54, 55]].tolist() == [0, 1, 1, 0]


def test_the_figure_of_a_training_names_its_lines_and_axes_and_stands_alone():
    svg = draw_training({"training": CURVE, "validation": CURVE[9::10]}, [(step, step * 1e-5) for step, _ in CURVE])
    texts = [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    assert texts.count("step") == 1  # one axis of steps for both panels
    assert {"training", "validation", "loss (nats per answer token)", "learning rate", "0.0002"} <= set(texts)
    assert "var(" not in svg
    assert "#0102" not in svg


def test_the_figure_of_a_training_of_one_step_shows_its_points():
    svg = draw_training({"training": CURVE[:1]}, [(1.0, 1e-4)])
    assert all(f"fill: {colour}" in svg for colour in ("#0072b2", "#00755a"))
