"""A pen that draws in a frame of its own: y goes up, lengths are in units of the frame, the frame may be turned.

Pictures are drawn at twice their size and halved at the end, which smooths every edge at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]

INK: Colour = (22, 20, 28)
OVERSAMPLING = 2
_OUTLINE = 1.6 * OVERSAMPLING  # pixels
_CIRCLE = [(math.cos(math.tau * i / 20), math.sin(math.tau * i / 20)) for i in range(20)]


@dataclass(frozen=True)
class Pen:
    """Draws in the frame with its origin at pixel (x, y).

    Attributes:
        scale: pixels per unit.
        flip: x goes left.
        turn: degrees that the frame is turned clockwise (before flipping).
    """

    draw: ImageDraw.ImageDraw
    x: float
    y: float
    scale: float
    flip: bool = False
    turn: float = 0.0

    def pixel(self, point: Point) -> Point:
        """Where a point of the frame lies on the picture."""
        x, y = turned(point, self.turn)
        return (self.x + (-x if self.flip else x) * self.scale, self.y - y * self.scale)

    def moved(self, point: Point, scale: float = 1.0, turn: float = 0.0) -> "Pen":
        """A pen whose frame has its origin at `point`, is `scale` times as large, and turned by `turn` more."""
        x, y = self.pixel(point)
        return replace(self, x=x, y=y, scale=self.scale * scale, turn=self.turn + turn)

    def shape(self, points: Sequence[Point], fill: Colour, outline: Colour | None = INK) -> None:
        """A filled polygon."""
        pixels = [self.pixel(point) for point in points]
        self.draw.polygon(pixels, fill=fill)
        if outline is not None:
            self.draw.line([*pixels, pixels[0]], fill=outline, width=round(_OUTLINE))

    def box(self, left: float, bottom: float, right: float, top: float, fill: Colour) -> None:
        """A filled rectangle."""
        self.shape([(left, bottom), (right, bottom), (right, top), (left, top)], fill)

    def oval(
        self, centre: Point, rx: float, ry: float | None = None, *, fill: Colour, outline: Colour | None = INK
    ) -> None:
        """A filled ellipse, or a circle where `ry` is left out."""
        ry = rx if ry is None else ry
        self.shape([(centre[0] + rx * x, centre[1] + ry * y) for x, y in _CIRCLE], fill, outline)

    def stroke(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        """A line of `width` units, without outline."""
        pixels = [self.pixel(point) for point in points]
        self.draw.line(pixels, fill=fill, width=max(1, round(width * self.scale)), joint="curve")

    def limb(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        """A line of `width` units with an outline and round ends."""
        edge = 2 * _OUTLINE / self.scale
        for colour, breadth in ((INK, width + edge), (fill, width)):
            self.stroke(points, colour, breadth)
            for end in (points[0], points[-1]):
                x, y = self.pixel(end)
                r = breadth * self.scale / 2
                self.draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def turned(point: Point, degrees: float, about: Point = (0.0, 0.0)) -> Point:
    """The point turned clockwise."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x, y = point[0] - about[0], point[1] - about[1]
    return (about[0] + x * cosine + y * sine, about[1] - x * sine + y * cosine)
