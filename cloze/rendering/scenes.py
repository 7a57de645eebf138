"""Pictures of the drawn world without lettering, and what can be seen in them, in the words of the sample's labels."""

from dataclasses import replace
from itertools import count

import numpy as np
from PIL import Image

from cloze.sample import vocabulary as words
from cloze.sample.drawing import SIZES, draw_panel
from cloze.sample.grammar import Panel, Scene, stream
from cloze.sample.telling import tell


def random_scene(key: str) -> Scene:
    """A scene of which every part is as likely as any other, and two scenes of different keys have nothing to do."""
    rng = stream(key)
    setting, action = rng.choice(words.ROUTE), rng.choice(words.ACTIONS)
    has_weather = setting not in words.SHELTERED and rng.random() < 0.3
    beside = words.RIVAL if action in words.FACING_ACTIONS else rng.choice((None, None, *words.ANIMALS))
    return Scene(
        setting=setting,
        time=rng.choice(words.TIMES),
        who=rng.choice(words.HEROES + words.RIVALS),
        action=action,
        object=rng.choice((None, *words.OBJECTS, *words.OBJECTS)),
        beside=beside,
        weather=rng.choice(words.WEATHERS) if has_weather else None,
    )


def seen(scene: Scene) -> str:
    """What the picture shows, without what is said: the first sentence of a label."""
    return tell(replace(scene, quote=None, goal=None)).partition(". ")[0]


def picture(scene: Scene, key: str, size: int) -> np.ndarray:
    """The scene drawn without lettering: (size, size, 3) bytes.

    Whoever acts stands on the left and looks right, so that a small model has half as much to learn.
    """
    # A panel's first random number says which way it looks.
    right = next(name for n in count() if stream(name := f"{key} {n}").random() >= 0.5)
    drawn = draw_panel(Panel("", scene, None, ()), SIZES[0], right).picture
    return np.array(drawn.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))
