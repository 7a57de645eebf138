"""Things and animals: what characters hold, what actions need, who stands by."""

from collections.abc import Callable

from cloze.sample.pen import INK, Colour, Pen

_WOOD: Colour = (166, 112, 58)
_STEEL: Colour = (214, 222, 230)
_GOLD: Colour = (250, 206, 40)
_RED: Colour = (222, 48, 44)
_WHITE: Colour = (252, 252, 250)
_HORSE: Colour = (146, 92, 56)


def draw_object(name: str, pen: Pen) -> None:
    """A thing held at the pen's origin, about one unit large."""
    _OBJECTS[name](pen)


def draw_animal(name: str, pen: Pen) -> None:
    """A small animal standing on the pen's origin, about one unit long, looking along x."""
    _ANIMALS[name](pen)


def _oar(pen: Pen) -> None:
    pen.limb([(0, -0.75), (0, 0.6)], _WOOD, 0.1)
    pen.oval((0, 0.75), 0.17, 0.36, fill=(228, 178, 104))


def _basket(pen: Pen) -> None:
    pen.limb([(-0.36, 0), (-0.26, 0.36), (0.26, 0.36), (0.36, 0)], (150, 96, 40), 0.07)
    pen.shape([(-0.48, 0.05), (0.48, 0.05), (0.34, -0.5), (-0.34, -0.5)], (206, 150, 78))
    for x, colour in ((-0.24, _RED), (0, (120, 190, 60)), (0.24, _RED)):
        pen.oval((x, 0.08), 0.15, fill=colour)


def _sword(pen: Pen) -> None:
    pen.shape([(-0.09, 0.1), (0.09, 0.1), (0.07, 1.1), (0, 1.3), (-0.07, 1.1)], _STEEL)
    pen.limb([(-0.28, 0.08), (0.28, 0.08)], _GOLD, 0.09)
    pen.limb([(0, 0.05), (0, -0.22)], _WOOD, 0.09)


def _umbrella(pen: Pen) -> None:
    pen.limb([(0, -0.3), (0, 0.7)], INK, 0.05)
    dome = [(-0.75, 0.5), (-0.6, 0.85), (-0.3, 1.08), (0, 1.15), (0.3, 1.08), (0.6, 0.85), (0.75, 0.5)]
    pen.shape([*dome, (0.5, 0.6), (0.25, 0.5), (0, 0.6), (-0.25, 0.5), (-0.5, 0.6)], _RED)
    pen.shape([(-0.25, 0.5), (0, 1.15), (0.25, 0.5), (0, 0.6)], (250, 226, 220))


def _suitcase(pen: Pen) -> None:
    pen.limb([(-0.18, -0.02), (-0.18, 0.1), (0.18, 0.1), (0.18, -0.02)], INK, 0.06)
    pen.box(-0.5, -0.68, 0.5, -0.04, (64, 116, 190))
    for x in (-0.28, 0.28):
        pen.stroke([(x, -0.66), (x, -0.06)], _GOLD, 0.09)


def _pan(pen: Pen) -> None:
    pen.limb([(0, -0.1), (0, 0.4)], (90, 60, 40), 0.1)
    pen.oval((0, 0.78), 0.42, fill=(52, 54, 62))
    pen.oval((0, 0.78), 0.3, fill=_WHITE, outline=None)
    pen.oval((0, 0.78), 0.14, fill=(252, 190, 40), outline=None)


def _lantern(pen: Pen) -> None:
    pen.oval((0, -0.3), 0.6, fill=(255, 244, 168), outline=None)
    pen.limb([(0, 0), (0, 0.05)], INK, 0.06)
    pen.box(-0.26, -0.62, 0.26, -0.06, (255, 222, 60))
    for y in (-0.66, -0.04):
        pen.limb([(-0.28, y), (0.28, y)], (70, 66, 70), 0.09)


def _flag(pen: Pen) -> None:
    pen.limb([(0, -0.4), (0, 1.15)], _WOOD, 0.06)
    pen.shape([(0.03, 1.12), (0.5, 1.2), (0.95, 1.06), (0.95, 0.5), (0.5, 0.62), (0.03, 0.52)], (40, 170, 90))
    pen.oval((0.48, 0.85), 0.17, fill=_WHITE, outline=None)


