"""The `ocr` step: reads the lettering of panels whose text nobody has, and writes the OCR table that `ingest` reads.

It lies beside the labellers, and not with the data, because the readers that are vision-language models share their
plan, ledger and budget.
"""

import logging
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from cloze.data.comics import SAMPLE, draw_sample, find_pictures, local_table
from cloze.digests import drawn
from cloze.errors import DataError, SettingsError
from cloze.labels.answers import State
from cloze.labels.cost import RESOLUTIONS
from cloze.labels.inquiry import MODELS, ModelSettings
from cloze.settings import setting
from cloze.stage import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

    from cloze.data.images import ImageFolder
    from cloze.labels.reader import Reader, Reading, Unread

logger = logging.getLogger(__name__)

READERS = ("local", *MODELS)
WHICH = ("missing", "all")

_NAME = re.compile(r"(\d{1,9})/(\d{1,9})_(\d{1,9})\.\w+", re.ASCII)
_SAY_EVERY_S = 30.0


@dataclass(frozen=True, kw_only=True)
class OcrSettings(ModelSettings):
    """What a user may set when panels are read; what says how a model is asked does not concern the local reader."""

    comics: str = setting(
        "Folder of comics in the COMICS layout, local or gs://bucket/folder; `sample` draws a small world of comics.",
        default=SAMPLE,
    )
    ocr: str = setting(
        "OCR table (CSV) to complete, by box or by panel. Empty: the one in the folder, if there.", default=""
    )
    which: str = setting(
        "Panels to read. missing: those without text in the OCR table. all: also those that have some, in its place.",
        default="missing",
        choices=WHICH,
    )
    reader: str = setting(
        "Who reads. local: a library on this machine; gemini-batch and gemini ask Google's models, by the batch or one "
        "by one; openai any server that speaks its protocol.",
        default="local",
        choices=READERS,
    )
    limit: int = setting("Read so many panels, drawn the same way each time; 0 for all.", default=0)
    min_confidence: float = setting(
        "Lines that the local reader is less sure of are left out (0 to 1); drawn sounds mostly are.", default=0.7
    )
    seed: int = setting("Seed that the sample is drawn from.", default=42)
    # Lettering is a few pixels high, and there is one right answer.
    picture_size: int = setting("Longest side in pixels of pictures that are sent.", default=1024)
    resolution: str = setting("Tokens that Gemini spends on a picture.", default="high", choices=RESOLUTIONS)
    temperature: float = setting("Sampling temperature.", default=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.comics:
            raise SettingsError("comics", self.comics, "a folder, gs://bucket/folder or `sample`")
        if self.reader != "local":
            self.require_model(self.reader)
        elif self.dry_run:
            raise SettingsError("dry_run", "yes", "no with the local reader, which costs nothing")
        for name in ("limit", "seed"):
            if getattr(self, name) < 0:
                raise SettingsError(name, getattr(self, name), "0 or more")
        if not 0 <= self.min_confidence <= 1:
            raise SettingsError("min_confidence", self.min_confidence, "from 0 to 1")
        if self.comics == SAMPLE and self.ocr:
            raise SettingsError("ocr", self.ocr, "empty for the sample, which has its own")


def read_panels(settings: OcrSettings, workspace: Workspace) -> dict[str, float]:
    """Read panels into `ocr.csv`, with the rows that were known; say in `readings.parquet` what became of each.

    Raises:
        DataError: no folder, no pictures, or an OCR table that is not what it must be.
    """
    from cloze.labels.box_table import write_box_table

    workspace.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.cache) as scratch:
        source = _find(settings, workspace.cache, Path(scratch))
    pictures = _pictures(source.images)
    wanted = _drawn(pictures if settings.which == "all" else _without_text(pictures, source.known), settings.limit)
    logger.info("%d panels have a picture; %d of them to read", len(pictures), len(wanted))
    reader = _open_reader(settings, workspace, source.images.uri)
    readings = sorted(_reported(reader(wanted, source.images), len(wanted)), key=lambda reading: reading.panel)
    if settings.dry_run:
        return {"pictures": len(pictures), "panels_to_read": len(wanted), **reader.figures}
    write_box_table(workspace.out / "ocr.csv", source.known, readings)
    _write_readings(readings, workspace.out / "readings.parquet")
    return {"pictures": len(pictures), **_figures(readings), **reader.figures}


class _Source(NamedTuple):
    """The pictures, and the lettering that is known (as `read_lettering` returns it), if any is."""

    images: "ImageFolder"
    known: "pa.Table | None"


def _open_reader(settings: OcrSettings, workspace: Workspace, images: str) -> "Reader":
    """Whoever reads."""
    from cloze.labels.local_reader import LocalReader
    from cloze.labels.model_reader import ModelReader

    if settings.reader != "local":
        of_sample = images if settings.comics == SAMPLE else ""
        return ModelReader(settings.reader, settings, of_sample, workspace.state / "ocr", workspace.out)
    return LocalReader(workspace.cache, settings.min_confidence)


