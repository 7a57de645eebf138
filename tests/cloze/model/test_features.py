from pathlib import Path

import torch
from PIL import Image

from cloze.model.batches import collate
from cloze.model.features import Features, as_pictures


class CountingLoader:
    """Loads pictures and remembers which."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loaded: list[str] = []

    def __call__(self, name: str) -> Image.Image:
        self.loaded.append(name)
        return Image.open(self.root / name).convert("RGB")


def test_kept_features_give_the_logits_that_pixels_give(base, tables, sequence):
    load = CountingLoader(tables.pictures)
    example = base.chat.encode(sequence)
    batch = collate([example], base.chat.pad_id)
    stock = base.chat.processor.image_processor([[load(name) for name in example.pictures]], return_tensors="pt")
    with torch.no_grad():
        expected = base.model(batch.ids, **stock).logits
        kept = Features(base, load, is_frozen=True)(example.pictures)
        found = base.model(batch.ids, mm_encoder_outputs=as_pictures(kept)).logits
    torch.testing.assert_close(found, expected)


def test_each_picture_is_loaded_once(base, tables, sequence):
    load = CountingLoader(tables.pictures)
    features = Features(base, load, is_frozen=True)
    names = [panel["image"] for panel in sequence["context"]]
    first = features([*names, names[0]])
    again = features([*names, names[0]])
    assert load.loaded == names
    assert torch.equal(first, again)
    assert torch.equal(first[0], first[-1])


def test_what_does_not_fit_the_budget_is_dropped_and_computed_again(base, tables, sequence):
    load = CountingLoader(tables.pictures)
    names = [panel["image"] for panel in sequence["context"]]
    generous = Features(base, load, is_frozen=True)(names)
    features = Features(base, load, is_frozen=True, budget_bytes=2 * generous[0].nbytes)
    load.loaded.clear()
    for _ in range(2):
        torch.testing.assert_close(features(names), generous)
    assert load.loaded == names + names[:3]


def test_gradients_reach_a_tower_that_is_trained(base, tables, sequence):
    base.model.requires_grad_(True)
    features = Features(base, CountingLoader(tables.pictures), is_frozen=False)
    features([sequence["context"][0]["image"]]).sum().backward()
    gradient = base.model.model.vision_tower.embeddings.patch_embedding.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_a_blank_picture_needs_no_file(base, tables):
    features = Features(base, CountingLoader(tables.pictures), is_frozen=True)
    blank = features([None, None])
    assert blank.shape == (2, base.chat.tokens_per_picture, 48)
    assert torch.equal(blank[0], blank[1])
