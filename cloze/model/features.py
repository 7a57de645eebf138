"""Pictures as the language model sees them.

Neighbouring sequences share up to five panels and every epoch shows them again. So what a frozen vision tower makes of
a picture is computed once and kept on disk (`feature_store`) for epochs, runs and conditions to come. What is kept is
the tower's output: the projector behind it makes three times as many numbers of it for 3 % of the work, and may be
trained. Of a tower that is trained only pixels are kept, in memory.

`prepare` is what the host can do ahead of the device, in any thread; `finish` is what the device does.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import PIL
import torch
import transformers
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from cloze.digests import file_digest
from cloze.model.adapter import FILES, adapts_vision
from cloze.model.base import DTYPES, Base, device, pixels
from cloze.model.conversation import blank_picture
from cloze.model.feature_store import FeatureStore, Stored

VERSION = 1  # of the way features are computed: raise it with any change that changes a bit of them
BUDGET_BYTES = 2 << 30
_TILES_AT_ONCE = 64
_GREY = blank_picture()
_BLANK_KEY = hashlib.sha256(_GREY.tobytes()).hexdigest()


class PictureSource(Protocol):
    """Where pictures come from, by name; `cloze.data.images.ImageFolder` is one."""

    def read(self, name: str) -> bytes:
        """The bytes of a picture's file."""

    def decode(self, name: str, content: bytes) -> Image.Image:
        """The picture as RGB, of these bytes."""


@dataclass(frozen=True)
class Picture:
    """A picture as far as the host has it.

    Attributes:
        key: of its features in a store.
        size: height and width in pixels.
        values: (tiles, tokens, channels) of the tower, or (tiles, 3, height, width) pixels.
        is_seen: `values` are the tower's.
    """

    key: str
    size: tuple[int, int]
    values: torch.Tensor
    is_seen: bool


@dataclass(frozen=True)
class Prepared:
    """Pictures in the order asked for, and each of them once."""

    names: tuple[str | None, ...]
    pictures: dict[str | None, Picture]


