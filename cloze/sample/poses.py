"""Poses: where the joints of a figure are, by action. The figure is one unit tall and looks along x."""

from dataclasses import dataclass

from cloze.sample.pen import Point

Limb = tuple[Point, Point]  # the middle joint and the end: knee and foot, elbow and hand

HIP: Point = (0.0, 0.36)
NECK: Point = (0.0, 0.66)


@dataclass(frozen=True)
class Pose:
    """Where the joints are.

    Attributes:
        legs: knee and foot of each leg.
        arms: elbow and hand of each arm, before the upper body leans; the first hand holds the object.
        lift: how far the feet are off the ground.
        lean: degrees that the upper body leans forward.
        turn: degrees that the whole figure is turned forward.
        drop: how far the hip is below where it is when standing.
    """

    legs: tuple[Limb, Limb]
    arms: tuple[Limb, Limb]
    lift: float = 0.0
    lean: float = 0.0
    turn: float = 0.0
    drop: float = 0.0


_STAND: tuple[Limb, Limb] = (((-0.09, 0.18), (-0.1, 0.02)), ((0.09, 0.18), (0.12, 0.02)))
_HANG: Limb = ((-0.2, 0.48), (-0.24, 0.32))

POSES = {
    "reads": Pose(
        legs=(((0.26, 0.34), (0.3, 0.02)), ((0.32, 0.32), (0.4, 0.02))),
        arms=(((-0.2, 0.5), (-0.4, 0.42)), ((0.14, 0.5), (0.3, 0.54))),
        drop=0.12,
    ),
    "rides": Pose(
        legs=(((0.14, 0.22), (0.06, 0.04)), ((0.16, 0.2), (0.12, 0.04))),
        arms=(((-0.2, 0.5), (-0.38, 0.42)), ((0.18, 0.5), (0.34, 0.5))),
        lift=0.26,
        lean=12,
    ),
    "waves": Pose(legs=_STAND, arms=(((0.22, 0.44), (0.36, 0.4)), ((-0.24, 0.84), (-0.3, 1.1)))),
    "digs": Pose(
        legs=(((-0.12, 0.2), (-0.2, 0.02)), ((0.12, 0.2), (0.1, 0.02))),
        arms=(((-0.2, 0.42), (-0.38, 0.3)), ((0.18, 0.42), (0.32, 0.42))),
        lean=48,
    ),
    "jumps": Pose(
        legs=(((-0.24, 0.3), (-0.34, 0.08)), ((0.24, 0.3), (0.36, 0.1))),
        arms=(((-0.26, 0.66), (-0.42, 0.66)), ((0.24, 0.8), (0.36, 0.98))),
        lift=0.27,
    ),
    "hides": Pose(legs=_STAND, arms=(((0.3, 0.7), (0.5, 0.66)), _HANG), lean=8, drop=0.12),
    "runs": Pose(
        legs=(((0.24, 0.34), (0.4, 0.1)), ((-0.14, 0.16), (-0.46, 0.2))),
        arms=(((0.2, 0.5), (0.42, 0.6)), ((-0.2, 0.5), (-0.34, 0.66))),
        lift=0.04,
        lean=24,
    ),
    "climbs": Pose(
        legs=(((0.2, 0.34), (0.2, 0.14)), ((0.02, 0.16), (0.16, -0.04))),
        arms=(((-0.2, 0.46), (-0.38, 0.46)), ((0.12, 0.82), (0.24, 0.98))),
        lift=0.26,
    ),
    "falls": Pose(
        legs=(((-0.2, 0.24), (-0.34, 0.06)), ((0.18, 0.2), (0.28, -0.02))),
        arms=(((0.26, 0.78), (0.44, 0.9)), ((-0.24, 0.8), (-0.4, 0.94))),
        lift=0.36,
        turn=158,
    ),
    "fights": Pose(
        legs=(((-0.22, 0.2), (-0.3, 0.02)), ((0.2, 0.24), (0.24, 0.02))),
        arms=(((-0.22, 0.66), (-0.38, 0.78)), ((0.24, 0.6), (0.46, 0.6))),
        lean=10,
    ),
    "kneels": Pose(
        legs=(((0.22, 0.34), (0.2, 0.18)), ((-0.06, 0.2), (-0.34, 0.2))),
        arms=(((0.24, 0.5), (0.44, 0.6)), ((0.14, 0.44), (0.32, 0.46))),
        lean=14,
        drop=0.16,
    ),
    "sleeps": Pose(
        legs=(((-0.06, 0.16), (-0.06, 0.0)), ((0.07, 0.16), (0.07, 0.0))),
        arms=(((0.1, 0.46), (0.3, 0.3)), ((0.1, 0.48), (0.12, 0.4))),
        lift=-0.22,
        turn=-90,
    ),
}
