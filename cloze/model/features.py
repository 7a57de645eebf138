"""Pictures as the language model sees them: computed once per panel where nothing before it is trained.

Neighbouring sequences share up to five panels and every epoch shows them again, so features of a frozen vision tower
are kept. What does not fit the budget is dropped, the longest unused first, and computed again when asked for.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from cloze.model.base import Base, device, pixels

BUDGET_BYTES = 2 << 30
_CHUNK = 64
_GREY = Image.new("RGB", (64, 64), (127, 127, 127))

LoadPicture = Callable[[str], Image.Image]


class Features:
    """Features of pictures by name.

    Args:
        base: the loaded base (with or without an adapter inside).
        load: gives the picture of a name.
        is_frozen: nothing before the language model is trained: features are kept; otherwise only pixels are, and
            gradients flow through the vision tower.
    """

    def __init__(self, base: Base, load: LoadPicture, *, is_frozen: bool, budget_bytes: int = BUDGET_BYTES) -> None:
        self._base = base
        self._load = load
        self._is_frozen = is_frozen
        self._budget = budget_bytes
        self._bytes = 0
        self._kept: OrderedDict[str | None, torch.Tensor] = OrderedDict()

    def __call__(self, names: Sequence[str | None]) -> torch.Tensor:
        """Features of the named pictures, on the model's device; None is a blank grey picture.

        Returns:
            (n, tokens per picture, hidden size)
        """
        missing = [name for name in dict.fromkeys(names) if name not in self._kept]
        found: dict[str | None, torch.Tensor] = {}
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            values = pixels(self._base.chat, [self._picture(name) for name in chunk])
            if self._is_frozen:
                with torch.no_grad():
                    values = picture_features(self._base.model, values).cpu()
            found |= zip(chunk, values, strict=True)
        stacked = torch.stack([found[name] if name in found else self._kept[name] for name in names])
        self._keep(names, found)
        return stacked.to(device()) if self._is_frozen else picture_features(self._base.model, stacked)

    def _picture(self, name: str | None) -> Image.Image:
        return _GREY if name is None else self._load(name)

    def _keep(self, names: Sequence[str | None], found: dict[str | None, torch.Tensor]) -> None:
        for name in dict.fromkeys(names):
            if name in found:
                self._kept[name] = found[name].clone()
                self._bytes += found[name].nbytes
            self._kept.move_to_end(name)
        while self._bytes > self._budget:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes


def as_pictures(features: torch.Tensor) -> dict[str, Any]:
    """Features of pictures in the form that the model takes in place of pixels.

    Args:
        features: (n, tokens per picture, hidden size)
    """
    pooled: Any = list(features)
    return {"image": BaseModelOutputWithPooling(pooler_output=pooled)}


def picture_features(model: Any, values: torch.Tensor) -> torch.Tensor:
    """Run the vision tower and projector on pictures of one tile each.

    Args:
        model: a LlavaOnevisionForConditionalGeneration.
        values: (n, 3, height, width) pixels.

    Returns:
        (n, tokens per picture, hidden size)
    """
    values = values.to(device(), model.dtype)[:, None]
    sizes = torch.tensor([values.shape[-2:]] * len(values))  # only tiled pictures are unpadded by their size
    # A list of exactly one picture would be taken for tiles of it: say that there is one more.
    found = model.model.get_image_features(values, sizes, batch_num_images=[len(values) + 1])
    return torch.stack(list(found.pooler_output))