_OBJECTS: dict[str, Callable[[Pen], None]] = {
    "oar": _oar,
    "basket": _basket,
    "sword": _sword,
    "umbrella": _umbrella,
    "suitcase": _suitcase,
    "pan": _pan,
    "lantern": _lantern,
    "flag": _flag,
}


def _dog(pen: Pen) -> None:
    for x in (-0.28, 0.24):
        pen.limb([(x, 0.3), (x, 0.03)], (232, 190, 130), 0.12)
    pen.limb([(-0.4, 0.42), (-0.58, 0.66)], (232, 190, 130), 0.09)
    pen.oval((0, 0.4), 0.42, 0.2, fill=(232, 190, 130))
    pen.oval((0.42, 0.62), 0.22, 0.19, fill=(232, 190, 130))
    pen.oval((0.3, 0.6), 0.08, 0.18, fill=(120, 80, 50))
    pen.oval((0.6, 0.6), 0.06, fill=INK)


def _parrot(pen: Pen) -> None:
    pen.shape([(-0.15, 0.4), (-0.45, 0.02), (-0.28, 0.0), (0.02, 0.3)], (50, 90, 210))
    pen.oval((0, 0.5), 0.24, 0.36, fill=(226, 54, 46))
    pen.oval((-0.1, 0.46), 0.13, 0.26, fill=(50, 170, 80))
    pen.oval((0.1, 0.86), 0.2, fill=(226, 54, 46))
    pen.shape([(0.26, 0.94), (0.46, 0.82), (0.26, 0.76)], _GOLD)
    pen.oval((0.13, 0.9), 0.05, fill=_WHITE)


def _goat(pen: Pen) -> None:
    white = (240, 240, 236)
    for x in (-0.28, 0.22):
        pen.limb([(x, 0.36), (x, 0.03)], white, 0.11)
    pen.oval((-0.02, 0.46), 0.42, 0.24, fill=white)
    pen.shape([(0.28, 0.56), (0.46, 0.92), (0.74, 0.78), (0.66, 0.64)], white)
    pen.shape([(0.6, 0.64), (0.66, 0.42), (0.7, 0.66)], (190, 190, 186))
    for x in (0.42, 0.52):
        pen.limb([(x, 0.9), (x - 0.16, 1.14)], (130, 110, 90), 0.05)


_ANIMALS: dict[str, Callable[[Pen], None]] = {"dog": _dog, "parrot": _parrot, "goat": _goat}


def draw_horse(pen: Pen) -> None:
    """A galloping horse with its feet at the origin, about 1.2 units long."""
    for hip, foot in ((-0.34, -0.62), (-0.26, -0.2), (0.26, 0.22), (0.36, 0.66)):
        pen.limb([(hip, 0.34), ((hip + foot) / 2, 0.18), (foot, 0.03)], _HORSE, 0.08)
    pen.limb([(-0.44, 0.48), (-0.7, 0.5), (-0.78, 0.3)], (60, 36, 24), 0.08)
    pen.oval((0, 0.44), 0.48, 0.17, fill=_HORSE)
    pen.shape([(0.26, 0.5), (0.52, 0.86), (0.66, 0.88), (0.86, 0.7), (0.8, 0.62), (0.62, 0.66), (0.44, 0.36)], _HORSE)
    pen.limb([(0.3, 0.6), (0.52, 0.88)], (60, 36, 24), 0.07)
    pen.oval((0.66, 0.78), 0.025, fill=INK)


def draw_ladder(pen: Pen) -> None:
    """A ladder on the origin, 1.5 units high."""
    for rung in range(8):
        pen.limb([(-0.17, 0.1 + 0.19 * rung), (0.17, 0.1 + 0.19 * rung)], (206, 156, 84), 0.045)
    for x in (-0.17, 0.17):
        pen.limb([(x, 0), (x, 1.5)], (206, 156, 84), 0.055)


