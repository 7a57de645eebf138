"""Checkpoints: all that a training run needs to go on, on disk, whole or not at all.

A checkpoint is a folder `step-N` with tensors (safetensors) and the rest (JSON), which holds the SHA-256 of the
tensors. It is written under another name, brought to the disk, and renamed; what does not have its digest is not read.
The checkpoint before the newest is kept until the next one.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cloze.digests import file_digest

logger = logging.getLogger(__name__)

_TENSORS, _NOTES = "state.safetensors", "state.json"
_NAME = re.compile(r"step-(\d+)")
_KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What training knew after `step` steps.

    Attributes:
        tensors: by name.
        notes: the rest, as JSON has it.
    """

    step: int
    tensors: Mapping[str, torch.Tensor]
    notes: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of one run, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint; one that is killed meanwhile leaves those that were there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        # Copies: parts of an optimizer's state may be one tensor, which safetensors refuses to write twice.
        own = {name: tensor.detach().to("cpu", copy=True) for name, tensor in checkpoint.tensors.items()}
        save_file(own, partial / _TENSORS)
        notes = {"sha256": file_digest(partial / _TENSORS), "step": checkpoint.step, "notes": checkpoint.notes}
        (partial / _NOTES).write_text(json.dumps(notes), encoding="utf-8")
        for path in (partial / _TENSORS, partial / _NOTES, partial):
            _to_disk(path)
        place = self.folder / f"step-{checkpoint.step:09d}"
        shutil.rmtree(place, ignore_errors=True)  # it was found to be damaged, or we would not be here again
        partial.rename(place)
        _to_disk(self.folder)
        for old in self._places()[_KEPT:]:
            shutil.rmtree(old)

    def newest(self) -> Checkpoint | None:
        """The newest one that is whole."""
        for place in self._places():
            try:
                return _read(place)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                logger.warning("%s is not whole and is left out: %s", place, error)
        return None

    def clear(self) -> None:
        """Remove all of them: the run has its result."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _places(self) -> list[Path]:
        """Folders of checkpoints, the newest first."""
        if not self.folder.is_dir():
            return []
        return sorted((path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


def _read(place: Path) -> Checkpoint:
    found = json.loads((place / _NOTES).read_text(encoding="utf-8"))
    if file_digest(place / _TENSORS) != found["sha256"]:
        raise ValueError(f"SHA-256 of {_TENSORS} differs")
    return Checkpoint(found["step"], load_file(place / _TENSORS), found["notes"])


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
