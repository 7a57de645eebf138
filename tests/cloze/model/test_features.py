import json
import shutil
import sqlite3
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cloze.data.images import ImageFolder
from cloze.model.adapter import save_adapter
from cloze.model.base import Base, load_base
from cloze.model.batches import collate
from cloze.model.conversation import BLANK_SIZE
from cloze.model.feature_store import FeatureStore
from cloze.model.features import Features, as_pictures, open_store
from cloze.model.prefetch import ahead
from tests.cloze.model.test_adapter import adapted

LAYOUTS = ("multi", "anyres")


@dataclass(frozen=True)
class CountingFolder(ImageFolder):
    """Remembers which pictures were read and which were decoded."""

    was_read: list[str] = field(default_factory=list)
    decoded: list[str] = field(default_factory=list)

    def read(self, name: str) -> bytes:
        self.was_read.append(name)
        return super().read(name)

    def decode(self, name: str, content: bytes) -> Image.Image:
        self.decoded.append(name)
        return super().decode(name, content)


def counting(root: Path) -> CountingFolder:
    return CountingFolder(str(root), str(root))


@pytest.fixture
def names(sequence):
    return [panel["image"] for panel in sequence["context"]]


@pytest.fixture
def pictures(tmp_path):
    """Pictures of several shapes, to be cut into different numbers of tiles."""
    random = np.random.default_rng(0)
    for index, (height, width) in enumerate([(60, 60), (50, 120), (130, 70), (300, 310), (64, 500)]):
        Image.fromarray(random.integers(0, 255, (height, width, 3), np.uint8)).save(tmp_path / f"{index}.png")
    return counting(tmp_path)


def loaded(folder: Path, images: ImageFolder, layout: str, precision: str = "fp32") -> Base:
    return load_base(str(folder), precision, layout, images.size)


def opened(base: Base, root: Path, gigabytes: float = 1.0, adapter: str = "") -> FeatureStore:
    store = open_store(base, root, gigabytes, adapter)
    assert store is not None
    return store


