"""Pictures of the drawn world without lettering, and what can be seen in them, in the words of the sample's labels."""

from dataclasses import replace

import numpy as np
from PIL import Image

from cloze.sample import vocabulary as words
from cloze.sample.drawing import SIZES, draw_staged
from cloze.sample.grammar import Panel, Scene, stream
from cloze.sample.telling import tell

PEOPLE = words.HEROES + words.RIVALS
# What is shown of a scene, and its values.
SHOWN = {"setting": words.ROUTE, "time": words.TIMES, "weather": (None, *words.WEATHERS), "who": PEOPLE}
_DIFFERENT = 24  # of 255


def random_scene(key: str) -> Scene:
    """A scene of which every part is as likely as any other, and two scenes of different keys have nothing to do."""
    rng = stream(key)
    setting, action = rng.choice(words.ROUTE), rng.choice(words.ACTIONS)
    has_weather = setting not in words.SHELTERED and rng.random() < 0.3
    beside = words.RIVAL if action in words.FACING_ACTIONS else rng.choice((None, None, *words.ANIMALS))
    return Scene(
        setting=setting,
        time=rng.choice(words.TIMES),
        who=rng.choice(PEOPLE),
        action=action,
        object=rng.choice((None, *words.OBJECTS, *words.OBJECTS)),
        beside=beside,
        weather=rng.choice(words.WEATHERS) if has_weather else None,
    )


def seen(scene: Scene) -> str:
    """What the picture shows, without what is said: the first sentence of a label."""
    return tell(replace(scene, quote=None, goal=None)).partition(". ")[0]


def picture(scene: Scene, size: int) -> np.ndarray:
    """What a small model can learn of a scene, drawn without lettering: (size, size, 3) bytes.

    That is where and when it is, and who: alone, on one spot, waving. What is done and held is told and not shown.
    """
    alone = Panel("", replace(scene, action="waves", object=None, beside=None), None, ())
    drawn = draw_staged(alone, SIZES[0], x=0.34, looks_left=False).picture
    return np.array(drawn.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))


def figure_place(size: int) -> np.ndarray:
    """Where pictures differ by who is in them: (size, size) booleans."""
    scene = random_scene("anybody")
    everybody = np.stack([picture(replace(scene, who=who), size) for who in PEOPLE]).astype(int)
    return (everybody.max(axis=0) - everybody.min(axis=0)).max(axis=-1) > _DIFFERENT
