"""Writing an OCR table by box: what another table says, with what was read in its place or added."""

import csv
import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from cloze.data.ocr_tables import BOX_COLUMNS
from cloze.labels.balloons import Box
from cloze.labels.reader import Reading

_NUMBERS = {"dialogue": 1, "narration": 2}  # of COMICS; it has none for what is neither
_ROWS = 4096

_Panel = tuple[tuple[int, int, int], list[list[object]]]


def write_box_table(path: Path, known: pa.Table | None, readings: Iterable[Reading]) -> None:
    """Write the panels of both, sorted; a panel that was read is written as it was read.

    Args:
        path: the CSV file to make.
        known: as `read_lettering` returns it; None where nothing is known yet.
        readings: of panels; those that could not be read change nothing.
    """
    read = {reading.panel[:3]: _read_rows(reading) for reading in readings if reading.is_read}
    others = (panel for panel in _known_panels(known) if panel[0] not in read)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(BOX_COLUMNS)
        for ids, rows in heapq.merge(others, sorted(read.items()), key=lambda panel: panel[0]):
            # A panel without boxes gets a row without a box: it is known to say nothing.
            writer.writerows([*ids, *row] for row in rows or [[None] * (len(BOX_COLUMNS) - len(ids))])


def _read_rows(reading: Reading) -> list[list[object]]:
    return [
        [number, _NUMBERS.get(balloon.kind), balloon.text, *_edges(balloon.box)]
        for number, balloon in enumerate(reading.balloons)
    ]


def _edges(box: Box | None) -> list[object]:
    return [None] * 4 if box is None else [f"{edge:.1f}" for edge in box]


def _known_panels(known: pa.Table | None) -> Iterator[_Panel]:
    if known is None:
        return
    for batch in known.to_batches(max_chunksize=_ROWS):
        for panel in batch.to_pylist():
            yield (panel["book"], panel["page"], panel["panel"]), _known_rows(panel)


def _known_rows(panel: dict[str, Any]) -> list[list[object]]:
    """Its boxes as they were; all its text as one box of no kind where its boxes do not spell it."""
    boxes, text = panel["bubbles"], panel["text"]
    if " ".join(" ".join(box["text"] for box in boxes).split()) != " ".join(text.split()):
        return [[0, None, text, None, None, None, None]]
    return [
        [number, _NUMBERS.get(box["kind"]), box["text"], *(_edge(box[name]) for name in BOX_COLUMNS[-4:])]
        for number, box in enumerate(boxes)
    ]


def _edge(value: float | None) -> str | None:
    return None if value is None else f"{value:.7g}"  # seven digits are what a 32-bit number holds
