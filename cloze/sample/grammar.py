"""The story grammar: from a seed to what every panel of a story shows and says.

A story is a walk through its script. Most of what the next panel shows follows from the panels before it; `foretell`
says what. The rest are surprises and free details, whose shares are the constants below.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cloze.sample import vocabulary as words

# Shares of panels in which something departs from the script.
ACTION_SURPRISE = 0.12
WHO_SURPRISE = 0.05
PLACE_SURPRISE = 0.03
TIME_SURPRISE = 0.03
OBJECT_SURPRISE = 0.03
# Shares of panels with a free detail, which nothing foretells.
ASIDE = 0.15
WEATHER = 0.35
ANIMAL = 0.35
LIKELIEST_LINE = 0.5


@dataclass(frozen=True)
class Scene:
    """What can be told about one panel, seen or foreseen; None is what is not there, not said or not known."""

    setting: str
    time: str
    who: str
    action: str
    object: str | None = None
    goal: str | None = None
    beside: str | None = None
    weather: str | None = None
    quote: str | None = None  # what is said, without the name it is said to


@dataclass(frozen=True)
class Bubble:
    """A piece of lettering; `kind` is title, narration, balloon or end."""

    kind: str
    text: str


@dataclass(frozen=True)
class Panel:
    """One panel of a story: its script, what it shows, whom the balloon addresses, and all lettering."""

    script: str
    scene: Scene
    addressed: str | None
    bubbles: tuple[Bubble, ...]


@dataclass
class _State:
    """Where a story stands between two panels; `owned` is what each of the two has in hand."""

    script: str
    hero: str
    rival: str
    goal: str
    setting: str
    time: str
    action: str
    who: str
    owned: dict[str, str]


def stream(*parts: object) -> random.Random:
    """Random numbers of their own for what `parts` name, the same on every machine and in every process."""
    return random.Random("/".join(map(str, parts)))  # noqa: S311 - pictures, not secrets


def tell_story(rng: random.Random, n_panels: int, *, has_end: bool = True) -> tuple[Panel, ...]:
    """The panels of one story: a title panel first, THE END in the last one where `has_end`."""
    state = _opening(rng)
    panels = [_title_panel(state)]
    while len(panels) < n_panels:
        _advance(state, rng)
        panels.append(_panel(state, rng))
    if has_end:
        last = panels[-1]
        panels[-1] = replace(last, bubbles=(*last.bubbles, Bubble("end", "THE END")))
    return tuple(panels)


def foretell(context: Sequence[Panel]) -> Scene:
    """The likeliest next panel given these, and nothing else.

    Free details are left out: none of them is likelier than not. What a character carries who was not seen yet
    stays unknown (None).
    """
    last = context[-1]
    seen = last.scene
    who = last.addressed or seen.who
    action = words.SCRIPTS[last.script].next_action(seen.action)
    goal = next((panel.scene.goal for panel in reversed(context) if panel.scene.goal), None)
    return Scene(
        setting=_place_after(seen),
        time=_time_after(seen),
        who=who,
        action=action,
        object=_object_after(context, who),
        goal=goal,
        beside=_facing(action),
        quote=_quote(_likeliest_line(last.script, action, who, goal), last.script, goal),
    )


def facts(panel: Panel) -> dict[str, str]:
    """Value of each fact that the panel shows or says; free details that are absent have no entry."""
    return scene_facts(panel.scene)


def scene_facts(scene: Scene) -> dict[str, str]:
    """Value of each fact in a scene, in the order a label tells them."""
    values = {name: getattr(scene, name) for name in words.SEEN_IN}
    return {name: value for name, value in values.items() if value is not None}


def _opening(rng: random.Random) -> _State:
    script = rng.choice(sorted(words.SCRIPTS))
    hero, rival = rng.choice(words.HEROES), rng.choice(words.RIVALS)
    first, second = rng.sample(words.OBJECTS, 2)
    return _State(
        script=script,
        hero=hero,
        rival=rival,
        goal=rng.choice(words.GOALS),
        setting=rng.choice(words.ROUTE),
        time=rng.choice(words.TIMES),
        action=rng.choice(words.ACTIONS),
        who=hero,
        owned={hero: first, rival: second},
    )


def _advance(state: _State, rng: random.Random) -> None:
    """Move the state from one panel to the next: by the script, or by surprise."""
    seen = _scene(state)
    if seen.action == "digs":
        state.owned[seen.who] = words.BURIED[seen.setting]
    if seen.action == "kneels":  # the one who kneels gives away what was in hand, and takes the other's
        state.owned[state.hero], state.owned[state.rival] = state.owned[state.rival], state.owned[state.hero]
    state.setting = _unless(PLACE_SURPRISE, _place_after(seen), words.ROUTE, rng)
    state.time = _unless(TIME_SURPRISE, _time_after(seen), words.TIMES, rng)
    state.who = _expected_who(state)
    state.action = words.SCRIPTS[state.script].next_action(seen.action)
    if rng.random() < ACTION_SURPRISE:
        state.action = rng.choice(words.ACTIONS)
    if rng.random() < WHO_SURPRISE:
        state.who = _other(state)
    state.owned[state.who] = _unless(OBJECT_SURPRISE, state.owned[state.who], words.OBJECTS, rng)


def _unless(share: float, usual: str, values: Sequence[str], rng: random.Random) -> str:
    surprise = rng.random() < share
    return rng.choice(values) if surprise else usual


def _place_after(seen: Scene) -> str:
    return words.NEXT_PLACE[seen.setting] if seen.action in words.MOVING_ACTIONS else seen.setting


def _time_after(seen: Scene) -> str:
    return words.TIME_AFTER.get(seen.action, seen.time)


def _object_after(context: Sequence[Panel], who: str) -> str | None:
    """What `who` has in hand next: dug up, given, or as when last seen within the context."""
    last = context[-1].scene
    if last.action == "digs" and last.who == who:
        return words.BURIED[last.setting]
    if last.action == "kneels" and last.who != who:
        return last.object
    held = next((p.scene for p in reversed(context) if p.scene.who == who), None)
    return held.object if held else None


def _is_heros_turn_after(action: str, script: str) -> bool:
    """Whether the hero, not the rival, does what follows `action` as a rule."""
    return words.SCRIPTS[script].next_action(action) not in words.RIVAL_ACTIONS


def _expected_who(state: _State) -> str:
    return state.hero if _is_heros_turn_after(state.action, state.script) else state.rival


def _other(state: _State) -> str:
    return state.rival if state.who == state.hero else state.hero


def _scene(state: _State) -> Scene:
    return Scene(state.setting, state.time, state.who, state.action, state.owned[state.who])


def _title_panel(state: _State) -> Panel:
    title = words.SCRIPTS[state.script].title.format(who=state.who, goal=state.goal)
    scene = replace(_scene(state), goal=state.goal, beside=_facing(state.action))
    return Panel(state.script, scene, None, (Bubble("title", title.upper()),))


def _facing(action: str) -> str | None:
    return words.RIVAL if action in words.FACING_ACTIONS else None


def _panel(state: _State, rng: random.Random) -> Panel:
    """One panel from the state, with its free details and lettering."""
    expected = _expected_who(state)
    addressed = None if expected == state.who else expected
    line, goal = _line(state, addressed is not None, rng)
    weather = rng.choice(words.WEATHERS) if rng.random() < WEATHER else None
    animal = rng.choice(words.ANIMALS) if rng.random() < ANIMAL else None
    scene = replace(
        _scene(state),
        goal=goal,
        beside=_facing(state.action) or animal,
        weather=None if state.setting in words.SHELTERED else weather,
        quote=_quote(line, state.script, goal),
    )
    narration = rng.choice(words.NARRATIONS).format(who=state.who)
    spoken = line.format(verb=words.SCRIPTS[state.script].verb, goal=goal, other=addressed)
    bubbles = (Bubble("narration", narration.upper()), Bubble("balloon", spoken.upper()))
    return Panel(state.script, scene, addressed, bubbles)


def _line(state: _State, to_other: bool, rng: random.Random) -> tuple[str, str | None]:
    """A line as a template, and the goal where it speaks of it."""
    if rng.random() < ASIDE:
        return rng.choice(words.ASIDES_TO_OTHER if to_other else words.ASIDES_TO_SELF), None
    likeliest, *others = words.LINES_TO_OTHER if to_other else words.LINES_TO_SELF
    return likeliest if rng.random() < LIKELIEST_LINE else rng.choice(others), state.goal


def _likeliest_line(script: str, action: str, who: str, goal: str | None) -> str:
    to_other = _is_heros_turn_after(action, script) != (who in words.HEROES)
    if goal is None:
        return (words.ASIDES_TO_OTHER if to_other else words.ASIDES_TO_SELF)[0]
    return (words.LINES_TO_OTHER if to_other else words.LINES_TO_SELF)[0]


def _quote(line: str, script: str, goal: str | None) -> str:
    """The line without the name it is said to: a label that quoted it would name somebody who does not act."""
    bare = line.replace("{other}, ", "").replace(", {other}", "")
    spoken = bare.format(verb=words.SCRIPTS[script].verb, goal=goal)
    return spoken[0].upper() + spoken[1:]
