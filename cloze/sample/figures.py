"""The cast: bodies by name, poses by action. A figure stands on its pen's origin and is one unit tall."""

from collections.abc import Callable
from dataclasses import dataclass

from cloze.sample import props
from cloze.sample.pen import INK, Colour, Pen, Point, turned

_HEAD = 0.165
_LIMB = 0.075
_HIP: Point = (0.0, 0.36)
_NECK: Point = (0.0, 0.66)
_THING = 0.4  # size of what is held, in figure heights


@dataclass(frozen=True)
class Body:
    """What makes a character recognisable."""

    size: float
    coat: Colour
    legs: Colour
    skin: Colour
    shoulders: float
    hem: float  # half width of the body at the hip
    hat: Callable[[Pen], None]


@dataclass(frozen=True)
class Pose:
    """Where the joints are, looking along x.

    Attributes:
        legs: knee and foot of each leg.
        arms: elbow and hand of each arm, before the upper body leans; the first hand holds the object.
        lift: how far the feet are off the ground.
        lean: degrees that the upper body leans forward.
        turn: degrees that the whole figure is turned forward.
        drop: how far the hip is below where it is when standing.
    """

    legs: tuple[tuple[Point, Point], tuple[Point, Point]]
    arms: tuple[tuple[Point, Point], tuple[Point, Point]]
    lift: float = 0.0
    lean: float = 0.0
    turn: float = 0.0
    drop: float = 0.0


_STAND = (((-0.09, 0.18), (-0.1, 0.02)), ((0.09, 0.18), (0.12, 0.02)))
_CARRY = ((0.2, 0.46), (0.36, 0.5))
_HANG = ((-0.2, 0.48), (-0.24, 0.32))

POSES = {
    "stands": Pose(_STAND, (_CARRY, _HANG)),
    "reads": Pose((((0.26, 0.34), (0.3, 0.02)), ((0.32, 0.32), (0.4, 0.02))), (((-0.2, 0.5), (-0.4, 0.42)), ((0.14, 0.5), (0.3, 0.54))), drop=0.12),
    "rides": Pose((((0.14, 0.22), (0.06, 0.04)), ((0.16, 0.2), (0.12, 0.04))), (((0.0, 0.85), (-0.22, 0.95)), ((0.18, 0.5), (0.34, 0.5))), lift=0.3, lean=12),
    "waves": Pose(_STAND, (((0.22, 0.44), (0.36, 0.4)), ((-0.24, 0.84), (-0.3, 1.1)))),
    "digs": Pose((((-0.12, 0.2), (-0.2, 0.02)), ((0.12, 0.2), (0.1, 0.02))), (((-0.2, 0.62), (-0.36, 0.84)), ((0.18, 0.42), (0.32, 0.42))), lean=48),
    "jumps": Pose((((-0.24, 0.3), (-0.34, 0.08)), ((0.24, 0.3), (0.36, 0.1))), (((0.24, 0.8), (0.36, 0.98)), ((-0.24, 0.8), (-0.36, 1.0))), lift=0.4),
    "hides": Pose(_STAND, (((0.3, 0.7), (0.5, 0.66)), _HANG), lean=8, drop=0.12),
    "runs": Pose((((0.24, 0.34), (0.4, 0.1)), ((-0.14, 0.16), (-0.46, 0.2))), (((0.2, 0.5), (0.42, 0.6)), ((-0.2, 0.5), (-0.34, 0.66))), lift=0.04, lean=24),
    "climbs": Pose((((0.2, 0.34), (0.2, 0.14)), ((0.02, 0.16), (0.16, -0.04))), (((-0.2, 0.5), (-0.38, 0.5)), ((0.12, 0.86), (0.24, 1.04))), lift=0.36),
    "falls": Pose((((-0.2, 0.24), (-0.34, 0.06)), ((0.18, 0.2), (0.28, -0.02))), (((0.26, 0.78), (0.44, 0.9)), ((-0.24, 0.8), (-0.4, 0.94))), lift=0.36, turn=158),
    "fights": Pose((((-0.22, 0.2), (-0.3, 0.02)), ((0.2, 0.24), (0.24, 0.02))), (((-0.22, 0.66), (-0.38, 0.78)), ((0.24, 0.6), (0.46, 0.6))), lean=10),
    "kneels": Pose((((0.22, 0.34), (0.2, 0.18)), ((-0.06, 0.2), (-0.34, 0.2))), (((0.24, 0.5), (0.44, 0.6)), ((0.14, 0.44), (0.32, 0.46))), lean=14, drop=0.16),
    "sleeps": Pose((((-0.06, 0.16), (-0.06, 0.0)), ((0.07, 0.16), (0.07, 0.0))), (((0.2, 0.5), (0.28, 0.36)), ((0.1, 0.48), (0.12, 0.4))), lift=0.2, turn=-90),
}  # fmt: skip


def draw_figure(who: str, action: str, thing: str | None, pen: Pen) -> Point:
    """Draw the character doing it, with what the action needs and what is held.

    Args:
        pen: origin on the ground, one unit is the height of a middling figure.

    Returns:
        Pixel of the mouth, for the tail of a balloon.
    """
    body = BODIES[who]
    _behind(action, pen)
    mouth = _draw_body(body, POSES[action], thing, pen)
    _before(action, pen)
    return mouth


