"""Panels with captions, from which a LoRA of Stable Diffusion is trained: those of the training split, described."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cloze.digests import drawn
from cloze.errors import DataError
from cloze.rendering.buckets import bucket
from cloze.rendering.prompt import compile_prompt
from cloze.rendering.sd_settings import FinetuneSdSettings
from cloze.tables import read_table, write_table

if TYPE_CHECKING:
    from cloze.data.images import ImageFolder
    from cloze.rendering.diffusion import Painter

N_VAL = 32
_LEAST_KEPT = 0.5  # share of a panel that its bucket must show: of a strip of 20 x 2,000 pixels it shows one part in 50


@dataclass(frozen=True)
class Captioned:
    """A panel to learn from.

    Attributes:
        image: name of its picture below the image root.
        caption: its label, compiled as prompts are.
        shape: width and height that it is brought to.
    """

    sequence_id: str
    image: str
    caption: str
    shape: tuple[int, int]


@dataclass(frozen=True)
class Chosen:
    """Panels to train on and to validate with, and counts of what was left out."""

    train: Sequence[Captioned]
    val: Sequence[Captioned]
    counts: dict[str, float]


def choose(settings: FinetuneSdSettings, sequences: Any, images: "ImageFolder", painter: "Painter") -> Chosen:
    """Target panels of the training split with a `descp` label, no more of them than the steps can show.

    Args:
        sequences: the table.

    Raises:
        DataError: labels of another paradigm, or nothing to train on.
    """
    labels = _labels(settings)
    rows = sequences.select(["sequence_id", "split", "target"]).to_pylist()
    n_train = min(settings.examples or len(rows), settings.steps * settings.batch)
    counts = dict.fromkeys(
        ("dropped_without_label", "dropped_unseen", "dropped_too_narrow", "captions_cut", "tokens_cut"), 0.0
    )
    found = {}
    for split, n in (("train", n_train), ("val", N_VAL)):
        of_split = [row for row in rows if row["split"] == split]
        labelled = [row for row in of_split if row["sequence_id"] in labels]
        counts["dropped_without_label"] += len(of_split) - len(labelled)
        places = drawn([row["sequence_id"] for row in labelled], n, str(settings.seed))
        captioned = (_caption(labelled[place], labels, settings, images, painter, counts) for place in places)
        found[split] = [each for each in captioned if each is not None]
    if not found["train"]:
        problem = f"no train sequence with a label that can be drawn ({len(rows)} sequences, {len(labels)} labels)"
        raise DataError(settings.sequences, problem, "label these sequences: `mlflow run . -e label -P paradigm=descp`")
    return Chosen(found["train"], found["val"], {"examples": len(found["train"]), **counts})


def write_captions(panels: Sequence[Captioned], path: Path) -> None:
    """Write which panels were shown with which captions, in which shapes."""
    write_table(pa.Table.from_pylist([asdict(panel) | {"shape": list(panel.shape)} for panel in panels]), path)


def _labels(settings: FinetuneSdSettings) -> dict[str, str]:
    rows = read_table(settings.labels, "labels", ["sequence_id", "paradigm", "state", "text"]).to_pylist()
    others = {row["paradigm"] for row in rows} - {"descp"}
    if others:
        # What a labeller expected of a panel that it did not see is no description of the picture.
        problem = f"labels of the paradigm {', '.join(sorted(others))}; those that describe the panel were expected"
        raise DataError(settings.labels, problem, "`mlflow run . -e label -P paradigm=descp` makes them")
    return {row["sequence_id"]: row["text"] or "" for row in rows if row["state"] == "ok"}


def _caption(
    row: dict[str, Any],
    labels: dict[str, str],
    settings: FinetuneSdSettings,
    images: "ImageFolder",
    painter: "Painter",
    counts: dict[str, float],
) -> Captioned | None:
    """The panel with its caption; none where it is of no use, which is counted."""
    compiled = compile_prompt(labels[row["sequence_id"]], painter.count, painter.window, settings.style)
    if not compiled.text:
        counts["dropped_unseen"] += 1
        return None
    height, width = images.size(row["target"]["image"])
    multiple = painter.pipeline.vae_scale_factor
    shape = bucket((width, height), settings.resolution or painter.size, multiple)
    aspects = sorted((width / height, shape[0] / shape[1]))
    if aspects[0] / aspects[1] < _LEAST_KEPT:
        counts["dropped_too_narrow"] += 1
        return None
    counts["captions_cut"] += compiled.cut > 0
    counts["tokens_cut"] += compiled.cut
    return Captioned(row["sequence_id"], row["target"]["image"], compiled.text, shape)
