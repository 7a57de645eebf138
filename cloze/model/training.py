"""Fine-tuning: an adapter for a base, trained on the labels of one paradigm."""

import logging
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.errors import DataError
from cloze.model.finetune_settings import FinetuneSettings
from cloze.stage import Workspace

if TYPE_CHECKING:
    from cloze.model.base import Base
    from cloze.model.conversation import Example
    from cloze.model.processes import Processes

logger = logging.getLogger(__name__)

_VAL_EXAMPLES = 32


def finetune(settings: FinetuneSettings, workspace: Workspace) -> dict[str, float]:
    """Train an adapter and leave it in `adapter/`, with one prompt as the model sees it and the examples used.

    Where `workspace.checkpoints` holds a checkpoint, training goes on from it.

    Raises:
        DataError: nothing to train on, or an example that is not what it must be (`cloze.model.masking`).
        StoppedError: a signal or a file asked to stop; a checkpoint was saved.
        MissingInputError: another process trains the same.
    """
    import torch

    from cloze.locks import locked
    from cloze.model.processes import joined

    torch.set_num_threads(settings.threads)
    with joined() as processes:
        processes.require_divisible(settings.accumulate)
        if processes.rank > 0:
            return _finetune(settings, workspace, processes)
        with locked(workspace.checkpoints.with_suffix(".lock"), "this very training"):
            return _finetune(settings, workspace, processes)


def _finetune(settings: FinetuneSettings, workspace: Workspace, processes: "Processes") -> dict[str, float]:
    from cloze.data.images import open_images
    from cloze.model.adapter import save_adapter
    from cloze.model.base import load_base
    from cloze.model.census import count_parameters
    from cloze.model.features import Features, open_store
    from cloze.model.session import Session
    from cloze.tables import images_uri, read_table

    table = read_table(settings.sequences, "sequences")
    labels = _labels(settings)
    train, val, counts = _choose(table.to_pylist(), labels, settings)
    images = open_images(images_uri(table), workspace.cache)
    base = load_base(settings.base, settings.precision, settings.image_layout, images.size, quantise=settings.quantise)
    examples = [base.chat.encode(row, labels[row["sequence_id"]]) for row in train]
    counts |= _audit(examples, train, labels, base, settings)
    _write_inputs(workspace.out, examples, train, base)

    model = _with_lora(base, settings)
    lora = count_parameters(model).lora
    counts |= {"trainable_parameters": sum(lora.values()), "trainable_parameters_vision": lora["vision"]}
    is_frozen = not settings.vision_lora
    store = open_store(base, workspace.cache / "features", settings.features_gb) if is_frozen else None
    features = Features(base, images, is_frozen=is_frozen, store=store)
    held_out = [base.chat.encode(row, labels[row["sequence_id"]]) for row in val]
    session = Session(settings, workspace, processes, base, features)
    counts |= session.train(examples, held_out)
    features.flush()
    save_adapter(model, workspace.out / "adapter", base)
    return counts


def _labels(settings: FinetuneSettings) -> dict[str, str]:
    """Text by sequence_id of the labels whose state is ok."""
    from cloze.model.masking import audit_labels
    from cloze.tables import read_table

    rows = read_table(settings.labels, "labels", ["sequence_id", "paradigm", "state", "text"]).to_pylist()
    audit_labels(rows, settings.paradigm)
    return {row["sequence_id"]: row["text"] for row in rows if row["state"] == "ok"}


def _choose(
    rows: list[dict[str, Any]], labels: Mapping[str, str], settings: FinetuneSettings
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, float]]:
    """Rows to train on, rows to validate on, and counts. Both are drawn over all books, never the first ones."""
    splits = Counter(row["split"] for row in rows)
    labelled = {
        split: [row for row in rows if row["split"] == split and row["sequence_id"] in labels]
        for split in ("train", "val")
    }
    train, val = (
        _draw(labelled[split], n, settings.seed) for split, n in (("train", settings.examples), ("val", _VAL_EXAMPLES))
    )
    if not train:
        found = f"{len(rows)} sequences, {splits['train']} of them in train, {len(labels)} labels that are ok"
        raise DataError(settings.sequences, f"no train sequence with a label ({found})", "label these sequences")
    counts: dict[str, float] = {
        "examples": len(train),
        "examples_val": len(val),
        "books": len({row["book"] for row in train}),
        "dropped_without_label": splits["train"] - len(labelled["train"]),
    }
    return train, val, counts


def _draw(rows: list[dict[str, Any]], n: int, seed: int) -> list[dict[str, Any]]:
    """So many of the rows, in their own order; all of them where n is 0."""
    if n == 0 or n >= len(rows):
        return rows
    picked = random.Random(seed).sample(range(len(rows)), n)  # noqa: S311
    return [rows[index] for index in sorted(picked)]


def _audit(
    examples: "list[Example]",
    rows: list[dict[str, Any]],
    labels: Mapping[str, str],
    base: "Base",
    settings: FinetuneSettings,
) -> dict[str, float]:
    """The gate: every example, and every batch of the first epoch."""
    from cloze.model.batches import collate, epoch_order
    from cloze.model.masking import audit_batch, audit_examples

    count = audit_examples(examples, rows, [labels[row["sequence_id"]] for row in rows], base.chat)
    for batch in epoch_order([len(example.ids) for example in examples], settings.batch, settings.seed, 0):
        together = [examples[index] for index in batch]
        audit_batch(collate(together, base.chat.pad_id), together, base.chat)
    logger.info("%d examples, %.1f %% of %d tokens masked", len(examples), 100 * count.ratio, count.n_tokens)
    return {"masking_ratio": count.ratio, "supervised_tokens": count.n_supervised, "tokens": count.n_tokens}


def _write_inputs(out: Path, examples: "list[Example]", rows: list[dict[str, Any]], base: "Base") -> None:
    import pyarrow as pa

    from cloze.tables import write_table

    shown = base.chat.show(examples[0])
    (out / "prompt.txt").write_text(f"sequence {examples[0].sequence_id}; what carries loss stands in ⟦ ⟧\n\n{shown}")
    used = [
        {
            "sequence_id": example.sequence_id,
            "book": row["book"],
            "tokens": len(example.ids),
            "supervised_tokens": sum(example.supervised),
        }
        for example, row in zip(examples, rows, strict=True)
    ]
    write_table(pa.Table.from_pylist(used), out / "examples.parquet")


def _with_lora(base: "Base", settings: FinetuneSettings) -> Any:
    import torch
    from peft import LoraConfig

    from cloze.model.adapter import add_adapter, target_pattern

    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=target_pattern(settings.target_names, vision=settings.vision_lora),
    )
    model = add_adapter(base, config)
    model.train()
    return model
