"""The contact sheet."""

import numpy as np
import pytest
from PIL import Image

from cloze.rendering.sheet import Shown, contact_sheet


def test_each_row_shows_text_panel_5_drawing_and_panel_6_in_this_order():
    rows = [
        Shown(
            "1/2_3", "A man runs. " * 200, *(Image.new("RGB", (30, 40), colour) for colour in ("red", "lime", "blue"))
        ),
        Shown("1/2_4", "", None, Image.new("RGB", (20, 2000), "lime"), None),
        Shown("1/2_5", "x" * 3000 + " Привет", None, None, Image.new("L", (4, 4), 0)),
    ]
    sheet = contact_sheet(rows)
    pixels = np.asarray(sheet)
    places = {colour: np.argwhere((pixels == colour).all(axis=2)) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))}
    lefts = [found[found[:, 0] < 280][:, 1].min() for found in places.values()]
    assert lefts == sorted(lefts)
    assert sheet.height == contact_sheet([*rows, rows[0]]).height
    assert contact_sheet(rows).tobytes() == sheet.tobytes()


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        contact_sheet([])
