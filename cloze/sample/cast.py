"""The cast: what makes each character recognisable, down to the hat."""

from collections.abc import Callable
from dataclasses import dataclass

from cloze.sample.pen import INK, Colour, Pen

HEAD = 0.165  # radius, in figure heights


@dataclass(frozen=True)
class Body:
    """A character's looks.

    Attributes:
        size: height; a middling figure is 1.
        shoulders: half width of the body at the shoulders.
        hem: half width of the body at the hip.
        hat: draws what is on the head; the pen's origin is the head's centre.
    """

    size: float
    coat: Colour
    legs: Colour
    skin: Colour
    shoulders: float
    hem: float
    hat: Callable[[Pen], None]


def _no_hat(pen: Pen) -> None:
    """Nothing on the head."""


def _cap(pen: Pen) -> None:
    brim = [(0.3, 0.03), (0.3, 0.07)]
    pen.shape([(-0.17, 0.05), (-0.14, 0.17), (0, 0.22), (0.14, 0.17), (0.17, 0.05), *brim], (250, 214, 30))


def _long_hair(pen: Pen) -> None:
    hair = (236, 112, 26)
    pen.shape([(0.16, 0.1), (0.05, 0.2), (-0.12, 0.2), (-0.24, 0.02), (-0.26, -0.34), (-0.1, -0.3), (-0.1, 0.06)], hair)


def _bowler(pen: Pen) -> None:
    pen.shape([(-0.15, 0.08), (-0.14, 0.24), (0, 0.3), (0.14, 0.24), (0.15, 0.08)], (40, 36, 44))
    pen.limb([(-0.24, 0.08), (0.24, 0.08)], (40, 36, 44), 0.05)
    pen.stroke([(0.0, -0.04), (0.16, -0.04)], INK, 0.05)


def _hood(pen: Pen) -> None:
    pen.shape([(0.1, 0.14), (-0.04, 0.42), (-0.2, 0.14), (-0.22, -0.16), (-0.08, -0.16), (-0.06, 0.06)], (132, 60, 178))
    pen.stroke([(-0.02, 0.1), (-0.04, -0.14)], (246, 246, 246), 0.06)


def _straw_hat(pen: Pen) -> None:
    pen.oval((0, 0.09), 0.34, 0.07, fill=(244, 214, 130))
    pen.shape([(-0.15, 0.1), (-0.11, 0.26), (0.11, 0.26), (0.15, 0.1)], (244, 214, 130))


def _top_hat(pen: Pen) -> None:
    pen.box(-0.14, 0.1, 0.14, 0.44, (30, 28, 34))
    pen.stroke([(-0.14, 0.15), (0.14, 0.15)], (210, 40, 40), 0.06)
    pen.limb([(-0.25, 0.09), (0.25, 0.09)], (30, 28, 34), 0.04)
    pen.stroke([(-0.02, 0.03), (0.18, 0.03)], (210, 40, 40), 0.06)


def _spikes(pen: Pen) -> None:
    front = [(0.17, 0.06), (0.2, 0.26), (0.08, 0.2), (0.04, 0.36)]
    back = [(-0.06, 0.22), (-0.2, 0.32), (-0.18, 0.14), (-0.32, 0.1), (-0.2, -0.04), (-0.08, 0.08)]
    pen.shape([*front, *back], (30, 26, 60))


def _horns(pen: Pen) -> None:
    for side in (-1, 1):
        horn = [(0.1, 0.12), (0.3, 0.18), (0.32, 0.38), (0.2, 0.28), (0.06, 0.2)]
        pen.shape([(side * x, y) for x, y in horn], (250, 246, 226))
    pen.shape([(-0.18, 0.04), (-0.14, 0.17), (0, 0.22), (0.14, 0.17), (0.18, 0.04)], (150, 154, 164))


BODIES = {
    "Pip": Body(0.84, (226, 42, 40), (60, 70, 150), (255, 218, 180), 0.19, 0.19, _cap),
    "Nell": Body(1.0, (42, 160, 72), (250, 250, 250), (255, 222, 190), 0.1, 0.25, _long_hair),
    "Otto": Body(0.96, (44, 98, 214), (50, 50, 60), (246, 196, 160), 0.22, 0.24, _bowler),
    "Mara": Body(0.94, (150, 74, 200), (90, 40, 120), (140, 92, 66), 0.09, 0.32, _hood),
    "Gus": Body(1.02, (246, 140, 24), (60, 104, 180), (255, 214, 172), 0.17, 0.15, _straw_hat),
    "Vex": Body(1.06, (44, 42, 50), (30, 28, 34), (236, 238, 228), 0.2, 0.1, _top_hat),
    "Zora": Body(0.98, (240, 70, 156), (40, 30, 70), (206, 158, 120), 0.12, 0.2, _spikes),
    "Bruno": Body(1.04, (24, 168, 170), (110, 76, 50), (166, 196, 120), 0.27, 0.2, _horns),
}

_GREY: Colour = (98, 96, 104)
# Somebody who cannot be told from anybody else.
SHADOW = Body(0.95, _GREY, _GREY, _GREY, 0.18, 0.2, _no_hat)
