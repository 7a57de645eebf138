"""Backgrounds: one painter per setting, one palette per time of day. Finished ones are kept."""

import functools
from collections.abc import Callable

from PIL import Image, ImageDraw

from cloze.sample.pen import OVERSAMPLING, Colour, Pen

GROUND = 0.24  # height of the ground line, in panel heights
_WIDTH = 1.4  # how far the painters draw, in panel heights; at least the widest panel

_SKIES: dict[str, tuple[Colour, Colour]] = {
    "day": ((104, 186, 244), (214, 240, 252)),
    "sunset": ((230, 96, 84), (255, 208, 110)),
    "night": ((14, 18, 54), (52, 62, 122)),
}
_LIGHT = {"day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.76, 0.62), "night": (0.42, 0.46, 0.68)}


class _Painter:
    """A pen for backgrounds whose colours take on the light of the hour.

    The frame's unit is the panel's height, its origin the lower left corner.
    """

    def __init__(self, draw: ImageDraw.ImageDraw, height: int, time: str) -> None:
        self.pen = Pen(draw, 0, height, height)
        self.time = time

    def lit(self, colour: Colour) -> Colour:
        red, green, blue = (round(c * light) for c, light in zip(colour, _LIGHT[self.time], strict=True))
        return (red, green, blue)

    def shape(self, points: list[tuple[float, float]], colour: Colour, *, edge: bool = True) -> None:
        outline = self.lit((90, 84, 92)) if edge else None
        self.pen.shape(points, self.lit(colour), outline)

    def box(self, left: float, bottom: float, right: float, top: float, colour: Colour, *, edge: bool = True) -> None:
        self.shape([(left, bottom), (right, bottom), (right, top), (left, top)], colour, edge=edge)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour, *, edge: bool = False) -> None:
        self.pen.oval((x, y), rx, ry, fill=self.lit(colour), outline=self.lit((90, 84, 92)) if edge else None)

    def line(self, points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        self.pen.stroke(points, self.lit(colour), width)

    def lamp(self, left: float, bottom: float, right: float, top: float, by_day: Colour) -> None:
        """A window that glows at night."""
        colour = (255, 226, 110) if self.time == "night" else self.lit(by_day)
        self.pen.shape([(left, bottom), (right, bottom), (right, top), (left, top)], colour, None)


@functools.lru_cache(maxsize=128)
def background(setting: str, time: str, size: tuple[int, int]) -> Image.Image:
    """The empty setting at that hour, at `OVERSAMPLING` times `size` (width, height). Copy before drawing on it."""
    width, height = (length * OVERSAMPLING for length in size)
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    _paint_sky(draw, width, height, time)
    _PLACES[setting](_Painter(draw, height, time))
    return picture


def _paint_sky(draw: ImageDraw.ImageDraw, width: int, height: int, time: str) -> None:
    top, bottom = _SKIES[time]
    for y in range(height):
        share = min(1.0, y / (0.76 * height))
        colour = tuple(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True))
        draw.line([(0, y), (width, y)], fill=colour)
    _paint_lights(Pen(draw, 0, height, height), time)


def _paint_lights(pen: Pen, time: str) -> None:
    """Sun and clouds, a setting sun, or moon and stars."""
    if time == "day":
        pen.oval((0.14, 0.6), 0.085, fill=(255, 236, 90), outline=None)
        for cloud_x, cloud_y in ((0.62, 0.62), (0.94, 0.5)):
            for shift, size in ((-0.09, 0.05), (0.0, 0.075), (0.09, 0.05)):
                pen.oval((cloud_x + shift, cloud_y), size, size * 0.7, fill=(255, 255, 255), outline=None)
    elif time == "sunset":
        pen.oval((0.2, 0.36), 0.15, fill=(255, 238, 130), outline=None)
        pen.oval((0.2, 0.36), 0.12, fill=(255, 120, 60), outline=None)
    else:
        pen.oval((0.16, 0.6), 0.085, fill=(250, 246, 210), outline=None)
        pen.oval((0.2, 0.62), 0.07, fill=(30, 36, 82), outline=None)
        for x, y in ((0.4, 0.66), (0.55, 0.56), (0.75, 0.66), (0.92, 0.55), (0.34, 0.5), (1.05, 0.64), (0.68, 0.48)):
            pen.oval((x, y), 0.012, fill=(255, 255, 230), outline=None)


