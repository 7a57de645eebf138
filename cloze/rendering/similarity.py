"""How near a drawn panel comes to the true one: palette, edges and structure, which need no model, and an encoder.

Two artists draw one scene differently, so none of the three sees whether a drawing is right; docs/rendering.md has how
well each tells a related panel from an unrelated one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cloze.errors import MissingInputError

SIDE = 128  # pixels of the square that edges and structure are compared in
BINS = (8, 4, 4)  # of hue, saturation and value


class Similarity(NamedTuple):
    """What of a picture is compared, and how; the more alike, the higher."""

    view: Callable[[Image.Image], np.ndarray]
    compare: Callable[[np.ndarray, np.ndarray], float]


def palette(picture: Image.Image) -> np.ndarray:
    """Square roots of the shares of its colours; the product of two is the Bhattacharyya coefficient, 0 to 1.

    Source: Bhattacharyya 1943; of colour histograms: Comaniciu, Ramesh and Meer 2003, IEEE TPAMI 25.
    """
    small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR).convert("HSV")
    pixels = np.asarray(small, dtype=np.int64).reshape(-1, 3)
    hue, saturation, value = (pixels[:, i] * n // 256 for i, n in enumerate(BINS))
    codes = (hue * BINS[1] + saturation) * BINS[2] + value
    return np.sqrt(np.bincount(codes, minlength=int(np.prod(BINS))) / len(pixels))


def edges(picture: Image.Image) -> np.ndarray:
    """Directions of its edges, place by place, less their mean; the product of two is a correlation, -1 to 1.

    0 for a picture without any. Source: Dalal and Triggs 2005, CVPR; 9 directions, cells of 16 pixels, blocks of 2 x 2.
    """
    from skimage.feature import hog

    found = hog(grey(picture), orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    return _unit(found - found.mean())


def grey(picture: Image.Image) -> np.ndarray:
    """(SIDE, SIDE) grey values, 0 to 1, squeezed to a square."""
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float64) / 255


def structure(one: np.ndarray, other: np.ndarray) -> float:
    """Structural similarity of two grey pictures, -1 to 1.

    Source: Wang, Bovik, Sheikh and Simoncelli 2004, IEEE TIP 13, with its Gaussian window.
    """
    from skimage.metrics import structural_similarity

    settings: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(one, other, data_range=1.0, **settings))


def _product(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other)


SIMILARITIES: Mapping[str, Similarity] = {
    "palette": Similarity(palette, _product),
    "edges": Similarity(edges, _product),
    "structure": Similarity(grey, structure),
}


def encoder_similarity(folder: Path) -> Similarity:
    """Cosine of what an image encoder makes of two pictures: CLIP-I with a CLIP, and so for SigLIP, DINO or a ViT.

    Args:
        folder: the model and its processor, as transformers saves them.

    Raises:
        MissingInputError: there is no such model, or it does not take pictures alone.
    """
    import torch
    from transformers import AutoImageProcessor, AutoModel

    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    except (OSError, ValueError) as error:
        raise MissingInputError(
            f"{folder}: no image encoder ({str(error).splitlines()[0]}); give the folder of a CLIP, SigLIP or DINO"
        ) from error
    encode = getattr(model, "get_image_features", model)

    def view(picture: Image.Image) -> np.ndarray:
        with torch.inference_mode():
            found = encode(**processor(images=picture.convert("RGB"), return_tensors="pt"))
        if not torch.is_tensor(found):
            found = found.pooler_output if found.get("pooler_output") is not None else found.last_hidden_state[:, 0]
        return _unit(found[0].float().numpy())

    return Similarity(view, _product)


def _unit(values: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(values))
    return values / length if length else values
