"""Prediction: what the model writes about the next panel, for every sequence of a split."""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.errors import DataError, SettingsError
from cloze.model.finetune_settings import LAYOUTS, PRECISIONS
from cloze.settings import setting, table_input
from cloze.stage import Workspace

if TYPE_CHECKING:
    from cloze.data.images import ImageFolder
    from cloze.model.base import Base

logger = logging.getLogger(__name__)

SPLITS = ("train", "val", "test", "all")
BLIND = ("none", "images", "text", "order")


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """What a user may set when a model predicts."""

    sequences: str = table_input(
        "Sequences to predict, a Parquet file.", made_by="sequences", artifact="sequences.parquet", inherited=True
    )
    base: str = setting(
        "Model: sample, a folder or an id on the hub; empty is the adapter's own, else sample.", default=""
    )
    adapter: str = table_input("Adapter; none predicts zero-shot.", made_by="", artifact="adapter", optional=True)
    split: str = setting("Which sequences.", default="test", choices=SPLITS)
    examples: int = setting(
        "Predict at most so many sequences, the same ones in every run; 0 is all of them.", default=0
    )
    blind: str = setting(
        "What is hidden from the model: nothing, the pictures, the lettering, or the order of the panels.",
        default="none",
        choices=BLIND,
    )
    image_layout: str = setting(
        "Pictures as the model gets them: multi or anyres; empty is the adapter's own, else multi.", default=""
    )
    batch: int = setting("Sequences answered at once.", default=16)
    max_new_tokens: int = setting("Longest answer, in tokens.", default=96)
    precision: str = setting("Numbers of weights and arithmetic.", default="fp32", choices=PRECISIONS)
    features_gb: float = setting("Keep so many GB of picture features on disk, in the cache.", default=50.0)
    threads: int = setting("Processor threads.", default=1)

    def __post_init__(self) -> None:
        words = {"split": SPLITS, "blind": BLIND, "precision": PRECISIONS}
        if self.image_layout:
            words["image_layout"] = LAYOUTS
        for name, allowed in words.items():
            if getattr(self, name) not in allowed:
                raise SettingsError(name, getattr(self, name), f"one of {', '.join(allowed)}")
        for name in ("batch", "max_new_tokens", "threads"):
            if getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "1 or more")
        for name in ("examples", "features_gb"):
            if not getattr(self, name) >= 0:
                raise SettingsError(name, getattr(self, name), "0 or more")


def predict(settings: PredictSettings, workspace: Workspace) -> dict[str, float]:
    """Write `predictions.parquet`, one exact prompt, and the fingerprint of what predicted.

    Raises:
        DataError: no sequence in the split, or an adapter that was trained on another base or with another layout.
    """
    import torch

    from cloze.data.images import open_images
    from cloze.labels.prompts import instructions
    from cloze.model.adapter import adapter_origin
    from cloze.model.features import Features, open_store
    from cloze.model.generation import generate
    from cloze.tables import images_uri, read_table, table, with_prompt, write_table

    torch.set_num_threads(settings.threads)
    sequences = read_table(settings.sequences, "sequences")
    rows = _choose(sequences.to_pylist(), settings)
    images = open_images(images_uri(sequences), workspace.cache)
    base, model = _load(settings, images)
    prompts = [base.chat.encode(row, blind=settings.blind) for row in rows]
    (workspace.out / "prompt.txt").write_text(f"sequence {prompts[0].sequence_id}\n\n{base.chat.show(prompts[0])}")
    _write_fingerprint(workspace.out / "fingerprint.json", settings, base, rows)
    store = open_store(base, workspace.cache, settings.features_gb, settings.adapter)
    features = Features(base, images, is_frozen=True, store=store)
    adapted = adapter_origin(Path(settings.adapter))["adapted"] if settings.adapter else "all"
    answers = generate(
        model, base.chat, prompts, features, settings.batch, settings.max_new_tokens, on_answers=adapted == "answer"
    )
    predictions = [
        {
            "sequence_id": row["sequence_id"],
            "prediction": answer.text,
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.prompt_tokens,
            "output_tokens": answer.output_tokens,
            "seconds": answer.seconds,
        }
        for row, answer in zip(rows, answers, strict=True)
    ]
    predicted = table("predictions", predictions, images_uri(sequences))
    asked = instructions(len(rows[0]["context"]))
    write_table(with_prompt(predicted, asked), workspace.out / "predictions.parquet")
    return {
        "predictions": len(answers),
        "finished_stop": sum(answer.finish_reason == "stop" for answer in answers),
        "finished_length": sum(answer.finish_reason == "length" for answer in answers),
        "prompt_tokens_mean": sum(answer.prompt_tokens for answer in answers) / len(answers),
        "output_tokens_mean": sum(answer.output_tokens for answer in answers) / len(answers),
        "seconds_per_prediction": sum(answer.seconds for answer in answers) / len(answers),
    }


def _choose(rows: list[dict[str, Any]], settings: PredictSettings) -> list[dict[str, Any]]:
    """Rows of the split in their order; of these the `examples` whose ids have the smallest digests."""
    chosen = [row for row in rows if settings.split in ("all", row["split"])]
    if not chosen:
        raise DataError(
            settings.sequences, f"no sequence in split {settings.split} ({len(rows)} in all)", "try split=all"
        )
    if settings.examples == 0:
        return chosen
    ranked = sorted(chosen, key=lambda row: hashlib.sha256(row["sequence_id"].encode()).digest())
    picked = {row["sequence_id"] for row in ranked[: settings.examples]}
    return [row for row in chosen if row["sequence_id"] in picked]


def _load(settings: PredictSettings, images: "ImageFolder") -> "tuple[Base, Any]":
    """The base, and the model to use: the base's own or the adapted one."""
    from cloze.model.adapter import adapter_base, adapter_layout, load_adapter
    from cloze.model.base import SAMPLE, load_base

    if not settings.adapter:
        base = load_base(settings.base or SAMPLE, settings.precision, settings.image_layout or LAYOUTS[0], images.size)
        return base, base.model
    folder = Path(settings.adapter)
    layout = adapter_layout(folder, settings.image_layout)
    base = load_base(settings.base or adapter_base(folder), settings.precision, layout, images.size)
    return base, load_adapter(base, folder)


def _write_fingerprint(path: Path, settings: PredictSettings, base: "Base", rows: list[dict[str, Any]]) -> None:
    """What decides the predictions: two runs with one fingerprint predict the same."""
    adapter = Path(settings.adapter) if settings.adapter else None
    fingerprint = {
        **predictor_settings(base, adapter, settings.precision, settings.max_new_tokens),
        "blind": settings.blind,
        "sequences_digest": hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest(),
    }
    path.write_text(json.dumps(fingerprint, indent=2) + "\n")


def predictor_settings(base: "Base", adapter: Path | None, precision: str, max_new_tokens: int) -> dict[str, Any]:
    """What decides the text that is predicted for a given sequence."""
    from cloze.digests import folder_digest
    from cloze.model.adapter import adapter_origin
    from cloze.model.conversation import conversation_digest

    origin = adapter_origin(adapter) if adapter else None
    return {
        "base": base.name,
        "base_digest": base.digest,
        "adapter_digest": folder_digest(adapter) if adapter else None,
        "prompt_digest": conversation_digest(base.chat.layout),
        "decoding": {"strategy": "greedy", "max_new_tokens": max_new_tokens},
        "precision": precision,
        "trained_in": {name: origin[name] for name in ("precision", "quantise")} if origin else None,
        "image_layout": base.chat.layout,
    }
