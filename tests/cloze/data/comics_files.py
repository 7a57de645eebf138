"""Small sets of comic files and panels for the tests of `cloze.data`."""

import csv
import io
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from cloze.data.ocr_tables import BOX_COLUMNS, PANEL_COLUMNS
from cloze.stage import Workspace
from cloze.tables import table, write_table

WORDS = [f"{a}{b}{c}" for a in "BDFGKLMNPRST" for b in ("AN", "ER", "IL", "OST", "UMP") for c in "AEIOTY"]


def workspace(folder: Path) -> Workspace:
    """A fresh workspace below `folder`."""
    out = folder / f"out{len(list(folder.glob('out*')))}"
    out.mkdir(parents=True)
    return Workspace(out, folder / "cache", lambda metrics, step: None, folder / "state")


def jpeg(size: tuple[int, int] = (24, 16), color: int = 128) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (color, 90, 30)).save(stream, "JPEG")
    return stream.getvalue()


def box(panel_id: str, text: str = "", textbox: object = 0, **more: object) -> dict[str, object]:
    """One row of a box-level OCR table."""
    book, page, panel = ids(panel_id)
    row = dict(zip(BOX_COLUMNS, (book, page, panel, textbox, 1, text, 1, 2, 30, 40), strict=True))
    return row | more


def read_panel(panel_id: str, text: str = "", **more: object) -> dict[str, object]:
    """One row of a panel-level OCR table."""
    book, page, panel = ids(panel_id)
    path = f"raw_panel_images/{panel_id}.jpg"
    return dict(zip(PANEL_COLUMNS, (book, page, panel, path, text, 0, '{"bubbles": []}'), strict=True)) | more


def ids(panel_id: str) -> tuple[int, int, int]:
    book, _, rest = panel_id.partition("/")
    page, _, panel = rest.partition("_")
    return int(book), int(page), int(panel)


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_pictures(folder: Path, names: Iterable[str], content: bytes = b"") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content or jpeg())


def write_comics(folder: Path, rows: Sequence[Mapping[str, object]], pictures: Iterable[str]) -> Path:
    """Comics in the COMICS layout; `pictures` are panel ids."""
    write_csv(folder / "COMICS_ocr_file.csv", rows)
    write_pictures(folder / "raw_panel_images", [f"{panel_id}.jpg" for panel_id in pictures])
    return folder


def panel_row(panel_id: str, text: str = "", **more: Any) -> dict[str, Any]:
    """One row of a panels table."""
    book, page, panel = ids(panel_id)
    row = {"panel_id": panel_id, "book": book, "page": page, "panel": panel, "image": f"{panel_id}.jpg", "text": text}
    return row | {"bubbles": [], "is_cover": page == 0, "is_ad": False} | more


def write_panels(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    write_table(table("panels", rows, images="/pictures"), path)
    return path


def book_rows(book: int, n_pages: int, n_panels: int = 4, first_page: int = 1) -> list[dict[str, Any]]:
    """Panels of a book of so many pages of so many panels; each says something of its own."""
    pages = range(first_page, first_page + n_pages)
    panel_ids = [f"{book}/{page}_{panel}" for page in pages for panel in range(n_panels)]
    return [panel_row(panel_id, f"you {sentence(panel_id)}!") for panel_id in panel_ids]


def sentence(seed: object, n_words: int = 10) -> str:
    """Words that hardly another seed says in this order."""
    return " ".join(random.Random(str(seed)).choices(WORDS, k=n_words))  # noqa: S311


def texts(*values: str) -> pa.Array:
    return pa.array(values, pa.string())
