"""What a picture costs under each layout: tiles that the vision tower sees, tokens that the language model reads.

`multi` shows each picture as one tile. `anyres` cuts it into tiles by its size, beside the whole picture in one, and
drops what is padding.
"""

from types import SimpleNamespace
from typing import Any

from transformers.image_processing_utils import select_best_resolution

from cloze.model.base import PictureProcessor

Size = tuple[int, int]


def picture_tokens(config: Any, layout: str, size: Size) -> int:
    """Tokens of one picture.

    Args:
        config: of the base.
        layout: `multi` or `anyres`.
        size: (width, height) in pixels.
    """
    tile = config.vision_config.image_size
    drops_first = config.vision_feature_select_strategy == "default"
    if layout == "multi":
        return _patches(config) + 1 - drops_first
    # The processor's own counting, which needs three of its attributes and no tokenizer.
    counter = PictureProcessor.__new__(PictureProcessor)
    counter.image_processor = SimpleNamespace(image_grid_pinpoints=config.image_grid_pinpoints)
    counter.num_image_tokens = _patches(config)
    counter.vision_aspect_ratio = config.vision_aspect_ratio
    width, height = size
    return int(counter._get_number_of_features(height, width, tile, tile)) - drops_first


def picture_tiles(config: Any, layout: str, size: Size) -> int:
    """Tiles of one picture; its size is (width, height) in pixels."""
    if layout == "multi":
        return 1
    tile = config.vision_config.image_size
    height, width = select_best_resolution((size[1], size[0]), config.image_grid_pinpoints)
    return 1 + (height // tile) * (width // tile)


def _patches(config: Any) -> int:
    vision = config.vision_config
    return int((vision.image_size // vision.patch_size) ** 2)
