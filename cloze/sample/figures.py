"""Figures: a character in a pose, with what the action needs and what is held."""

from cloze.sample import props
from cloze.sample.cast import BODIES, HEAD, SHADOW, Body
from cloze.sample.pen import INK, Pen, Point, turned
from cloze.sample.poses import HIP, NECK, POSES, Pose

_LIMB = 0.075
_THING = 0.4  # size of what is held, in figure heights


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
    """Draw a rival: that there is one shows, not who it is."""
    _draw_body(SHADOW, POSES["fights"], None, pen)


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
    if action == "reads":
        props.draw_stool(pen.moved((0.04, 0)))
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
        props.draw_zs(pen.moved((-0.44, 0.4), 0.85))
    if action == "fights":
        props.draw_burst(pen.moved((0.66, 0.56)))
    if action == "falls":
        for x in (-0.34, 0.0, 0.34):
            pen.stroke([(x, 1.1), (x, 1.34)], (252, 252, 250), 0.035)
    if action == "waves":
        for x, top in ((-0.44, 1.22), (-0.54, 1.12)):
            pen.stroke([(x, top), (x - 0.06, top - 0.12), (x - 0.02, top - 0.24)], (252, 252, 250), 0.03)


def _draw_body(body: Body, pose: Pose, thing: str | None, pen: Pen) -> Point:
    """Draw the body from back to front; returns the pixel of the mouth."""
    frame = _frame(body, pose, pen)
    hip = (HIP[0], HIP[1] - pose.drop)

    def upper(point: Point) -> Point:
        return turned((point[0], point[1] - pose.drop), pose.lean, hip)

    (elbow, hand), (other_elbow, other_hand) = pose.arms
    shoulder = body.shoulders * 0.8
    frame.limb([upper((-shoulder, 0.6)), upper(other_elbow), upper(other_hand)], body.coat, _LIMB)
    for knee, foot in pose.legs:
        frame.limb([hip, knee, foot], body.legs, _LIMB * 1.15)
    _draw_coat(body, [upper(NECK), hip], frame, pose.lean)
    head = upper((0.0, NECK[1] + 0.14))
    _draw_head(body, frame.moved(head, turn=pose.lean))
    frame.limb([upper((shoulder, 0.6)), upper(elbow), upper(hand)], body.coat, _LIMB)
    if thing is not None:
        props.draw_object(thing, frame.moved(upper(hand), _THING / body.size, -frame.turn))  # things stay upright
    for palm in (hand, other_hand):
        frame.oval(upper(palm), 0.05, fill=body.skin)
    return frame.pixel(upper((0.16, NECK[1] + 0.12)))


def _frame(body: Body, pose: Pose, pen: Pen) -> Pen:
    """A pen for the body: lifted off the ground, and turned about its middle."""
    middle = 0.5
    upright = pen.moved((0, pose.lift), body.size)
    return upright.moved((0, middle), turn=pose.turn).moved((0, -middle))


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
    pen.oval((0, 0), HEAD, fill=body.skin)
    for x in (0.04, 0.12):
        pen.oval((x, 0.02), 0.018, 0.03, fill=INK, outline=None)
    pen.stroke([(0.03, -0.07), (0.08, -0.09), (0.13, -0.06)], INK, 0.02)
    body.hat(pen)
