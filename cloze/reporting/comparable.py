"""Whether the runs of a report may stand beside each other, and the mark of those that may not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from cloze.reporting.contrasts import disagreement, refuse_pair
from cloze.reporting.evidence import Evidence
from cloze.scoring.fingerprints import BESIDE, Disagreement

MARK = "†"


class Mark(NamedTuple):
    """A run that disagrees with one before it in the report."""

    title: str
    other: str
    found: list[Disagreement]


def check_comparable(evidence: Sequence[Evidence], *, is_marked: bool) -> tuple[list[Evidence], list[Mark]]:
    """Refuse runs that disagree in what must agree beside each other, or mark them.

    Args:
        evidence: the runs, in the order of the report.
        is_marked: disagreeing runs are kept; their names bear a mark.

    Returns:
        The runs, some of them with a mark, and why.

    Raises:
        DataError: two runs disagree, and `is_marked` is false.
    """
    checked: list[Evidence] = []
    marks = []
    for item in evidence:
        for other in checked:
            found = disagreement(other, item, BESIDE)
            if not is_marked:
                refuse_pair(other, item, found)
            if found and not other.cell.mark:
                item = replace(item, cell=replace(item.cell, mark=MARK))
                marks.append(Mark(item.cell.title, other.cell.title, found))
                break
        checked.append(item)
    return checked, marks