class Features:
    """Features of pictures by name.

    Args:
        base: the loaded base (with or without an adapter inside).
        images: where the pictures lie.
        is_frozen: nothing before the language model is trained; otherwise gradients flow through the vision tower.
        store: keeps features of a frozen tower; without one they are computed whenever they are asked for.
        budget_bytes: of pixels kept in memory where the tower is trained; the longest unused are dropped.
    """

    def __init__(
        self,
        base: Base,
        images: PictureSource,
        *,
        is_frozen: bool,
        store: FeatureStore | None = None,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        if store and not is_frozen:
            raise ValueError("features of a tower that is trained change with every step and cannot be stored")
        self._base = base
        self._images = images
        self._is_frozen = is_frozen
        self._store = store
        self._keys: dict[str | None, str] = {None: _BLANK_KEY}
        self._recent = _Recent(0 if is_frozen else budget_bytes)

    def __call__(self, names: Sequence[str | None]) -> list[torch.Tensor]:
        """Features of the named pictures, on the model's device; None is a blank grey picture.

        Returns:
            (tokens, hidden size) of each.

        Raises:
            DataError: no such picture, or one that cannot be read.
        """
        return self.finish(self.prepare(names))

    def prepare(self, names: Sequence[str | None]) -> Prepared:
        """Read what is stored, and make pixels of what is not; no device is touched, any thread will do.

        Raises:
            DataError: as a call.
        """
        found: dict[str | None, Picture] = {}
        opened: dict[str | None, tuple[str, Image.Image]] = {}
        for name in dict.fromkeys(names):
            known = self._known(name)
            if isinstance(known, Picture):
                found[name] = known
            else:
                opened[name] = known
        if opened:
            values = pixels(self._base.chat, [picture for _, picture in opened.values()])
            for (name, (key, picture)), tiles in zip(opened.items(), values, strict=True):
                found[name] = Picture(key, (picture.height, picture.width), tiles, is_seen=False)
                self._recent.put(name, found[name])
        return Prepared(tuple(names), found)

    def finish(self, prepared: Prepared) -> list[torch.Tensor]:
        """Features of prepared pictures, as a call returns them; what was not stored is computed and stored."""
        pictures = list(prepared.pictures.values())
        with torch.no_grad() if self._is_frozen else nullcontext():
            tiles = self._seen(pictures)
            packed = pack(self._base.model, tiles, [picture.size for picture in pictures])
        by_name = dict(zip(prepared.pictures, packed, strict=True))
        return [by_name[name] for name in prepared.names]

    def key(self, name: str | None) -> str:
        """What tells a picture from all others: the digest of its file.

        Raises:
            DataError: no such picture.
        """
        if name is not None and name not in self._keys:
            self._keys[name] = hashlib.sha256(self._images.read(name)).hexdigest()
        return self._keys[name]

    def flush(self) -> None:
        """Wait until everything computed so far is stored."""
        if self._store:
            self._store.flush()

    def _known(self, name: str | None) -> Picture | tuple[str, Image.Image]:
        """The picture as it was kept; otherwise its key and itself. Its file is read at most once."""
        if kept := self._recent.get(name):
            return kept
        content: bytes | None = None
        if name is not None and name not in self._keys:
            content = self._images.read(name)
            self._keys[name] = hashlib.sha256(content).hexdigest()
        key = self._keys[name]
        if self._store and (stored := self._store.get(key)):
            return Picture(key, stored.size, _pinned(stored.tiles), is_seen=True)
        if name is None:
            return key, _GREY
        if content is None:  # known by name, but not stored: what is read now may be something else
            content = self._images.read(name)
            key = self._keys[name] = hashlib.sha256(content).hexdigest()
        return key, self._images.decode(name, content)

    def _seen(self, pictures: Sequence[Picture]) -> list[torch.Tensor]:
        """Tiles as the tower sees them, on the device."""
        seen = {p.key: p.values.to(device(), non_blocking=True) for p in pictures if p.is_seen}
        unseen = [picture for picture in pictures if not picture.is_seen]
        # On a CPU a feature's bits may depend on its company, and that on what was stored: each is computed alone.
        at_once = 1 if self._is_frozen and device().type == "cpu" else _TILES_AT_ONCE
        for group in _groups(unseen, at_once):
            values = torch.cat([picture.values for picture in group])
            tiles = see(self._base.model, values).split([len(picture.values) for picture in group])
            seen |= {picture.key: some for picture, some in zip(group, tiles, strict=True)}
        if self._store and unseen:
            self._store.add_soon({picture.key: Stored(seen[picture.key], picture.size) for picture in unseen})
        return [seen[picture.key] for picture in pictures]


class _Recent:
    """Pictures in memory, the longest unused dropped first; threads may share it."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._bytes = 0
        self._kept: OrderedDict[str | None, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str | None) -> Picture | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def put(self, name: str | None, picture: Picture) -> None:
        with self._lock:
            if name in self._kept:
                return
            self._kept[name] = picture
            self._bytes += picture.values.nbytes
            while self._bytes > self._budget:
                self._bytes -= self._kept.popitem(last=False)[1].values.nbytes


def open_store(
    base: Base, cache: Path, gigabytes: float, adapter: str = "", of: str = "pictures"
) -> FeatureStore | None:
    """The store of what this base's frozen parts make of their inputs; None where nothing is to be kept.

    Args:
        base: the loaded base.
        cache: folder of what may be made again; all stores lie in its `features`.
        gigabytes: of all stores together.
        adapter: folder of the adapter that the base has inside, if any.
        of: `pictures`, as the vision tower sees them, or `prompts`, as the language model does.
    """
    if gigabytes == 0:
        return None
    tower, reader, chat = base.model.model.vision_tower, base.model.model.language_model, base.chat
    what = {
        "of": of,
        "base": base.digest,
        "adapter": file_digest(Path(adapter) / FILES[0]) if adapter and adapts_vision(Path(adapter)) else None,
        "precision": str(tower.dtype),
        "attention": tower.config._attn_implementation,
        "processor": json.loads(chat.processor.image_processor.to_json_string()),
        "layout": chat.layout,
        "device": device().type,
        "libraries": [torch.__version__, transformers.__version__, PIL.__version__],
        "version": VERSION,
    }
    if of == "prompts":
        what |= {"quantise": base.quantise, "reader": [str(base.model.dtype), reader.config._attn_implementation]}
    dtype = tower.dtype if of == "pictures" else DTYPES[base.precision]
    return FeatureStore(cache / "features", what, dtype, int(gigabytes * 1e9))


def as_pictures(features: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Features of pictures in the form that the model takes in place of pixels.

    Args:
        features: (tokens, hidden size) of each picture.
    """
    pooled: Any = list(features)
    return {"image": BaseModelOutputWithPooling(pooler_output=pooled)}


def see(model: Any, values: torch.Tensor) -> torch.Tensor:
    """Run the vision tower.

    Args:
        model: a LlavaOnevisionForConditionalGeneration.
        values: (tiles, 3, height, width) pixels.

    Returns:
        (tiles, tokens, channels): what the projector takes.
    """
    tower, config = model.model.vision_tower, model.config
    layers = config.vision_feature_layer
    found = tower(values.to(device(), tower.dtype), output_hidden_states=layers).hidden_states
    seen = found[layers] if isinstance(layers, int) else torch.cat([found[layer] for layer in layers], dim=-1)
    return seen[:, 1:] if config.vision_feature_select_strategy == "default" else seen


def pack(model: Any, tiles: Sequence[torch.Tensor], sizes: Sequence[tuple[int, int]]) -> Sequence[torch.Tensor]:
    """Project what the tower saw, put each picture's tiles together and close their lines.

    Args:
        tiles: (tiles, tokens, channels) of each picture.
        sizes: height and width of each in pixels.

    Returns:
        (tokens, hidden size) of each picture.
    """
    projected = model.model.multi_modal_projector(torch.cat(list(tiles))).split([len(some) for some in tiles])
    packed: tuple[list[torch.Tensor], Any] = model.model.pack_image_features(
        projected,
        sizes,
        image_newline=model.model.image_newline,
        vision_aspect_ratio=model.config.vision_aspect_ratio,
    )
    return packed[0]


def _groups(pictures: Sequence[Picture], at_once: int) -> Iterator[list[Picture]]:
    """Pictures in groups of so many tiles at most, or of one picture."""
    group: list[Picture] = []
    for picture in pictures:
        if group and sum(len(p.values) for p in group) + len(picture.values) > at_once:
            yield group
            group = []
        group.append(picture)
    if group:
        yield group


def _pinned(tiles: torch.Tensor) -> torch.Tensor:
    return tiles.pin_memory() if device().type == "cuda" else tiles
