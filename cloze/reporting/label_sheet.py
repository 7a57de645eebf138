"""A sheet of labels with their strips, for a person to read before many more are paid for."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloze.reporting.page import environment
from cloze.reporting.pictures import Gallery
from cloze.reporting.strips import Panel

N_LABELS = 20
DATA_FILES = ("../../reports",)


@dataclass(frozen=True)
class LabelStrip:
    """A label, the panels that its labeller saw, and the target.

    Attributes:
        saw_target: whether the target was among these.
    """

    row: dict[str, Any]
    context: list[Panel]
    target: Panel
    saw_target: bool


def label_sheet(labels: Path, sequences: Path, cache: Path, n_labels: int = N_LABELS) -> str:
    """HTML of some labels, drawn over all books, those without text among them.

    Raises:
        DataError: a table is not what it must be.
    """
    from cloze.tables import images_uri, read_table

    rows = read_table(labels, "labels").to_pylist()
    rows.sort(key=lambda row: hashlib.sha256(row["sequence_id"].encode()).digest())
    chosen = rows[:n_labels]
    table = read_table(sequences, "sequences", ["sequence_id", "context", "target"])
    gallery = Gallery(images_uri(table), cache, "picture-")
    wanted = {row["sequence_id"] for row in chosen}
    by_id = {row["sequence_id"]: row for row in _rows_of(table, wanted)}
    strips = [_strip(row, by_id[row["sequence_id"]], gallery) for row in chosen]
    template = environment().get_template("labels.html.j2")
    return template.render(strips=strips, gallery=gallery, n_labels=len(rows), first=rows[0])


def _rows_of(table: Any, wanted: set[str]) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows: list[dict[str, Any]] = table.filter(pc.is_in(table["sequence_id"], pa.array(wanted))).to_pylist()
    return rows


def _strip(row: dict[str, Any], sequence: dict[str, Any], gallery: Gallery) -> LabelStrip:
    context = [_shown(panel, gallery) for panel in sequence["context"]]
    return LabelStrip(row, context, _shown(sequence["target"], gallery), row["paradigm"] == "descp")


def _shown(panel: dict[str, Any], gallery: Gallery) -> Panel:
    return Panel(panel["panel_id"], gallery.show(panel["image"]), panel["text"])
