"""Fine-tuning: an adapter for a base, trained on the labels of one paradigm."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.model.finetune_settings import FinetuneSettings
from cloze.stage import Workspace

if TYPE_CHECKING:
    from cloze.data.images import ImageFolder
    from cloze.model.base import Base
    from cloze.model.conversation import Example
    from cloze.model.examples import Row
    from cloze.model.feature_store import FeatureStore
    from cloze.model.objectives import Objective
    from cloze.model.processes import Processes


def finetune(settings: FinetuneSettings, workspace: Workspace) -> dict[str, float]:
    """Train an adapter and leave it in `adapter/`, with one prompt as the model sees it and the examples used.

    Where `workspace.checkpoints` holds a checkpoint, training goes on from it.

    Raises:
        UserError: what the doctor calls a fault (`cloze.model.doctor`).
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
    from cloze.model.doctor import examine
    from cloze.model.session import Session

    examined = examine(settings, workspace.cache, is_run=True, processes=processes.size)
    report, chosen, examples = examined.report, examined.chosen, examined.examples
    report.stop_on_faults()
    assert chosen is not None  # noqa: S101 - a run without sequences has a fault
    (workspace.out / "doctor.txt").write_text(report.as_text())
    (workspace.out / "doctor.json").write_text(report.as_json())
    counts = report.metrics() | chosen.counts() | {"tokens": sum(len(example.ids) for example in examples)}

    images = open_images(chosen.images, workspace.cache)
    base = load_base(settings.base, settings.precision, settings.image_layout, images.size, quantise=settings.quantise)
    _write_inputs(workspace.out, examples, chosen.train, base)
    model = _with_lora(base, settings, checkpointing=report.memory.checkpointing)
    lora = count_parameters(model, is_trainable=True)  # of the model itself, not of the plan
    counts |= {"trainable_parameters": lora.total, "trainable_parameters_vision": lora.vision}
    held_out = [base.chat.encode(row, chosen.labels[row["sequence_id"]]) for row in chosen.val]
    with ExitStack() as stores:
        objective = _objective(settings, base, images, workspace.cache, stores)
        counts |= Session(settings, workspace, processes, objective).train(examples, held_out)
    save_adapter(model, workspace.out / "adapter", base, settings.adapted)
    return counts


def _write_inputs(out: Path, examples: "Sequence[Example]", rows: "Sequence[Row]", base: "Base") -> None:
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


def _objective(
    settings: FinetuneSettings, base: "Base", images: "ImageFolder", cache: Path, stores: ExitStack
) -> "Objective":
    """What is to be lowered, with stores that are closed when training ends."""
    from cloze.model.features import Features, open_store
    from cloze.model.objectives import AnswersOnly, WholeSequences

    def opened(of: str) -> "FeatureStore | None":
        store = open_store(base, cache, settings.features_gb, of=of)
        return stores.enter_context(closing(store)) if store else None

    is_frozen = not settings.vision_lora
    features = Features(base, images, is_frozen=is_frozen, store=opened("pictures") if is_frozen else None)
    if settings.adapted == "answer":
        return AnswersOnly(base, features, opened("prompts"))
    return WholeSequences(base.model, features, base.chat.pad_id)


def _with_lora(base: "Base", settings: FinetuneSettings, *, checkpointing: bool) -> Any:
    import torch

    from cloze.model.adapter import add_adapter, lora_config

    torch.manual_seed(settings.seed)
    model = add_adapter(base, lora_config(settings))
    if checkpointing:
        base.model.activation_checkpointing_enable({"use_reentrant": False})
    model.train()
    return model
