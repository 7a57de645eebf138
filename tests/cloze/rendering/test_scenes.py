"""Scenes to learn from: every part as likely as any other, told in the words of labels, drawn without lettering."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np

from cloze.rendering.scenes import PEOPLE, SHOWN, figure_place, picture, random_scene, seen
from cloze.sample import vocabulary as words
from cloze.sample.captions import captions

SCENES = [random_scene(f"test {i}") for i in range(400)]


def test_every_value_occurs_about_as_often_as_any_other():
    for field, values in (("setting", words.ROUTE), ("who", words.HEROES + words.RIVALS), ("action", words.ACTIONS)):
        counts = Counter(getattr(scene, field) for scene in SCENES)
        assert set(counts) == set(values)
        assert max(counts.values()) < 3 * min(counts.values())


def test_no_scene_is_one_that_the_world_never_draws():
    for scene in SCENES:
        assert not (scene.setting in words.SHELTERED and scene.weather)
        assert (scene.beside == words.RIVAL) == (scene.action in words.FACING_ACTIONS)


def test_what_is_seen_is_told_in_the_words_of_labels():
    labels = {word for _, _, caption in captions(42) for word in re.findall(r"\w+", caption.partition(". ")[0])}
    told = [seen(scene) for scene in SCENES]
    empty_handed = {"carries", "on", "as", "ever"}  # in labels of `pred`, where nobody knows what is held
    assert {word for caption in told for word in re.findall(r"\w+", caption)} <= labels | empty_handed
    assert not any("says" in caption or "title" in caption for caption in told)


def test_pictures_show_where_and_when_it_is_and_who_and_nothing_else():
    scene = replace(SCENES[0], setting="forest", weather=None)
    shown = picture(scene, 64)
    assert shown.shape == (64, 64, 3)
    for other in (replace(scene, action="falls"), replace(scene, object="sword"), replace(scene, beside="dog")):
        assert np.array_equal(shown, picture(other, 64))
    for name, values in SHOWN.items():
        for value in set(values) - {getattr(scene, name)}:
            changed = replace(scene, **{name: value})  # type: ignore[arg-type]
            assert not np.array_equal(shown, picture(changed, 64))


def test_pictures_have_no_lettering():
    balloon = (picture(SCENES[0], 224).reshape(-1, 3).min(axis=1) > 250).mean()
    assert balloon < 0.1


def test_where_the_figure_stands_is_where_two_people_differ():
    one, other = (replace(SCENES[0], who=who) for who in PEOPLE[:2])
    change = np.abs(picture(one, 64).astype(int) - picture(other, 64)).max(axis=-1) > 40
    place = figure_place(64)
    assert place[change].all()
    assert 0.1 < place.mean() < 0.3
