"""Balloons and captions over a drawn panel, since diffusion cannot write.

Lines are set in their order, in calm places, none over another. Docs: docs/rendering.md.
"""

import bisect
import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from cloze.rendering.prompt import Line

TYPEFACE = Path(__file__).parent / "typeface" / "ComicNeue-Bold.otf"  # SIL Open Font License, beside it
LONGEST_SIDE = 512  # pixels that a picture has at least when it is lettered
SMALLEST, LARGEST = 10, 30  # pixels of the letters

log = logging.getLogger(__name__)

Point = tuple[float, float]

_OVERSAMPLING = 3
_INK, _PAPER, _CAPTION_PAPER = (20, 20, 24), (255, 255, 255), (255, 244, 190)
_ROUND = 2**0.25  # a superellipse of degree 4 is by so much larger than the rectangle in it
_STEPS = 14  # places that are tried along each side
_MOST = 0.5  # share of the picture that lettering may take
_NARROW = 0.45  # a letter takes at least this share of the square of its size, so many texts need no trial
_LONG_WORD = 12  # letters of a word that may be broken when it is wider than the panel


class Box(NamedTuple):
    """Edges in pixels of the lettered picture."""

    x1: int
    y1: int
    x2: int
    y2: int


@dataclasses.dataclass(frozen=True)
class Placed:
    """A line in its place.

    Attributes:
        rows: its words as they are broken.
        box: what its shape takes, without the tail.
        tip: where the tail ends; None where it has none.
        typeface: file that its letters are of.
    """

    line: Line
    rows: tuple[str, ...]
    box: Box
    tip: Point | None
    typeface: Path


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the lettering of a panel goes.

    Attributes:
        letters: their size in pixels.
        left_out: words for which there is no room.
    """

    letters: int
    placed: tuple[Placed, ...]
    left_out: tuple[str, ...]


def letter(picture: Image.Image, lines: Sequence[Line], speakers: Mapping[str, Point] | None = None) -> Image.Image:
    """The picture with its dialogue over it, scaled up where letters would be too small to read.

    The same picture and lines give the same bytes. Words that are left out, and lines with letters that the comic
    typeface lacks, are warned of.

    Args:
        picture: of any size.
        lines: what is said, in the order in which it is read.
        speakers: by name where a speaker's mouth is, as shares of width and height. The tail of any other balloon is
            short and points to where most is drawn: a guess.
    """
    large = enlarged(picture)
    layout = lay_out(large, lines, speakers or {})
    for words in layout.left_out:
        log.warning("no room for %d letters of a line in a panel of %d x %d pixels", len(words), *large.size)
    for placed in layout.placed:
        if placed.typeface != TYPEFACE:
            log.warning("a line has letters that Comic Neue lacks; it is set in %s", placed.typeface.stem)
        _draw(large, placed, layout.letters)
    return large


def enlarged(picture: Image.Image) -> Image.Image:
    """A copy in RGB whose longest side has at least `LONGEST_SIDE` pixels."""
    scale = max(LONGEST_SIDE / max(picture.size), 1)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def lay_out(picture: Image.Image, lines: Sequence[Line], speakers: Mapping[str, Point]) -> Layout:
    """Where each line goes: the largest letters at which all fit; at the smallest, as many lines as fit."""
    busy = _busyness(picture)
    wanted = [line for line in lines if line.text.strip()]
    largest = min(max(round(min(picture.size) / 19), SMALLEST), LARGEST)
    for letters in range(largest, SMALLEST - 1, -1):
        if (placed := _place_all(busy, wanted, letters)) is not None:
            return Layout(letters, _with_tails(placed, busy, speakers, letters), ())
    placed, left_out = _first_of(busy, wanted)
    return Layout(SMALLEST, _with_tails(placed, busy, speakers, SMALLEST), tuple(left_out))


def _first_of(busy: np.ndarray, lines: Sequence[Line]) -> tuple[list[Placed], list[str]]:
    """As many lines as fit at the smallest size, as much of the next as fits, and the words that are left."""
    counts = range(1, len(lines) + 1)
    n_whole = bisect.bisect_left(counts, True, key=lambda n: _place_all(busy, lines[:n], SMALLEST) is None)
    whole, left = list(lines[:n_whole]), [line.text for line in lines[n_whole:]]
    words = left[0].split() if left else []
    for n in sorted({len(words) * part // 8 for part in range(1, 8)} - {0}, reverse=True):
        begun = dataclasses.replace(lines[n_whole], text=" ".join(words[:n]) + " …")
        if (placed := _place_all(busy, [*whole, begun], SMALLEST)) is not None:
            return placed, [" ".join(words[n:]), *left[1:]]
    return _place_all(busy, whole, SMALLEST) or [], left


# --- Where ---------------------------------------------------------------------------------------------------------


def _busyness(picture: Image.Image) -> np.ndarray:
    """(height, width) how much is drawn at and near each pixel; its mean is 1."""
    grey = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(2)), dtype=np.float64)
    down, across = (np.abs(np.diff(grey, axis=axis, append=np.take(grey, [-1], axis=axis))) for axis in (0, 1))
    amount = down + across
    return amount / amount.mean() if amount.any() else np.ones_like(amount)


def _place_all(busy: np.ndarray, lines: Sequence[Line], letters: int) -> list[Placed] | None:
    """All lines in calm places; where that leaves no room for the last, as high up as they go; None if not even so."""
    sums = np.pad(busy, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    for is_packed in (False, True):
        placed: list[Placed] = []
        for i, line in enumerate(lines):
            found = _place(sums, line, letters, placed, (i + 1) / len(lines), is_packed=is_packed)
            if found is None:
                break
            placed.append(found)
        else:
            return placed
    return None


def _place(
    sums: np.ndarray, line: Line, letters: int, before: Sequence[Placed], share: float, *, is_packed: bool
) -> Placed | None:
    """The best place for a line after others. `share`: how far down the panel its turn is, 0 to 1."""
    height, width = (n - 1 for n in sums.shape)
    margin = max(letters // 3, 2)
    taken = sum((p.box.x2 - p.box.x1) * (p.box.y2 - p.box.y1) for p in before)
    best: tuple[float, Placed] | None = None
    typeface = _typeface(line.text)
    for rows, wide, high in _shapes(line, letters, typeface, width - 2 * margin, height):
        if high > height - 2 * margin or taken + wide * high > _MOST * width * height:
            continue
        for y in _positions(margin, height - margin - high):
            for x in _positions(margin, width - margin - wide):
                box = Box(x, y, x + wide, y + high)
                if not all(_reads_after(box, placed.box, margin) for placed in before):
                    continue
                lies_on = sums[box.y2, box.x2] - sums[box.y1, box.x2] - sums[box.y2, box.x1] + sums[box.y1, box.x1]
                low = y / height
                cost = low + 0.1 * x / width if is_packed else _unrest(lies_on, box, sums) + max(low - share / 3, 0)
                cost += 0.15 * abs(np.log(wide / high / 2))  # a shape about twice as wide as high reads best
                if line.manner == "caption":
                    cost += (x + y - 2 * margin) / (width + height)  # captions stand in the corner
                if best is None or cost < best[0]:
                    best = cost, Placed(line, rows, box, None, typeface)
    return best[1] if best else None


def _unrest(lies_on: float, box: Box, sums: np.ndarray) -> float:
    """How much a box covers: by what is drawn under it, and by its share of all that is drawn."""
    return float(lies_on / ((box.x2 - box.x1) * (box.y2 - box.y1)) + 2 * lies_on / sums[-1, -1])


def _positions(first: int, last: int) -> list[int]:
    return sorted({round(at) for at in np.linspace(first, last, _STEPS)}) if last >= first else []


def _reads_after(box: Box, other: Box, gap: int) -> bool:
    """Whether a box is clear of another and read after it: it begins below it, or right of it and not higher."""
    return box.y1 >= other.y2 + gap or (box.x1 >= other.x2 + gap and box.y1 >= other.y1 - gap)


def _shapes(line: Line, letters: int, typeface: Path, room: int, tall: int) -> list[tuple[tuple[str, ...], int, int]]:
    """Ways to break a line: its rows, and the width and height of the shape around them."""
    font = _font(typeface, _size(line, letters))
    found: dict[tuple[str, ...], tuple[tuple[str, ...], int, int]] = {}
    if len(line.text) * _NARROW * letters**2 > _MOST * room * tall:
        return []
    for share in (0.25, 0.35, 0.5, 0.7, 1.0):
        rows = _broken(line.text.upper(), font, share * room / (1 if line.manner == "caption" else _ROUND * 1.1))
        if rows:
            found[rows] = (rows, *_extent(line, rows, font, letters))
    return [shape for shape in found.values() if shape[1] <= room]


def _extent(line: Line, rows: tuple[str, ...], font: ImageFont.FreeTypeFont, letters: int) -> tuple[int, int]:
    wide, high = max(font.getlength(row) for row in rows), len(rows) * _step(line, letters)
    grown = {"caption": 1.0, "sound": 1.0, "speech": _ROUND, "shout": 1.2 * _ROUND, "thought": 1.15 * _ROUND}
    padding = 0 if line.manner == "sound" else letters * 0.9
    return round(wide * grown[line.manner] + padding), round(high * grown[line.manner] + padding)


def _broken(text: str, font: ImageFont.FreeTypeFont, width: float) -> tuple[str, ...]:
    """Rows no wider than this; none where a word is wider that is too short to break."""
    rows: list[str] = []
    for word in text.split():
        longer = f"{rows[-1]} {word}" if rows else word
        if rows and font.getlength(longer) <= width:
            rows[-1] = longer
            continue
        while font.getlength(word) > width:
            fits = sum(font.getlength(word[:n] + "-") <= width for n in range(1, min(len(word), 80)))
            if len(word) < _LONG_WORD or fits < 3:
                return ()
            rows.append(word[:fits] + "-")
            word = word[fits:]
        rows.append(word)
    return tuple(rows)


def _with_tails(
    placed: Sequence[Placed], busy: np.ndarray, speakers: Mapping[str, Point], letters: int
) -> tuple[Placed, ...]:
    height, width = busy.shape
    total = busy.sum()
    middle = (busy.sum(axis=0) @ np.arange(width) / total, busy.sum(axis=1) @ np.arange(height) / total)
    found: list[Placed] = []
    tails: list[Point] = []
    for one in placed:
        known = speakers.get(one.line.speaker)
        way: list[Point] = []
        if one.line.manner in ("speech", "shout", "thought"):
            target = (known[0] * width, known[1] * height) if known else middle
            others = [other.box for other in placed if other is not one]
            way = _way(one.box, target, others, tails, letters, is_known=known is not None)
        tails += way
        found.append(Placed(one.line, one.rows, one.box, way[-1] if way else None, one.typeface))
    return tuple(found)


def _way(
    box: Box, target: Point, others: Sequence[Box], tails: Sequence[Point], letters: int, *, is_known: bool
) -> list[Point]:
    """Points of a tail: it ends close to a known speaker, else soon, and crosses no other balloon and no other tail."""
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    across, down = target[0] - x, target[1] - y
    inside = max(abs(across) / ((box.x2 - box.x1) / 2), abs(down) / ((box.y2 - box.y1) / 2))
    if inside <= 1:  # the balloon is over it
        return []
    length = float(np.hypot(across, down))
    from_edge = length * (1 - 1 / inside)
    reach = 0.75 * from_edge if is_known else min(0.75 * from_edge, 1.6 * letters)
    for part in (1.0, 0.6, 0.35):
        ends = np.linspace(1 / inside, 1 / inside + part * reach / length, 16)
        way = [(x + float(at) * across, y + float(at) * down) for at in ends]
        if not any(
            any(other.x1 <= px <= other.x2 and other.y1 <= py <= other.y2 for other in others)
            or any(np.hypot(px - tx, py - ty) < letters / 2 for tx, ty in tails)
            for px, py in way
        ):
            return way
    return []


# --- How -----------------------------------------------------------------------------------------------------------


def _draw(picture: Image.Image, placed: Placed, letters: int) -> None:
    """Draw one line: shape and tail as one mask, its rim in ink, and the words, oversampled and made small again."""
    rim = max(round(letters / 10), 1)
    tips = [placed.tip] if placed.tip else []
    frame = Box(
        max(int(min([placed.box.x1, *(x for x, _ in tips)])) - 3 * rim, 0),
        max(int(min([placed.box.y1, *(y for _, y in tips)])) - 3 * rim, 0),
        min(int(max([placed.box.x2, *(x for x, _ in tips)])) + 3 * rim, picture.width),
        min(int(max([placed.box.y2, *(y for _, y in tips)])) + 3 * rim, picture.height),
    )
    size = (frame.x2 - frame.x1, frame.y2 - frame.y1)
    shape, words, halo = (Image.new("L", (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING)) for _ in range(3))
    if placed.line.manner != "sound":
        for outline in _outlines(placed, letters):
            points = [((x - frame.x1) * _OVERSAMPLING, (y - frame.y1) * _OVERSAMPLING) for x, y in outline]
            ImageDraw.Draw(shape).polygon(points, fill=255)
    font, step = _font(placed.typeface, _size(placed.line, letters) * _OVERSAMPLING), _step(placed.line, letters)
    top = (placed.box.y1 + placed.box.y2 - step * len(placed.rows)) / 2 - frame.y1
    for i, row in enumerate(placed.rows):
        middle = ((placed.box.x1 + placed.box.x2) / 2 - frame.x1, top + (i + 0.5) * step)
        at = (middle[0] * _OVERSAMPLING, middle[1] * _OVERSAMPLING)
        ImageDraw.Draw(words).text(at, row, fill=255, font=font, anchor="mm")
        if placed.line.manner == "sound":  # without a balloon, so ink stands around each letter
            stroke = 2 * rim * _OVERSAMPLING
            ImageDraw.Draw(halo).text(at, row, fill=255, font=font, anchor="mm", stroke_width=stroke)
    rimmed = ImageChops.lighter(shape.filter(ImageFilter.MaxFilter(2 * rim * _OVERSAMPLING + 1)), halo)
    paper = _CAPTION_PAPER if placed.line.manner == "caption" else _PAPER
    layers = ((_INK, rimmed), (paper, shape), (_PAPER if placed.line.manner == "sound" else _INK, words))
    for colour, mask in layers:
        picture.paste(colour, frame, mask.resize(size, Image.Resampling.BOX))


def _outlines(placed: Placed, letters: int) -> list[list[Point]]:
    """Polygons whose union is the shape of a balloon or caption, with its tail."""
    x1, y1, x2, y2 = placed.box
    if placed.line.manner == "caption":
        return [[(x1, y1), (x2, y1), (x2, y2), (x1, y2)]]
    middle, half = ((x1 + x2) / 2, (y1 + y2) / 2), ((x2 - x1) / 2, (y2 - y1) / 2)
    if placed.line.manner == "shout":
        n = max(round((x2 - x1 + y2 - y1) / (1.4 * letters)), 9)
        shapes = [_around(middle, half, 2 * n, spikes=0.82)]
    elif placed.line.manner == "thought":
        puff = 0.6 * letters
        inner = (half[0] - puff, half[1] - puff)
        n = max(round((x2 - x1 + y2 - y1) / (1.3 * puff)), 8)
        shapes = [_around(middle, inner, 90), *(_circle(at, puff) for at in _around(middle, inner, n))]
    else:
        shapes = [_around(middle, half, 90)]
    if placed.tip:
        shapes += _tail(middle, half, placed.tip, letters, is_thought=placed.line.manner == "thought")
    return shapes


def _tail(middle: Point, half: Point, tip: Point, letters: int, *, is_thought: bool) -> list[list[Point]]:
    across, down = tip[0] - middle[0], tip[1] - middle[1]
    if is_thought:
        edge = 1 / max(abs(across) / half[0], abs(down) / half[1])
        shares = (edge + (1 - edge) * part for part in (0.35, 0.7, 1.0))
        sizes = (0.42 * letters, 0.3 * letters, 0.2 * letters)
        return [
            _circle((middle[0] + share * across, middle[1] + share * down), size)
            for share, size in zip(shares, sizes, strict=True)
        ]
    width = min(0.6 * letters, 0.4 * min(half)) / float(np.hypot(across, down))
    side = (-down * width, across * width)
    return [[(middle[0] + side[0], middle[1] + side[1]), tip, (middle[0] - side[0], middle[1] - side[1])]]


def _around(middle: Point, half: Point, n: int, spikes: float = 1.0) -> list[Point]:
    """`n` points of a superellipse of degree 4, about as far apart; each second is drawn in to a share of `spikes`."""
    turns = np.linspace(0, 2 * np.pi, 721)
    x, y = (
        size * np.sign(way) * np.sqrt(np.abs(way))
        for size, way in zip(half, (np.cos(turns), np.sin(turns)), strict=True)
    )
    along = np.concatenate([[0.0], np.hypot(np.diff(x), np.diff(y)).cumsum()])
    at = np.linspace(0, along[-1], n, endpoint=False)
    radii = np.where(np.arange(n) % 2, spikes, 1.0)
    right, down = (radii * np.interp(at, along, edge) for edge in (x, y))
    return [(middle[0] + float(a), middle[1] + float(b)) for a, b in zip(right, down, strict=True)]


def _circle(middle: Point, radius: float) -> list[Point]:
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(middle[0] + radius * float(np.cos(turn)), middle[1] + radius * float(np.sin(turn))) for turn in turns]


def _size(line: Line, letters: int) -> int:
    return round(1.6 * letters) if line.manner == "sound" else letters


def _step(line: Line, letters: int) -> int:
    return round(1.12 * _size(line, letters))


def _typeface(text: str) -> Path:
    """The comic typeface where it has all letters of a text, else DejaVu Sans, which has most."""
    if all(ord(letter) in _letters_of(TYPEFACE) for letter in text.upper() if not letter.isspace()):
        return TYPEFACE
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


@functools.cache
def _letters_of(typeface: Path) -> frozenset[int]:
    from fontTools.ttLib import TTFont

    with TTFont(typeface) as font:
        return frozenset(font.getBestCmap())


@functools.lru_cache(maxsize=256)
def _font(typeface: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(typeface, size, layout_engine=ImageFont.Layout.BASIC)
