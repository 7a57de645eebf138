"""Every word the drawn world is made of, and where each fact of a panel can be seen.

Values of facts are whole words that stand verbatim in a label that tells the fact; none contains another, and no
sentence below holds one by accident (a test looks).
"""

from dataclasses import dataclass

HEROES = ("Pip", "Nell", "Otto", "Mara", "Gus")
RIVALS = ("Vex", "Zora", "Bruno")

# Where one comes to after a ride or a run: the world is a ring road, so the next place can be foreseen.
ROUTE = ("harbor", "forest", "castle", "desert", "city street", "kitchen", "cave", "snowy mountain")
# What lies buried in each place, in the order of ROUTE.
OBJECTS = ("oar", "basket", "sword", "umbrella", "suitcase", "pan", "lantern", "flag")
TIMES = ("day", "sunset", "night")
GOALS = ("crown", "pearl", "letter", "idol", "horn", "ring", "diamond", "potion")
WEATHERS = ("rain", "fog", "lightning")
ANIMALS = ("dog", "parrot", "goat")
RIVAL = "rival"

BURIED = dict(zip(ROUTE, OBJECTS, strict=True))
NEXT_PLACE = dict(zip(ROUTE, ROUTE[1:] + ROUTE[:1], strict=True))
# Indoors and under ground there is no weather to see.
SHELTERED = frozenset({"kitchen", "cave"})

# Scenes are runs of actions that always follow one another; a script is an order of scenes, told round and round.
_SCENES = {
    "travel": ("reads", "rides", "waves"),
    "search": ("digs", "jumps"),
    "pursuit": ("hides", "runs", "climbs", "falls"),
    "duel": ("fights", "kneels"),
    "rest": ("sleeps",),
}
ACTIONS = tuple(action for scene in _SCENES.values() for action in scene)
RIVAL_ACTIONS = frozenset({"hides", "runs", "falls", "kneels"})
FACING_ACTIONS = frozenset({"fights", "kneels"})
MOVING_ACTIONS = frozenset({"rides", "runs"})
TIME_AFTER = {"jumps": "sunset", "falls": "night", "sleeps": "day"}


@dataclass(frozen=True)
class Script:
    """A kind of story.

    Attributes:
        verb: what everybody in it talks of doing with the goal; it tells the reader which script this is.
        title: lettering of the title panel.
        scenes: order of scenes.
    """

    verb: str
    title: str
    scenes: tuple[str, ...]

    @property
    def actions(self) -> tuple[str, ...]:
        """Each action once, in the order of the script."""
        return tuple(action for scene in self.scenes for action in _SCENES[scene])

    def next_action(self, action: str) -> str:
        """The action that follows as a rule; after the last comes the first."""
        order = self.actions
        return order[(order.index(action) + 1) % len(order)]


SCRIPTS = {
    "quest": Script("find", "{who}'s quest for the {goal}", ("travel", "search", "pursuit", "duel", "rest")),
    "theft": Script("return", "{who} and the stolen {goal}", ("pursuit", "travel", "search", "duel", "rest")),
    "chase": Script("catch", "{who} chases the {goal}", ("pursuit", "duel", "travel", "rest", "search")),
    "rescue": Script("save", "{who} to the {goal}'s rescue", ("travel", "duel", "search", "pursuit", "rest")),
    "race": Script("win", "{who}'s race for the {goal}", ("travel", "pursuit", "search", "rest", "duel")),
}

# The channel of each fact: what hides the pictures hides the first kind, what hides the lettering the second.
SEEN_IN = {
    "setting": "picture",
    "time": "picture",
    "who": "both",
    "action": "picture",
    "object": "picture",
    "goal": "lettering",
    "beside": "picture",
    "weather": "picture",
}
VALUES = {
    "setting": ROUTE,
    "time": TIMES,
    "who": HEROES + RIVALS,
    "action": ACTIONS,
    "object": OBJECTS,
    "goal": GOALS,
    "beside": (*ANIMALS, RIVAL),
    "weather": WEATHERS,
}

NARRATIONS = (
    "Meanwhile, {who} has a new plan...",
    "Soon {who} is on the move...",
    "And now {who} takes a chance...",
    "But {who} will not give up...",
    "A little later, {who} appears again...",
)
# What is said. Who is addressed acts next, as a rule; the first of each row is the likeliest.
LINES_TO_SELF = (
    "I must {verb} the {goal}!",
    "I will {verb} the {goal} at last!",
    "Nobody else can {verb} the {goal}!",
    "This is how we {verb} the {goal}!",
)
LINES_TO_OTHER = (
    "{other}, you will never {verb} the {goal}!",
    "{other}, watch me {verb} the {goal} first!",
    "Only one of us can {verb} the {goal}, {other}!",
    "Who will {verb} the {goal} now, {other}?",
)
ASIDES_TO_SELF = ("Oh no! What can I do now?", "Hurry up! There is no time left!", "This is my lucky chance!")
ASIDES_TO_OTHER = (
    "{other}, where are you going now?",
    "It is your turn now, {other}!",
    "Not so fast this time, {other}!",
)

# How a label tells each value.
PLACE_PHRASES = {
    "harbor": "At the harbor",
    "forest": "In the forest",
    "castle": "At the castle",
    "desert": "In the desert",
    "city street": "On the city street",
    "kitchen": "In the kitchen",
    "cave": "In the cave",
    "snowy mountain": "On the snowy mountain",
}
TIME_PHRASES = {"day": "by day", "sunset": "at sunset", "night": "at night"}
WEATHER_PHRASES = {"rain": "in the rain", "fog": "in the fog", "lightning": "under lightning"}
ACTION_PHRASES = {
    "reads": "reads closely",
    "rides": "rides along",
    "waves": "waves gladly",
    "digs": "digs deep",
    "jumps": "jumps high",
    "hides": "hides well",
    "runs": "runs fast",
    "climbs": "climbs up",
    "falls": "falls down",
    "fights": "fights bravely",
    "kneels": "kneels low",
    "sleeps": "sleeps soundly",
}
