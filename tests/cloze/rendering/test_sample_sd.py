"""What the miniature that ships with the project draws: scenes that it never saw, told from other scenes."""

from dataclasses import replace

import numpy as np
import pytest

from cloze.rendering.diffusion import SAMPLE, SAMPLE_SD, How, draw, load_painter
from cloze.rendering.scenes import PEOPLE, picture, random_scene, seen
from cloze.sample import vocabulary as words
from cloze.sample.grammar import Scene

VALUES = {"setting": words.ROUTE, "time": words.TIMES, "who": PEOPLE}
N_SCENES = 16


@pytest.fixture(scope="module")
def drawings() -> list[tuple[Scene, np.ndarray]]:
    painter = load_painter(SAMPLE, lora=None, precision="fp32", memory="none", device="cpu")
    scenes = [random_scene(f"held out {i}") for i in range(N_SCENES)]
    how = How(steps=20, guidance=2.0, negative="", size=painter.size)
    found = draw(painter, [seen(scene) for scene in scenes], range(N_SCENES), how)
    return [(scene, np.asarray(each.picture, float)) for scene, each in zip(scenes, found, strict=True) if each.picture]


def closer(drawings: list[tuple[Scene, np.ndarray]], field: str) -> float:
    """Share of wrong values whose scene, as the world draws it, is further from the drawing than the right one's."""
    wins = []
    for scene, drawn in drawings:
        distances = {
            value: np.abs(drawn - picture(replace(scene, **{field: value}), 64)).mean() for value in VALUES[field]
        }
        right = distances.pop(getattr(scene, field))
        wins += [right < distance for distance in distances.values()]
    return float(np.mean(wins))


def test_every_scene_becomes_a_picture(drawings):
    assert len(drawings) == N_SCENES


@pytest.mark.parametrize(("field", "least"), [("setting", 0.85), ("time", 0.9), ("who", 0.9)])
def test_the_right_value_is_closer_than_a_wrong_one(drawings, field, least):
    """Chance is 0.5; measured on 48 scenes 0.97, 1.00 and 1.00 (docs/rendering.md)."""
    assert closer(drawings, field) > least


def test_the_weights_are_small_enough_to_ship():
    assert sum(path.stat().st_size for path in SAMPLE_SD.rglob("*")) < 8e6
    assert {path.suffix for path in SAMPLE_SD.rglob("*") if path.is_file()} == {".json", ".safetensors"}
