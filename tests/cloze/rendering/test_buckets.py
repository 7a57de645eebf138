"""Panels keep their aspect: they are cut a little, never squashed, and batches hold one shape each."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from cloze.rendering.buckets import batches, bucket, fitted


@pytest.mark.parametrize(
    ("size", "shape"),
    [((512, 512), (512, 512)), ((400, 800), (384, 704)), ((900, 700), (576, 448)), ((2000, 20), (704, 384))],
)
def test_a_shape_has_about_the_area_and_the_aspect(size, shape):
    assert bucket(size, 512, 8) == shape


def test_the_middle_of_a_picture_is_kept_and_nothing_is_squashed():
    picture = Image.fromarray(np.repeat(np.arange(200, dtype=np.uint8)[None], 100, axis=0)).convert("RGB")
    kept = np.asarray(fitted(picture, (100, 100)))[50, :, 0]
    assert kept.tolist() == list(range(50, 150))


def test_a_batch_has_one_shape_and_an_epoch_shows_each_panel_once():
    shapes = [(64, 64), (80, 48), (64, 64), (48, 80)] * 5
    orders = [batches(shapes, 4, 42, epoch) for epoch in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    for order in orders:
        assert all(len({shapes[index] for index in batch}) == 1 for batch in order)
        assert Counter(index for batch in order for index in batch) == Counter(range(20))
