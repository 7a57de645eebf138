"""Aspect buckets: pictures of any shape in batches of one shape, hardly cut and never squashed."""

import math
import random
from collections import defaultdict
from collections.abc import Sequence

from PIL import Image

_WIDEST = 2.0


def bucket(size: tuple[int, int], resolution: int, multiple: int) -> tuple[int, int]:
    """The shape (width, height) that a picture is brought to: about `resolution` squared pixels, its aspect kept.

    Args:
        size: width and height of the picture.
        multiple: width and height are multiples of an eighth of the resolution, and of this.
    """
    step = max(multiple, resolution // 8 // multiple * multiple)
    aspect = min(max(size[0] / size[1], 1 / _WIDEST), _WIDEST)
    width = max(step, round(resolution * math.sqrt(aspect) / step) * step)
    height = max(step, round(resolution / math.sqrt(aspect) / step) * step)
    return width, height


def fitted(picture: Image.Image, shape: tuple[int, int]) -> Image.Image:
    """A picture brought to a shape: scaled until it covers it, and what stands out cut off on both sides alike."""
    scale = max(shape[0] / picture.width, shape[1] / picture.height)
    size = (max(shape[0], round(picture.width * scale)), max(shape[1], round(picture.height * scale)))
    left, top = (size[0] - shape[0]) // 2, (size[1] - shape[1]) // 2
    resized = picture.resize(size, Image.Resampling.LANCZOS)
    return resized.crop((left, top, left + shape[0], top + shape[1]))


def batches(shapes: Sequence[tuple[int, int]], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of one epoch's batches, in order: each of one shape, each picture once."""
    rng = random.Random(f"{seed}/{epoch}")  # noqa: S311
    members: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, shape in enumerate(shapes):
        members[shape].append(index)
    found = []
    for shape in sorted(members):
        rng.shuffle(members[shape])
        found += [members[shape][start : start + size] for start in range(0, len(members[shape]), size)]
    rng.shuffle(found)
    return found
