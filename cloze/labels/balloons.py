"""Lines of lettering joined to balloons and captions, in reading order.

A reader finds lines, from the top of the panel down; balloons that stand side by side come out with their lines mixed.
Here lines that belong together are joined, by where they lie alone, balloons are put in the order they are read in, and
each is told to be narration or dialogue. Thresholds are in line heights, so that they hold for scans of any size;
docs/lettering.md has what they were measured on.
"""

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

_ONE_SIZE = 1.7  # lines of a balloon differ in height by less
_NEXT_ROW = 0.2  # at most so far below the line before; boxes of neighbouring lines mostly overlap
_SAME_ROW = 0.2  # at most so far beside the other half of its line: balloons may be as near as words, halves are nearer
_INTO = 0.4  # boxes of a line's halves overlap by less
_LEVEL = 0.25  # halves of one line lie at one height
_MAY_OVERLAP = 0.25  # balloons may overlap by so much and still be one above, or beside, the other
_AT_EDGE = 1.5  # a caption is at most so far from the panel's top or bottom
_WIDE = 0.5  # and wider than this share of the panel

# Captions say none of these; balloons mostly do. A caption's only `!` ends it.
_SPEECH = re.compile(
    r"\?|!.*\w|\b(i|i'm|i'll|i'd|i've|you|you're|you'll|your|my|me|mine|we|we're|we'll|let's|our|us)\b", re.IGNORECASE
)


class Box(NamedTuple):
    """Edges in pixels of the picture."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def height(self) -> float:
        """From the upper edge to the lower."""
        return self.y2 - self.y1


class Line(NamedTuple):
    """One line of lettering; `confidence` is the reader's, 0 to 1."""

    text: str
    confidence: float
    box: Box


class Balloon(NamedTuple):
    """What one balloon or caption says; `kind` is one of `cloze.data.ocr_tables.KINDS`, `box` None if unknown."""

    kind: str
    text: str
    box: Box | None


def join_lines(lines: Sequence[Line], size: tuple[int, int]) -> list[Balloon]:
    """Balloons and captions of one panel, in reading order.

    Args:
        lines: in any order; blank ones are left out.
        size: width and height of the picture.
    """
    joined = [_in_rows(together) for together in _clusters([line for line in lines if line.text.strip()])]
    balloons = []
    for box, together in _in_order([(_around(together), together) for together in joined]):
        text = spaced(" ".join(" ".join(line.text for line in together).split()))
        height = median(line.box.height for line in together)
        balloons.append(Balloon(kind_of(text, box, height, size), text, box))
    return balloons


def kind_of(text: str, box: Box, line_height: float, size: tuple[int, int]) -> str:
    """`narration` for a wide box at the panel's top or bottom with no word of speech in it, else `dialogue`.

    A narrow caption counts as dialogue, and so does a title; signs and sound effects are not told apart.
    """
    width, height = size
    is_at_edge = min(box.y1, height - box.y2) < _AT_EDGE * line_height
    is_wide = box.x2 - box.x1 > _WIDE * width
    return "narration" if is_at_edge and is_wide and not _SPEECH.search(text) else "dialogue"


def spaced(text: str) -> str:
    """The text with the blanks that a reader loses behind punctuation: `DALTON!A BUSINESS MAN`, but not `O.K.`."""
    text = re.sub(r"([!?,;]\"?)(?=[^\W\d_])", r"\1 ", text)
    return re.sub(r"(?<=[^\W\d_]{2})(\.+)(?=[A-Z])", r"\1 ", text)


def _clusters(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that belong together: the connected parts of the graph of neighbours."""
    part = list(range(len(lines)))
    for one, other in combinations(range(len(lines)), 2):
        if part[one] != part[other] and _are_neighbours(lines[one].box, lines[other].box):
            old, new = part[other], part[one]
            part = [new if number == old else number for number in part]
    return [[line for line, number in zip(lines, part, strict=True) if number == name] for name in dict.fromkeys(part)]


def _are_neighbours(one: Box, other: Box) -> bool:
    """Whether two lines are the halves of one, or one below the other in the same balloon."""
    height = min(one.height, other.height)
    if max(one.height, other.height) > _ONE_SIZE * height:
        return False
    if _are_beside(one, other):
        is_level = abs(one.y1 + one.y2 - other.y1 - other.y2) <= 2 * _LEVEL * height
        return is_level and _gap(one, other) <= _SAME_ROW * height
    narrower = min(one.x2 - one.x1, other.x2 - other.x1)
    gap = max(one.y1, other.y1) - min(one.y2, other.y2)
    return gap <= _NEXT_ROW * height and _shared(one.x1, one.x2, other.x1, other.x2) >= narrower / 2


def _in_rows(lines: Sequence[Line]) -> list[Line]:
    """Lines of one balloon from its top, halves of a line from the left."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.box.y1 + line.box.y2):
        if rows and all(_are_beside(half.box, line.box) for half in rows[-1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box.x1)]


def _are_beside(one: Box, other: Box) -> bool:
    """Whether two lines share a row; boxes of lines one below the other may share some height, but much width, too."""
    height = min(one.height, other.height)
    return _shared(one.y1, one.y2, other.y1, other.y2) > height / 2 and _gap(one, other) >= -_INTO * height


def _gap(one: Box, other: Box) -> float:
    """Pixels between two boxes from left to right; negative where they overlap."""
    return max(one.x1, other.x1) - min(one.x2, other.x2)


def _shared(start: float, end: float, other_start: float, other_end: float) -> float:
    return max(0.0, min(end, other_end) - max(start, other_start))


def _around(lines: Sequence[Line]) -> Box:
    boxes = [line.box for line in lines]
    return Box(
        min(box.x1 for box in boxes), min(box.y1 for box in boxes),
        max(box.x2 for box in boxes), max(box.y2 for box in boxes),
    )  # fmt: skip


_Placed = tuple[Box, list[Line]]


def _in_order(balloons: list[_Placed]) -> list[_Placed]:
    """Balloons as they are read: what lies wholly above comes first, then what lies wholly to the left.

    The panel is cut between balloons from left to right where that can be done, else from top to bottom, and each
    part likewise. Where there is no cut (three balloons like bricks), the higher goes first, and a balloon that
    starts a little higher on the right does not.
    """
    if len(balloons) < 2:
        return balloons
    height = min(line.box.height for _, lines in balloons for line in lines)
    edges: tuple[Callable[[Box], tuple[float, float]], ...] = (
        lambda box: (box.y1, box.y2),
        lambda box: (box.x1, box.x2),
    )
    for edge in edges:
        ordered = sorted(balloons, key=lambda balloon: edge(balloon[0]))
        end = edge(ordered[0][0])[1]
        for place, (box, _) in enumerate(ordered[1:], start=1):
            if edge(box)[0] >= end - _MAY_OVERLAP * height:
                return _in_order(ordered[:place]) + _in_order(ordered[place:])
            end = max(end, edge(box)[1])
    return sorted(balloons, key=lambda balloon: balloon[0].y1 + 0.2 * balloon[0].x1)