def _find(settings: OcrSettings, cache: Path, scratch: Path) -> _Source:
    from cloze.data.ocr_tables import find_ocr_table, ocr_tables, read_lettering

    if settings.comics == SAMPLE:
        sample = draw_sample(settings.seed, cache)
        return _Source(sample.images, read_lettering(sample.ocr))
    folder, images = find_pictures(settings.comics, scratch, copy_ocr=not settings.ocr)
    if settings.ocr:
        return _Source(
            images, _only_usual_names(Path(settings.ocr), read_lettering(local_table(settings.ocr, scratch)))
        )
    if not ocr_tables(folder):
        return _Source(images, None)
    table = find_ocr_table(folder, settings.comics)
    return _Source(images, _only_usual_names(table, read_lettering(table)))


def _only_usual_names(path: Path, known: "pa.Table") -> "pa.Table":
    """The same table, unless it names pictures that a table by box, which names none, would lose.

    Raises:
        DataError: it does.
    """
    import pyarrow.compute as pc

    stems = pc.replace_substring_regex(known["image"], r"^(?:[^/]*/)?([^/]+/[^/]+)\.\w+$", r"\1")
    pages = pc.binary_join_element_wise(known["page"].cast("string"), known["panel"].cast("string"), "_")
    usual = pc.binary_join_element_wise(known["book"].cast("string"), pages, "/")
    strange = known["image"].filter(pc.fill_null(pc.not_equal(stems, usual), False))
    if len(strange):
        raise DataError(
            path,
            f"names pictures such as {strange[0].as_py()!r}, which the table that is written could not",
            "name them BOOK/PAGE_PANEL.jpg",
        )
    return known


def _pictures(images: "ImageFolder") -> list["Unread"]:
    """Every panel that has a picture, once, as `ingest` finds them."""
    from cloze.labels.reader import Unread

    panels: dict[tuple[int, int, int], Unread] = {}
    for name in sorted(images.listing()):
        if found := _NAME.fullmatch(name):
            book, page, panel = (int(number) for number in found.groups())
            panels.setdefault((book, page, panel), Unread(book, page, panel, name))
    return [panels[ids] for ids in sorted(panels)]


def _without_text(panels: Sequence["Unread"], known: "pa.Table | None") -> list["Unread"]:
    if known is None:
        return list(panels)
    import pyarrow.compute as pc

    said = known.filter(pc.not_equal(known["text"], ""))
    ids = set(zip(*(said[name].to_pylist() for name in ("book", "page", "panel")), strict=True))
    return [panel for panel in panels if panel[:3] not in ids]


def _drawn(panels: Sequence["Unread"], limit: int) -> list["Unread"]:
    """All, or `limit` of them; a larger limit draws the same ones and more."""
    if not limit:
        return list(panels)
    return sorted(panels[place] for place in drawn([panel.panel_id for panel in panels], limit))


def _reported(readings: Iterable["Reading"], n_panels: int) -> Iterator["Reading"]:
    """The readings as they come: a bar on a terminal, a line now and then in a log."""
    from tqdm import tqdm

    is_terminal = sys.stderr.isatty()
    started = said = time.monotonic()
    n_failed = 0
    bar = tqdm(readings, total=n_panels, unit="panel", disable=not is_terminal)
    for n_done, reading in enumerate(bar, start=1):
        yield reading
        n_failed += not reading.is_read
        now = time.monotonic()
        if not is_terminal and (now - said >= _SAY_EVERY_S or n_done == n_panels):
            said = now
            left = (now - started) / n_done * (n_panels - n_done)
            logger.info("read %d of %d panels, %d failed, %.0f s to go", n_done, n_panels, n_failed, left)


def _write_readings(readings: Sequence["Reading"], path: Path) -> None:
    """One row per panel: what became of it."""
    import pyarrow as pa

    from cloze.tables import write_table

    columns = {
        "panel_id": pa.array([reading.panel.panel_id for reading in readings], pa.string()),
        "image": pa.array([reading.panel.image for reading in readings], pa.string()),
        "state": pa.array([reading.state.value for reading in readings], pa.string()),
        "reason": pa.array([reading.reason for reading in readings], pa.string()),
        "boxes": pa.array([len(reading.balloons) for reading in readings], pa.int32()),
        "seconds": pa.array([reading.seconds for reading in readings], pa.float64()),
    }
    write_table(pa.table(columns), path)


def _figures(readings: Sequence["Reading"]) -> dict[str, float]:
    """Counts by state, and what reading took where it was not kept from before."""
    states = Counter(reading.state for reading in readings)
    seconds = [reading.seconds for reading in readings if reading.seconds is not None and not reading.is_kept]
    return {
        "panels_to_read": len(readings),
        **{f"panels_{state}": states[state] for state in {State.OK, State.EMPTY, State.FAILED, *states}},
        "panels_kept": sum(reading.is_kept for reading in readings),
        "boxes": sum(len(reading.balloons) for reading in readings),
        **({"seconds_per_panel": median(seconds)} if seconds else {}),
    }
