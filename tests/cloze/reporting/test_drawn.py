"""What was drawn is judged in the report as the run that drew it logged it."""

import re

from cloze.reporting.cells import read_cells
from cloze.reporting.drawn import drawn_tables
from tests.cloze.reporting.study import DRAWN


def test_measures_have_their_floors_and_what_was_not_measured_is_unknown(study):
    (table,) = drawn_tables(read_cells(study).cells)
    assert (table.title, table.n_drawings) == ("fine-tuned · pred", DRAWN["renders"])
    palette, structure = table.rows
    assert (palette.estimate.score, palette.estimate.floor_name, palette.nearer) == (0.61, "panel5", 0.86)
    assert palette.estimate.lift == 0.61 - 0.55
    assert (structure.estimate.low, structure.nearer, structure.floors["foreign"]) == (None, None, None)
    assert list(table.floors) == ["panel5", "foreign", "foreign_drawing"]  # no LoRA, so no base without it


def test_the_page_shows_them(report):
    section = report.html.split('<section id="drawn">')[1].split("</section>")[0]
    row = re.findall(r'<th scope="row">colours \(palette\)</th>(.*?)</tr>', section, re.DOTALL)[0]
    text = " ".join(re.sub(r"<[^>]+>", " ", row).split())
    assert text == "0.610 [0.520, 0.700] 0.550 0.310 0.350 +0.060 [−0.020, +0.140] ≈ 0.860 [0.700, 0.950]"
    assert "fine-tuned · pred: 14 drawn" in section