def assert_same_bits(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    assert len(found) == len(expected) > 0
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_features_in_place_of_pixels_give_the_logits_that_pixels_give(base, tables, sequence):
    example = base.chat.encode(sequence)
    batch = collate([example], base.chat.pad_id)
    shown = [[tables.images.load(name) for name in example.pictures]]
    stock = base.chat.processor.image_processor(shown, return_tensors="pt")
    with torch.no_grad():
        expected = base.model(batch.ids, **stock).logits
        kept = Features(base, tables.images, is_frozen=True)(example.pictures)
        found = base.model(batch.ids, mm_encoder_outputs=as_pictures(kept)).logits
    torch.testing.assert_close(found, expected)


def test_pictures_cut_by_their_sizes_give_the_logits_that_pixels_give(base_folder, sequence, pictures):
    base = loaded(base_folder, pictures, "anyres")
    context = [panel | {"image": f"{index}.png"} for index, panel in enumerate(sequence["context"])]
    example = base.chat.encode(sequence | {"context": context})
    batch = collate([example], base.chat.pad_id)
    stock = base.chat.processor.image_processor([pictures.load(f"{i}.png") for i in range(5)], return_tensors="pt")
    assert stock["batch_num_images"].tolist() == [1] * 5
    with torch.no_grad():
        expected = base.model(batch.ids, **stock).logits
        kept = Features(base, pictures, is_frozen=True)(example.pictures)
        found = base.model(batch.ids, mm_encoder_outputs=as_pictures(kept)).logits
    assert len({len(tokens) for tokens in kept}) == 5
    assert [len(tokens) for tokens in kept] == [base.chat.n_tokens(name) for name in example.pictures]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_read_from_the_store_is_what_was_computed_bit_for_bit(
    base_folder, tables, names, tmp_path, layout, precision
):
    base = loaded(base_folder, tables.images, layout, precision)
    plain = Features(base, tables.images, is_frozen=True)(names)
    features = Features(base, tables.images, is_frozen=True, store=opened(base, tmp_path))
    computed = features([*names, None])
    features.flush()
    folder = counting(tables.pictures)
    again = Features(base, folder, is_frozen=True, store=opened(base, tmp_path))([*names, None])
    assert_same_bits(computed[:5], plain)
    assert_same_bits(again, computed)
    assert (folder.was_read, folder.decoded) == (names, [])


def test_bits_do_not_depend_on_what_is_stored_already(base, tables, names, tmp_path):
    whole = Features(base, tables.images, is_frozen=True)(names)
    features = Features(base, tables.images, is_frozen=True, store=opened(base, tmp_path))
    features(names[1:3])
    features.flush()
    assert_same_bits(features(names), whole)


def test_each_picture_is_read_and_decoded_once_in_a_run(base, tables, names, tmp_path):
    folder = counting(tables.pictures)
    features = Features(base, folder, is_frozen=True, store=opened(base, tmp_path))
    first = features([*names, names[0]])
    features.flush()
    assert_same_bits(features([*names, names[0]]), first)
    assert (folder.was_read, folder.decoded) == (names, names)


def test_a_picture_that_changed_under_its_name_is_not_taken_for_the_old_one(base, pictures, tmp_path):
    old = Features(base, pictures, is_frozen=True, store=opened(base, tmp_path / "features"))
    before = old(["0.png", "1.png"])
    old.flush()
    (tmp_path / "1.png").replace(tmp_path / "0.png")
    after = Features(base, pictures, is_frozen=True, store=opened(base, tmp_path / "features"))(["0.png"])
    assert_same_bits(after, before[1:])


def test_without_a_store_nothing_is_kept(base, tables, names, tmp_path):
    assert open_store(base, tmp_path, 0) is None
    folder = counting(tables.pictures)
    features = Features(base, folder, is_frozen=True)
    assert_same_bits(features(names), features(names))
    assert folder.decoded == names * 2


def test_whatever_decides_the_numbers_has_a_store_of_its_own(base_folder, other_base_folder, tables, tmp_path):
    bases = [
        loaded(base_folder, tables.images, "multi"),
        loaded(base_folder, tables.images, "anyres"),
        loaded(base_folder, tables.images, "multi", "bf16"),
        loaded(other_base_folder, tables.images, "multi"),
    ]
    processor = loaded(base_folder, tables.images, "multi")
    processor.chat.processor.image_processor.image_mean = [0.5, 0.5, 0.5]
    folders = [opened(base, tmp_path).folder for base in (*bases, processor)]
    assert len(set(folders)) == 5
    assert opened(loaded(base_folder, tables.images, "multi"), tmp_path).folder == folders[0]
    assert json.loads((folders[1] / "what.json").read_text())["layout"] == "anyres"


def test_an_adapter_that_changes_the_tower_has_features_of_its_own(base_folder, tmp_path):
    plain = opened(load_base(str(base_folder)), tmp_path).folder
    for vision in (False, True):
        base = load_base(str(base_folder))
        adapter = tmp_path / f"adapter-{vision}"
        save_adapter(adapted(base, vision), adapter, base)
        assert (opened(base, tmp_path, adapter=str(adapter)).folder != plain) == vision


def test_pictures_are_prepared_by_many_threads_as_by_one(base, tables, tmp_path):
    names = [[panel["image"] for panel in row["context"]] for row in tables.rows]
    expected = [Features(base, tables.images, is_frozen=True)(some) for some in names]
    features = Features(base, tables.images, is_frozen=True, store=opened(base, tmp_path))
    for _ in range(2):  # computed, and read
        found = [features.finish(prepared) for prepared in ahead(names, features.prepare, 4)]
        for one, other in zip(found, expected, strict=True):
            assert_same_bits(one, other)
        features.flush()


def test_preparing_runs_no_tower(base, tables, names):
    ran = threading.Event()
    base.model.model.vision_tower.register_forward_pre_hook(lambda *_: ran.set())
    features = Features(base, tables.images, is_frozen=True)
    prepared = features.prepare(names)
    assert not ran.is_set()
    features.finish(prepared)
    assert ran.is_set()


def test_an_error_of_the_store_is_not_lost(base, tables, names, tmp_path):
    store = opened(base, tmp_path)
    features = Features(base, tables.images, is_frozen=True, store=store)
    prepared = features.prepare(names)
    assert store is not None
    shutil.rmtree(store.folder)
    features.finish(prepared)
    with pytest.raises((OSError, sqlite3.OperationalError)):
        features.flush()


def test_gradients_reach_a_tower_that_is_trained(base, tables, names):
    base.model.requires_grad_(True)
    Features(base, tables.images, is_frozen=False)(names[:1])[0].sum().backward()
    gradient = base.model.model.vision_tower.embeddings.patch_embedding.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_of_a_tower_that_is_trained_pixels_are_kept_as_far_as_the_budget_goes(base, tables, names):
    for n_kept, decoded in ((5, names), (2, names + names[:3])):
        folder = counting(tables.pictures)
        budget = n_kept * 3 * 64 * 64 * 4
        features = Features(base, folder, is_frozen=False, budget_bytes=budget)
        assert_same_bits(features(names), features(names))
        assert folder.decoded == decoded


def test_features_of_a_tower_that_is_trained_cannot_be_stored(base, tables, tmp_path):
    with pytest.raises(ValueError, match="cannot be stored"):
        Features(base, tables.images, is_frozen=False, store=opened(base, tmp_path))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_blank_picture_needs_no_file_and_has_one_size(base_folder, tables, layout):
    base = loaded(base_folder, tables.images, layout)
    folder = counting(tables.pictures)
    blank = Features(base, folder, is_frozen=True)([None, None])
    assert [tokens.shape for tokens in blank] == [(base.chat.n_tokens(None), 48)] * 2
    assert torch.equal(blank[0], blank[1])
    assert not folder.was_read
    assert BLANK_SIZE == (64, 64)