def draw_crate(pen: Pen) -> None:
    """A crate on the origin, large enough to hide behind."""
    pen.box(-0.4, 0, 0.4, 0.56, (190, 132, 66))
    pen.stroke([(-0.37, 0.03), (0.37, 0.53)], (126, 82, 38), 0.06)
    for y in (0.05, 0.51):
        pen.stroke([(-0.39, y), (0.39, y)], (126, 82, 38), 0.07)


def draw_hole(pen: Pen) -> None:
    """A hole in the ground at the origin with a heap of earth beyond."""
    pen.oval((0, -0.02), 0.26, 0.07, fill=(44, 28, 18))
    pen.shape([(0.16, -0.04), (0.32, 0.2), (0.46, 0.27), (0.6, 0.18), (0.76, -0.04)], (122, 80, 44))


def draw_shovel(pen: Pen) -> None:
    """A shovel with its blade at the origin, handle up along y."""
    pen.limb([(0, 0.16), (0, 0.8)], _WOOD, 0.045)
    pen.shape([(-0.1, 0.2), (0.1, 0.2), (0.08, 0), (0, -0.07), (-0.08, 0)], _STEEL)


def draw_stool(pen: Pen) -> None:
    """A tree stump on the origin to sit on."""
    pen.box(-0.2, 0, 0.2, 0.2, (140, 92, 52))
    pen.oval((0, 0.2), 0.2, 0.05, fill=(214, 168, 110))


def draw_book(pen: Pen) -> None:
    """A large open book at the origin."""
    pen.shape([(0, -0.12), (-0.3, -0.05), (-0.3, 0.27), (0, 0.2)], _WHITE)
    pen.shape([(0, -0.12), (0.3, -0.05), (0.3, 0.27), (0, 0.2)], _WHITE)
    for y in (0.02, 0.1, 0.18):
        pen.stroke([(-0.24, y + 0.03), (-0.06, y - 0.02)], (120, 120, 130), 0.02)
        pen.stroke([(0.06, y - 0.02), (0.24, y + 0.03)], (120, 120, 130), 0.02)


def draw_burst(pen: Pen) -> None:
    """The star of a blow."""
    for size, colour in ((0.36, (252, 210, 40)), (0.2, (244, 110, 40))):
        spikes = [
            (size * radius * x, size * radius * y)
            for (x, y), radius in zip(_STAR, (1.0, 0.5) * (len(_STAR) // 2), strict=True)
        ]
        pen.shape(spikes, colour)


_STAR = (
    (1.0, 0.0), (0.9, 0.43), (0.62, 0.78), (0.22, 0.97), (-0.22, 0.97), (-0.62, 0.78), (-0.9, 0.43),
    (-1.0, 0.0), (-0.9, -0.43), (-0.62, -0.78), (-0.22, -0.97), (0.22, -0.97), (0.62, -0.78), (0.9, -0.43),
)  # fmt: skip


def draw_bed(pen: Pen) -> None:
    """Pillow and mat along the ground, 1.2 units long, head end along -x."""
    pen.box(-0.66, 0, 0.62, 0.07, (196, 180, 220))
    pen.oval((-0.46, 0.13), 0.2, 0.1, fill=_WHITE)


def draw_zs(pen: Pen) -> None:
    """Three Zs of a sleeper, drifting up."""
    for x, y, size in ((0, 0, 0.13), (0.16, 0.17, 0.17), (0.36, 0.38, 0.22)):
        zed = [(x, y + size), (x + size, y + size), (x, y), (x + size, y)]
        pen.stroke(zed, INK, 0.075)
        pen.stroke(zed, _WHITE, 0.04)


def draw_speed(pen: Pen) -> None:
    """Lines of speed that trail behind the origin, along -x."""
    for y, start, stop in ((0.25, -0.35, -0.75), (0.45, -0.3, -0.85), (0.65, -0.3, -0.7)):
        pen.stroke([(start, y), (stop, y)], _WHITE, 0.035)
    for x in (-0.5, -0.66):
        pen.oval((x, 0.05), 0.09, 0.06, fill=(226, 218, 204))