def _harbor(paint: _Painter) -> None:
    paint.box(0, 0, _WIDTH, 0.4, (46, 126, 196), edge=False)
    for x, y in ((0.1, 0.34), (0.42, 0.3), (0.7, 0.35), (1.0, 0.31)):
        paint.line([(x, y), (x + 0.06, y + 0.015), (x + 0.12, y)], (190, 226, 250), 0.012)
    paint.shape([(0.5, 0.4), (0.58, 0.31), (0.94, 0.31), (1.02, 0.42)], (150, 70, 40))
    paint.line([(0.76, 0.4), (0.76, 0.74)], (90, 56, 30), 0.02)
    paint.shape([(0.78, 0.72), (0.78, 0.46), (0.98, 0.48)], (250, 246, 232))
    paint.shape([(0.74, 0.7), (0.74, 0.46), (0.58, 0.48)], (250, 246, 232))
    paint.box(0, 0, _WIDTH, GROUND, (178, 128, 76))
    for y in (0.08, 0.16):
        paint.line([(0, y), (_WIDTH, y)], (120, 80, 44), 0.012)
    for x in (0.06, 0.46, 0.9, 1.25):
        paint.box(x, 0.16, x + 0.06, 0.34, (120, 80, 44))


def _forest(paint: _Painter) -> None:
    paint.box(0, 0, _WIDTH, 0.3, (60, 124, 52), edge=False)
    for x, size in ((0.05, 1.1), (0.3, 0.85), (0.55, 1.05), (0.8, 0.9), (1.05, 1.1), (1.3, 0.9)):
        paint.box(x - 0.03, 0.22, x + 0.03, 0.5, (108, 70, 38))
        for y, half in ((0.34, 0.17), (0.46, 0.14), (0.58, 0.1)):
            top = y + 0.2 * size
            paint.shape([(x - half * size, y), (x + half * size, y), (x, top)], (28, 110, 54))
    paint.box(0, 0, _WIDTH, GROUND, (104, 176, 74))
    for x in (0.1, 0.35, 0.68, 0.95, 1.2):
        paint.line([(x, 0.1), (x + 0.02, 0.15), (x + 0.04, 0.1)], (54, 120, 44), 0.012)


def _castle(paint: _Painter) -> None:
    stone = (168, 164, 172)
    paint.box(0.2, 0.2, 0.95, 0.5, stone)
    _battlements(paint, 0.2, 0.95, 0.5, stone)
    for left in (0.1, 0.5, 0.86):
        paint.box(left, 0.2, left + 0.2, 0.62, stone)
        paint.shape([(left - 0.03, 0.62), (left + 0.23, 0.62), (left + 0.1, 0.8)], (176, 52, 60))
        paint.lamp(left + 0.07, 0.48, left + 0.13, 0.57, (70, 66, 84))
    paint.box(0.52, 0.2, 0.68, 0.4, (92, 60, 40))
    paint.box(0, 0, _WIDTH, GROUND, (150, 178, 96))
    paint.shape([(0.5, GROUND), (0.7, GROUND), (0.9, 0), (0.35, 0)], (206, 190, 150))


def _battlements(paint: _Painter, left: float, right: float, top: float, colour: Colour) -> None:
    x = left
    while x < right:
        paint.box(x, top, x + 0.04, top + 0.04, colour)
        x += 0.08


def _desert(paint: _Painter) -> None:
    paint.shape([(0.42, 0.24), (0.72, 0.6), (1.02, 0.24)], (226, 180, 96))
    paint.shape([(0.72, 0.6), (1.02, 0.24), (0.82, 0.24)], (186, 140, 70))
    paint.shape([(0, 0), (0, 0.32), (0.3, 0.38), (0.7, 0.28), (1.1, 0.34), (_WIDTH, 0.3), (_WIDTH, 0)], (240, 206, 120))
    paint.box(0, 0, _WIDTH, GROUND - 0.02, (250, 222, 140), edge=False)
    for x, size in ((0.12, 1.0), (1.08, 0.8)):
        green = (60, 146, 70)
        paint.line([(x, 0.22), (x, 0.22 + 0.36 * size)], green, 0.06 * size)
        paint.line([(x - 0.1 * size, 0.46), (x - 0.1 * size, 0.36), (x, 0.36)], green, 0.04 * size)
        paint.line([(x + 0.1 * size, 0.5), (x + 0.1 * size, 0.4), (x, 0.4)], green, 0.04 * size)


def _city_street(paint: _Painter) -> None:
    walls = ((186, 84, 70), (120, 132, 156), (210, 160, 96), (140, 92, 120), (100, 140, 140))
    for i, (left, top) in enumerate(((0.0, 0.66), (0.25, 0.78), (0.52, 0.6), (0.78, 0.82), (1.06, 0.68))):
        paint.box(left, 0.2, left + 0.26, top, walls[i])
        for row in range(4):
            for column in range(3):
                x, y = left + 0.035 + 0.075 * column, 0.32 + 0.11 * row
                if y + 0.07 < top:
                    paint.lamp(x, y, x + 0.045, y + 0.065, (206, 232, 246))
    paint.box(0, 0, _WIDTH, GROUND, (112, 112, 120))
    paint.box(0, GROUND - 0.05, _WIDTH, GROUND, (190, 188, 184))
    for x in (0.05, 0.35, 0.65, 0.95, 1.25):
        paint.box(x, 0.06, x + 0.16, 0.09, (244, 240, 220), edge=False)