def draw_shadow(pen: Pen) -> None:
    """Somebody in grey who cannot be told from anybody else."""
    grey = (98, 96, 104)
    _draw_body(Body(0.95, grey, grey, grey, 0.18, 0.2, _no_hat), POSES["fights"], None, pen)


def _behind(action: str, pen: Pen) -> None:
    """What is drawn before the figure, so that it is behind it."""
    if action in ("jumps", "falls"):
        pen.oval((0, 0), 0.34, 0.05, fill=(60, 54, 60), outline=None)
    if action == "rides":
        props.draw_horse(pen.moved((0.02, 0), 0.95))
    if action == "climbs":
        props.draw_ladder(pen.moved((0.24, 0)))
    if action == "sleeps":
        props.draw_bed(pen.moved((0.05, 0), 1.1))
    if action == "digs":
        props.draw_hole(pen.moved((0.5, 0)))
    if action == "runs":
        props.draw_speed(pen)


def _before(action: str, pen: Pen) -> None:
    """What is drawn after the figure, so that it covers it."""
    if action == "hides":
        props.draw_crate(pen.moved((0.02, -0.03), 1.08))
    if action == "reads":
        props.draw_book(pen.moved((0.38, 0.5), 1.0))
    if action == "digs":
        props.draw_shovel(pen.moved((0.62, 0.05), 1.0, -32))
    if action == "sleeps":
        props.draw_zs(pen.moved((-0.3, 0.42)))
    if action == "fights":
        props.draw_burst(pen.moved((0.66, 0.56)))
    if action == "falls":
        for x in (-0.34, 0.0, 0.34):
            pen.stroke([(x, 1.1), (x, 1.34)], (252, 252, 250), 0.035)
    if action == "waves":
        for x, top in ((-0.44, 1.22), (-0.54, 1.12)):
            pen.stroke([(x, top), (x - 0.06, top - 0.12), (x - 0.02, top - 0.24)], (252, 252, 250), 0.03)


def _draw_body(body: Body, pose: Pose, thing: str | None, pen: Pen) -> Point:
    centre = (0.0, 0.5)
    frame = pen.moved((0, pose.lift + (0.5 * body.size if pose.turn else 0)), body.size)
    frame = frame.moved((0, 0), turn=pose.turn).moved((0, -centre[1])) if pose.turn else frame
    hip = (_HIP[0], _HIP[1] - pose.drop)

    def upper(point: Point) -> Point:
        return turned((point[0], point[1] - pose.drop), pose.lean, hip)

    (elbow, hand), (other_elbow, other_hand) = pose.arms
    shoulder = body.shoulders * 0.8
    frame.limb([upper((-shoulder, 0.6)), upper(other_elbow), upper(other_hand)], body.coat, _LIMB)
    for knee, foot in pose.legs:
        frame.limb([hip, knee, foot], body.legs, _LIMB * 1.15)
    _draw_coat(body, [upper(_NECK), hip], frame, pose.lean)
    head = upper((0.0, _NECK[1] + 0.14))
    _draw_head(body, frame.moved(head, turn=pose.lean))
    frame.limb([upper((shoulder, 0.6)), upper(elbow), upper(hand)], body.coat, _LIMB)
    if thing is not None:
        upright = 0.0 if pose.turn == 0 else -frame.turn
        props.draw_object(thing, frame.moved(upper(hand), _THING / body.size, upright))
    for palm in (hand, other_hand):
        frame.oval(upper(palm), 0.05, fill=body.skin)
    return frame.pixel(upper((0.16, _NECK[1] + 0.12)))


def _draw_coat(body: Body, spine: list[Point], pen: Pen, lean: float) -> None:
    neck, hip = spine
    top, bottom = turned((body.shoulders, 0), lean), turned((body.hem, 0), lean)
    pen.shape(
        [
            (neck[0] - top[0], neck[1] - top[1]),
            (neck[0] + top[0], neck[1] + top[1]),
            (hip[0] + bottom[0], hip[1] + bottom[1] - 0.06),
            (hip[0] - bottom[0], hip[1] - bottom[1] - 0.06),
        ],
        body.coat,
    )


def _draw_head(body: Body, pen: Pen) -> None:
    pen.oval((0, 0), _HEAD, fill=body.skin)
    for x in (0.04, 0.12):
        pen.oval((x, 0.02), 0.018, 0.03, fill=INK, outline=None)
    pen.stroke([(0.03, -0.07), (0.08, -0.09), (0.13, -0.06)], INK, 0.02)
    body.hat(pen)


def _no_hat(pen: Pen) -> None:
    """Nothing on the head."""


def _cap(pen: Pen) -> None:
    pen.shape([(-0.17, 0.05), (-0.14, 0.17), (0, 0.22), (0.14, 0.17), (0.17, 0.05), (0.3, 0.03), (0.3, 0.07)], (250, 214, 30))


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
    crown = [(0.17, 0.06), (0.2, 0.26), (0.08, 0.2), (0.04, 0.36), (-0.06, 0.22), (-0.2, 0.32), (-0.18, 0.14), (-0.32, 0.1), (-0.2, -0.04)]
    pen.shape([*crown, (-0.08, 0.08)], (30, 26, 60))


def _horns(pen: Pen) -> None:
    for side in (-1, 1):
        pen.shape([(0.1 * side, 0.12), (0.3 * side, 0.18), (0.32 * side, 0.38), (0.2 * side, 0.28), (0.06 * side, 0.2)], (250, 246, 226))
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
