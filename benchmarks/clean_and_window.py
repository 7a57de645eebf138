"""Claim: 1,229,664 panels become sequences in under 30 s and 4 GiB on two cores.

    python -m benchmarks.clean_and_window                 # COMICS's size, then against the row-by-row method
    python -m benchmarks.clean_and_window --rounds 0      # COMICS's size only

Comics are generated (lettering, no pictures): words as frequent as words are, titles, endings, advertisements, listed
ad pages, missing pages, and reprinted books. The row-by-row method is the original study's: a data frame per book, a
Python call per panel, a dict per window. Both cut the same panel-level table by rules v1, in turns in one process, and
must find the same sequences.
"""

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from cloze.data.adverts import V1_PHRASES
from cloze.data.panels import IngestSettings, ingest
from cloze.data.sequences import SequenceSettings, build_sequences
from cloze.data.stories import V1_ENDINGS, V1_TITLES
from cloze.stage import Workspace

COMICS_PANELS, COMICS_BOOKS = 1_229_664, 3_929
LINES = ("THE END", "LOOK OUT, CAPTAIN!", "THE MYSTERY OF THE MILL", "SEND FOR THE DOCTOR, QUICK!", "PART II: THE TRAP")
ADVERTS = ("SEND ONLY 25¢ TO BOX NO. 7, CHICAGO, ILL.", "FREE GIFT! MAIL THIS COUPON TODAY, MONEY BACK GUARANTEE")


def generate(folder: Path, n_panels: int, n_books: int, seed: int = 7) -> None:
    """Write comics in the COMICS layout without pictures: OCR tables of both levels and `predadpages.txt`."""
    rng = np.random.default_rng(seed)
    book, page, panel = _layout(rng, n_panels, n_books)
    text = _with_lines(rng, _reprinted(book, _lettering(rng, n_panels)))
    ids = {"comic_no": book, "page_no": page, "panel_no": panel}
    (folder / "by_panel").mkdir()
    more = {
        "img_path": [""] * n_panels,
        "agg_text": text,
        "bubble_count": [0] * n_panels,
        "bubbles_json": [""] * n_panels,
    }
    pa.csv.write_csv(pa.table(ids | more), folder / "by_panel" / "ocr.csv")
    pa.csv.write_csv(_boxes(ids, text), folder / "COMICS_ocr_file.csv")
    pages = np.unique(np.stack([book, page]), axis=1)
    ads = pages[:, rng.random(pages.shape[1]) < 0.06]
    (folder / "predadpages.txt").write_text("".join(f"{b}---{p}\n" for b, p in ads.T.tolist()))


