"""A tiny base with random weights, pictures, sequences and labels: real classes, real files, no training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cloze.data.images import ImageFolder
from cloze.labels.prompts import Words, model_prompt
from cloze.model.base import Base, load_base
from cloze.model.batches import collate
from cloze.model.conversation import Example
from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.miniature import make_model, make_processor, save_base
from cloze.stage import Workspace
from cloze.tables import table, write_table

N_BOOKS = 6
N_PANELS = 9
SPLITS = {1: "train", 2: "train", 3: "train", 4: "val", 5: "test", 6: "test"}
TEXTS = ("HELP ME!", "", "WHO GOES THERE?", "A LITTLE LATER... RUN, PIP!", "OH NO", "THE END OF IT ALL")
LABELS = ("Pip runs home at night.", "In the cave, Vex hides the pearl.", "Nell waves.")


@dataclass(frozen=True)
class Tables:
    """Where the tables of a tiny study lie."""

    sequences: str
    labels: dict[str, str]
    rows: list[dict[str, Any]]
    pictures: Path

    @property
    def images(self) -> ImageFolder:
        return ImageFolder(str(self.pictures), str(self.pictures))


def make_base(folder: Path, seed: int) -> Path:
    torch.set_num_threads(1)
    prompt = "".join(part.text for part in model_prompt(["", ""]) if isinstance(part, Words))
    processor = make_processor([*TEXTS, *LABELS, prompt] * 2)
    save_base(make_model(processor, seed, width=48, layers=2), processor, folder)
    return folder


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("bases") / "tiny", seed=0)


@pytest.fixture(scope="session")
def other_base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("bases") / "other", seed=1)


@pytest.fixture
def base(base_folder: Path) -> Base:
    """Loaded anew for each test: adapters are put into it."""
    return load_base(str(base_folder))


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return make_tables(tmp_path_factory.mktemp("tables"))


def make_tables(folder: Path) -> Tables:
    """Sequences with their pictures, and labels of both paradigms."""
    pictures = folder / "pictures"
    random = np.random.default_rng(0)
    for book in range(1, N_BOOKS + 1):
        (pictures / str(book)).mkdir(parents=True)
        for panel in range(N_PANELS):
            size = (int(random.integers(50, 90)), int(random.integers(50, 90)), 3)
            Image.fromarray(random.integers(0, 255, size, np.uint8)).save(pictures / f"{book}/1_{panel}.jpg")
    rows = [_sequence(book, last) for book in range(1, N_BOOKS + 1) for last in range(5, N_PANELS)]
    write_table(table("sequences", rows, str(pictures)), folder / "sequences.parquet")
    labels = {}
    for paradigm in ("pred", "descp"):
        labels[paradigm] = str(folder / f"{paradigm}.parquet")
        write_table(table("labels", _labels(rows, paradigm), str(pictures)), Path(labels[paradigm]))
    return Tables(str(folder / "sequences.parquet"), labels, rows, pictures)


@pytest.fixture
def examples(base: Base, tables: Tables) -> list[Example]:
    """The first sequences, with answers of several lengths."""
    return [base.chat.encode(row, LABELS[index % len(LABELS)]) for index, row in enumerate(tables.rows[:4])]


def stock_inputs(base: Base, tables: Tables, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    """What the stock model takes to compute its own loss."""
    batch = collate(examples, base.chat.pad_id)
    pictures: dict[str, torch.Tensor] = base.chat.processor.image_processor(
        [[Image.open(tables.pictures / str(name)).convert("RGB") for name in e.pictures] for e in examples],
        return_tensors="pt",
    )
    mask = torch.zeros_like(batch.ids)
    for row, example in enumerate(examples):
        mask[row, : len(example.ids)] = 1
    labels = batch.ids.masked_fill(~batch.supervised, -100)
    return {"input_ids": batch.ids, "attention_mask": mask, "labels": labels, **pictures}


@pytest.fixture
def tiny_settings(base_folder: Path, tables: Tables) -> FinetuneSettings:
    """Fine-tuning of the tiny base on the tiny tables."""
    labels, base = tables.labels["pred"], str(base_folder)
    return FinetuneSettings(sequences=tables.sequences, labels=labels, base=base, batch=4, rank=4, dropout=0.1)


@pytest.fixture
def sequence(tables: Tables) -> dict[str, Any]:
    return tables.rows[0]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "out")


def make_workspace(out: Path, curve: dict[int, dict[str, float]] | None = None) -> Workspace:
    """A workspace; what is logged by step goes to `curve`."""
    out.mkdir(parents=True)
    kept: dict[int, dict[str, float]] = {} if curve is None else curve
    return Workspace(
        out,
        out.parent / "cache",
        lambda metrics, step: kept.setdefault(step, {}).update(metrics),
        out.parent / "state",
    )


def _panel(book: int, number: int) -> dict[str, str]:
    panel_id = f"{book}/1_{number}"
    return {"panel_id": panel_id, "image": f"{panel_id}.jpg", "text": TEXTS[(book + number) % len(TEXTS)]}


def _sequence(book: int, last: int) -> dict[str, Any]:
    return {
        "sequence_id": f"{book}/1_{last}",
        "book": book,
        "story": 1,
        "group": book,
        "split": SPLITS[book],
        "context": [_panel(book, number) for number in range(last - 5, last)],
        "target": _panel(book, last),
    }


def _labels(rows: list[dict[str, Any]], paradigm: str) -> list[dict[str, Any]]:
    # One label was never answered.
    return [
        {"sequence_id": row["sequence_id"], "paradigm": paradigm, "state": "missing", "reason": "no answer"}
        if index == 2
        else {
            "sequence_id": row["sequence_id"],
            "paradigm": paradigm,
            "state": "ok",
            "text": LABELS[(index + len(paradigm)) % len(LABELS)],
        }
        for index, row in enumerate(rows)
    ]
