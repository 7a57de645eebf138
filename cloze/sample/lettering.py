"""Balloons, captions, titles: where they go, and how they are drawn.

Lettering is measured and written at final size; its shapes are drawn on the oversampled picture before it is halved.
"""

import functools
from typing import NamedTuple

from PIL import ImageDraw, ImageFont

from cloze.sample.grammar import Bubble
from cloze.sample.pen import INK, OVERSAMPLING, Colour, Point

Box = tuple[int, int, int, int]

_MARGIN = 5  # pixels between the frame and a box
_PADDING = 4
_PAPER: dict[str, Colour] = {
    "title": (250, 220, 60),
    "narration": (255, 246, 176),
    "balloon": (255, 255, 255),
    "end": (230, 60, 50),
}
_SIZES = {"title": 19, "narration": 11, "balloon": 12, "end": 16}


class Lettered(NamedTuple):
    """A bubble in its place: lines of text and its box (x1, y1, x2, y2) in final pixels."""

    bubble: Bubble
    lines: tuple[str, ...]
    box: Box


def place(bubbles: tuple[Bubble, ...], size: tuple[int, int], *, speaker_left: bool) -> list[Lettered]:
    """Stack titles and captions from the top, put balloons on the side away from the speaker, endings at the foot."""
    width, height = size
    placed: list[Lettered] = []
    top = _MARGIN
    for bubble in bubbles:
        room = round(width * 0.58) if bubble.kind == "balloon" else width - 2 * (_MARGIN + _side(bubble.kind))
        lines = _wrap(bubble.text, _SIZES[bubble.kind], room)
        box_width, box_height = _extent(lines, bubble.kind)
        left, y = _MARGIN, top
        if bubble.kind == "balloon":
            left, y = (width - box_width - _MARGIN if speaker_left else _MARGIN), top + 1
        elif bubble.kind == "end":
            left, y = width - box_width - _MARGIN, height - box_height - _MARGIN
        elif bubble.kind == "title":
            left = (width - box_width) // 2
        placed.append(Lettered(bubble, lines, (left, y, left + box_width, y + box_height)))
        if bubble.kind != "end":
            top = y + box_height + 3
    return placed


def draw_shapes(draw: ImageDraw.ImageDraw, placed: list[Lettered], mouth: Point) -> None:
    """Draw boxes and balloons, the tail of a balloon towards `mouth` (all oversampled)."""
    for lettered in placed:
        box = tuple(OVERSAMPLING * edge for edge in lettered.box)
        paper = _PAPER[lettered.bubble.kind]
        if lettered.bubble.kind == "balloon":
            _draw_balloon(draw, box, paper, mouth)
        else:
            draw.rectangle(box, fill=paper, outline=INK, width=3)


def write(draw: ImageDraw.ImageDraw, placed: list[Lettered]) -> None:
    """Write the text (at final size)."""
    for lettered in placed:
        kind = lettered.bubble.kind
        font, step = _font(_SIZES[kind]), _line_height(kind)
        x1, y1, x2, _ = lettered.box
        for number, line in enumerate(lettered.lines):
            x = (x1 + x2 - font.getlength(line)) / 2
            colour = (255, 255, 255) if kind == "end" else INK
            draw.text((round(x), y1 + _PADDING - 2 + step * number), line, fill=colour, font=font)


def _draw_balloon(draw: ImageDraw.ImageDraw, box: tuple[int, ...], paper: Colour, mouth: Point) -> None:
    x1, y1, x2, y2 = box
    root = min(max(mouth[0], x1 + 40), x2 - 40)
    towards = (root + 0.7 * (mouth[0] - root), y2 + 0.7 * (mouth[1] - y2))
    tail = [(root - 12, y2 - 4), (root + 12, y2 - 4), towards]
    radius = min(36, (y2 - y1) // 2)
    draw.line([*tail, tail[0]], fill=INK, width=7, joint="curve")
    draw.rounded_rectangle((x1, y1, x2, y2), radius, fill=paper, outline=INK, width=3)
    draw.polygon(tail, fill=paper)


@functools.lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _line_height(kind: str) -> int:
    return _SIZES[kind] + 2


def _side(kind: str) -> int:
    """Pixels between the text and the left and right edge of its box."""
    return 3 * _PADDING if kind == "balloon" else 2 * _PADDING


def _extent(lines: tuple[str, ...], kind: str) -> tuple[int, int]:
    """Width and height of a box around the lines."""
    font = _font(_SIZES[kind])
    width = max(font.getlength(line) for line in lines)
    return round(width) + 2 * _side(kind), _line_height(kind) * len(lines) + 2 * _PADDING


@functools.lru_cache(maxsize=4096)
def _wrap(text: str, size: int, width: int) -> tuple[str, ...]:
    """Break a text into lines no wider than `width` pixels."""
    font = _font(size)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)