def _kitchen(paint: _Painter) -> None:
    wall = (250, 232, 190)
    paint.box(0, GROUND, 0.06, 1, wall, edge=False)
    paint.box(0.46, GROUND, _WIDTH, 1, wall, edge=False)
    paint.box(0, 0.74, _WIDTH, 1, wall, edge=False)
    paint.box(0, GROUND, _WIDTH, 0.4, wall, edge=False)
    for points in ([(0.06, 0.4), (0.46, 0.4), (0.46, 0.74), (0.06, 0.74), (0.06, 0.4)], [(0.26, 0.4), (0.26, 0.74)]):
        paint.line(points, (150, 96, 56), 0.025)
    paint.box(0.74, GROUND, 1.06, 0.5, (236, 236, 240))
    paint.box(0.78, 0.28, 1.02, 0.42, (70, 70, 80))
    paint.box(0.8, 0.5, 0.94, 0.58, (196, 60, 50))
    paint.line([(0.56, 0.66), (1.2, 0.66)], (150, 96, 56), 0.03)
    for x, colour in ((0.62, (80, 150, 200)), (0.76, (230, 120, 60)), (0.9, (110, 170, 90))):
        paint.box(x, 0.675, x + 0.08, 0.76, colour)
    for row in range(3):
        for column in range(12):
            tile = (232, 92, 76) if (row + column) % 2 else (252, 246, 236)
            paint.box(0.12 * column, 0.08 * row, 0.12 * (column + 1), 0.08 * (row + 1), tile, edge=False)


def _cave(paint: _Painter) -> None:
    rock = (104, 84, 100)
    paint.shape([(0, 0), (0, 1), (0.1, 1), (0.08, 0.6), (0.02, 0.3), (0.06, 0)], rock)
    mouth = [(0.06, 0.2), (0.04, 0.44), (0.12, 0.62), (0.26, 0.7), (0.4, 0.62), (0.46, 0.4), (0.44, 0.2)]
    paint.shape([*mouth, (_WIDTH, 0.2), (_WIDTH, 1), (0, 1), (0, 0.2)], rock)
    for x, y in ((0.5, 0.66), (0.68, 0.58), (0.84, 0.64), (1.02, 0.56), (1.2, 0.62)):
        paint.shape([(x, 1.0), (x + 0.14, 1.0), (x + 0.07, y)], (74, 58, 76))
    for x, y in ((0.62, 0.4), (0.8, 0.46), (1.0, 0.36)):
        paint.shape([(x, y), (x + 0.04, y + 0.06), (x + 0.08, y), (x + 0.04, y - 0.06)], (120, 226, 214))
    paint.box(0, 0, _WIDTH, GROUND, (82, 64, 70))
    for x in (0.15, 0.5, 0.95, 1.2):
        paint.oval(x, 0.1, 0.07, 0.03, (58, 44, 52))


def _snowy_mountain(paint: _Painter) -> None:
    for x, top, half in ((0.28, 0.7, 0.38), (0.98, 0.78, 0.42), (0.62, 0.6, 0.3)):
        paint.shape([(x - half, 0.2), (x, top), (x + half, 0.2)], (116, 138, 178))
        cap = 0.4 * half
        depth = 0.4 * (top - 0.2)
        foot = top - depth
        teeth = [(x - cap / 3, foot + 0.2 * depth), (x, foot - 0.1 * depth), (x + cap / 2, foot + 0.2 * depth)]
        paint.shape([(x - cap, foot), *teeth, (x + cap, foot), (x, top)], (250, 252, 255))
    paint.shape([(0, 0), (0, 0.26), (0.4, 0.3), (0.8, 0.22), (_WIDTH, 0.28), (_WIDTH, 0)], (244, 248, 255))
    for x in (0.08, 1.12):
        for y, half in ((0.26, 0.1), (0.36, 0.07)):
            paint.shape([(x - half, y), (x + half, y), (x, y + 0.16)], (70, 120, 110))


_PLACES: dict[str, Callable[[_Painter], None]] = {
    "harbor": _harbor,
    "forest": _forest,
    "castle": _castle,
    "desert": _desert,
    "city street": _city_street,
    "kitchen": _kitchen,
    "cave": _cave,
    "snowy mountain": _snowy_mountain,
}