def _layout(rng: np.random.Generator, n_panels: int, n_books: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Book, page and panel of each panel: 6 panels a page, and one page in twenty is missing."""
    book = np.sort(rng.integers(0, n_books, n_panels)).astype(np.int32)
    on_page = np.searchsorted(np.cumsum(rng.integers(3, 10, n_panels)), np.arange(n_panels), side="right")
    is_new = (np.diff(book, prepend=-1) != 0) | (np.diff(on_page, prepend=-1) != 0)
    steps = is_new * np.where(rng.random(n_panels) < 0.05, 2, 1)
    page = _since(np.cumsum(steps), np.diff(book, prepend=-1) != 0)
    return book, page.astype(np.int32), _since(np.arange(n_panels), is_new).astype(np.int32)


def _since(values: np.ndarray, is_start: np.ndarray) -> np.ndarray:
    """Each value less the one where its run started."""
    starts = np.flatnonzero(is_start)
    return values - np.repeat(values[starts], np.diff(starts, append=len(values)))


def _lettering(rng: np.random.Generator, n_panels: int) -> pa.Array:
    """Texts of some 20 words, the n-th commonest word as often as 1/n; one text in twelve is empty."""
    syllables = ["BA", "TON", "RI", "MEL", "KO", "SHA", "VI", "DER", "LO", "GAN", "PRE", "TI", "SU", "WEN", "HAR", "O"]
    marks = ["", "", "", "", "!", "?", ",", "..."]
    words = ["".join(rng.choice(syllables, rng.integers(1, 5))) + str(rng.choice(marks)) for _ in range(20_000)]
    n_words = np.where(rng.random(n_panels) < 1 / 12, 0, rng.poisson(20, n_panels))
    shares = np.cumsum(1 / np.arange(1, len(words) + 1))
    which = np.searchsorted(shares, rng.random(int(n_words.sum())) * shares[-1])
    offsets = pa.array(np.append(0, np.cumsum(n_words)), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, pa.array(words).take(pa.array(which))), " ")


def _reprinted(book: np.ndarray, text: pa.Array) -> pa.Array:
    """Every fiftieth book says what the book before it does."""
    starts = np.searchsorted(book, np.arange(book[-1] + 2))
    source = np.arange(len(book))
    for reprint in range(50, int(book[-1]) + 1, 50):
        n = min(np.diff(starts)[reprint - 1 : reprint + 1])
        source[starts[reprint] : starts[reprint] + n] = np.arange(starts[reprint - 1], starts[reprint - 1] + n)
    return text.take(pa.array(source))


def _with_lines(rng: np.random.Generator, text: pa.Array) -> pa.Array:
    """Titles, endings and alarms in 2 % of the panels, advertisements in 0.5 %."""
    chance = rng.random(len(text))
    lines = pa.array(LINES).take(pa.array(rng.integers(0, len(LINES), len(text))))
    adverts = pa.array(ADVERTS).take(pa.array(rng.integers(0, len(ADVERTS), len(text))))
    return pc.if_else(pa.array(chance < 0.02), lines, pc.if_else(pa.array(chance > 0.995), adverts, text))


def _boxes(ids: Mapping[str, np.ndarray], text: pa.Array) -> pa.Table:
    """Each panel's lettering as two boxes, cut at 40 letters."""
    parts = [pc.utf8_slice_codeunits(text, 0, 40), pc.utf8_slice_codeunits(text, 40)]
    halves = []
    for number, part in enumerate(parts):
        columns: dict[str, Any] = {
            **ids,
            "textbox_no": np.full(len(text), number),
            "dialog_or_narration": [1] * len(text),
        }
        columns |= {"text": part, **{name: np.full(len(text), 10.0 * number) for name in ("x1", "y1", "x2", "y2")}}
        halves.append(pa.table(columns).filter(pc.or_(pc.not_equal(part, ""), number == 0)))
    order = [(name, "ascending") for name in ("comic_no", "page_no", "panel_no", "textbox_no")]
    return pa.concat_tables(halves).sort_by(order)


def by_columns(comics: Path, out: Path, rules: str) -> dict[str, float]:
    """Our way, from CSV to `sequences.parquet`; seconds of each step and counts."""
    seconds = {}
    for step in ("panels", "sequences"):
        (out / step).mkdir(parents=True)
    start = time.perf_counter()
    space = Workspace(out / "panels", out / "cache", lambda metrics, step: None, out / "state")
    ingest(IngestSettings(comics=str(comics), pictures="assumed"), space)
    seconds["ingest_s"] = time.perf_counter() - start
    start = time.perf_counter()
    settings = SequenceSettings(panels=str(out / "panels" / "panels.parquet"), rules=rules)
    space = Workspace(out / "sequences", out / "cache", lambda metrics, step: None, out / "state")
    counts = build_sequences(settings, space)
    return seconds | {"sequences_s": time.perf_counter() - start} | counts


def by_rows(table: Path) -> list[str]:
    """The row-by-row way, from CSV to a list of sequences in memory; their targets."""
    frame = pd.read_csv(table, usecols=["comic_no", "page_no", "panel_no", "agg_text"])
    sequences: list[dict[str, Any]] = []
    for book in sorted(frame["comic_no"].unique()):
        panels = frame[frame["comic_no"] == book].sort_values(["page_no", "panel_no"])
        panels = panels[panels["page_no"] >= 1]
        panels = panels[~panels["agg_text"].apply(_is_advert)]
        for story in _stories(panels):
            rows = [_panel(row) for _, row in story.iterrows()]
            sequences.extend({"context": rows[i - 5 : i], "target": rows[i]} for i in range(5, len(rows)))
    return [sequence["target"]["panel_id"] for sequence in sequences]


def _panel(row: "pd.Series[Any]") -> dict[str, str]:
    panel_id = f"{row['comic_no']}/{row['page_no']}_{row['panel_no']}"
    return {
        "panel_id": panel_id,
        "image": f"{panel_id}.jpg",
        "text": "" if pd.isna(row["agg_text"]) else row["agg_text"],
    }


def _is_advert(text: object) -> bool:
    return isinstance(text, str) and any(phrase in text.upper() for phrase in V1_PHRASES)


def _is_title(text: str) -> bool:
    if any(re.search(pattern, text.upper().strip()) for pattern in V1_TITLES):
        return True
    letters = [letter for letter in text if letter.isalpha()]
    return 2 <= len(text.split()) <= 6 and sum(map(str.isupper, text)) > 0.75 * len(letters) > 0


def _stories(panels: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Stories of ten panels or more in one book."""
    pages = sorted(panels["page_no"].unique())
    boundaries = pages[:1]
    is_pending = False
    for before, page in pairwise(pages):
        here = panels[panels["page_no"] == page]
        if page - before > 1 or is_pending:
            boundaries.append(page)
            is_pending = False
            continue
        if _is_title(str(here.iloc[0]["agg_text"])) and page - boundaries[-1] > 2:
            boundaries.append(page)
        joined = " ".join(str(row["agg_text"]) for _, row in here.iterrows()).upper().strip()
        is_pending = any(re.search(pattern, joined) for pattern in V1_ENDINGS)
    for start, end in zip(boundaries, [*boundaries[1:], np.inf], strict=True):
        story = panels[(panels["page_no"] >= start) & (panels["page_no"] < end)]
        if len(story) >= 10:
            yield story


def compare(comics: Path, rounds: int, scratch: Path) -> None:
    """Run both ways in turns on the same table; print the ratio of their CPU-seconds and its spread."""
    ratios = []
    for turn in range(rounds):
        start = time.process_time()
        targets = by_rows(comics / "ocr.csv")
        rows_s = time.process_time() - start
        start = time.process_time()
        by_columns(comics, scratch / f"turn{turn}", "v1")
        columns_s = time.process_time() - start
        ours = pq.read_table(scratch / f"turn{turn}" / "sequences" / "sequences.parquet", columns=["sequence_id"])
        assert ours["sequence_id"].to_pylist() == targets, "the two ways disagree"
        ratios.append(rows_s / columns_s)
        print(f"  turn {turn + 1}: by rows {rows_s:.2f}, by columns {columns_s:.2f} CPU-seconds, x{ratios[-1]:.1f}")
    print(
        f"  same {len(targets):,} sequences; x{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    )


def full_size(comics: Path, scratch: Path, rules: str) -> None:
    """Run our way in a process of its own; print its seconds and peak memory."""
    command = [sys.executable, "-m", "benchmarks.clean_and_window", "--measure", str(comics), str(scratch), rules]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    total = found["ingest_s"] + found["sequences_s"]
    steps = ", ".join(f"{step} {found[f'{step}_s']:.1f} s" for step in ("ingest", "sequences"))
    print(f"  rules {rules}: {steps}, together {total:.1f} s")
    print(f"    {found['cpu_s']:.1f} CPU-seconds, peak {found['peak_gib']:.2f} GiB")
    print(f"    {found['sequences']:,.0f} sequences of {found['books']:,.0f} books in {found['groups']:,.0f} groups")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--panels", type=int, default=COMICS_PANELS)
    options.add_argument("--books", type=int, default=COMICS_BOOKS)
    options.add_argument("--rounds", type=int, default=3, help="turns of the comparison")
    options.add_argument("--small", type=int, default=30_000, help="panels of the comparison")
    options.add_argument("--measure", nargs=3, metavar=("COMICS", "OUT", "RULES"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.measure:
        comics, out, rules = chosen.measure
        found = by_columns(Path(comics), Path(out), rules)
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps(found | {"peak_gib": used.ru_maxrss / 2**20, "cpu_s": used.ru_utime + used.ru_stime}))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size, panels, books in (
            ("full", chosen.panels, chosen.books),
            ("small", chosen.small, chosen.small // 300),
        ):
            (folder / size).mkdir()
            generate(folder / size, panels, books)
        print(f"{chosen.panels:,} panels, two boxes each, from CSV:")
        for rules in ("v2", "v1"):
            full_size(folder / "full", folder / f"out-{rules}", rules)
        if chosen.rounds:
            print(f"{chosen.small:,} panels, from CSV by panel, rules v1:")
            compare(folder / "small" / "by_panel", chosen.rounds, folder)


if __name__ == "__main__":
    main()
