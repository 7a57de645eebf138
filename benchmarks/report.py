"""The report of 1,000 sequences and 5 conditions: its size, and how long a browser takes to open it and to go on.

`python -m benchmarks.report` draws its panels; `--panels FOLDER` takes real ones. Every panel is of its own (as when
sequences are drawn at random from many books), or with `--shared` neighbours share five. Claims: under 30 MB, and
open in under 2 s (Chromium, the median of five openings).
"""

import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright

from cloze.reporting.report import ReportSettings, build_report
from cloze.scoring.evaluation import EvalSettings, evaluate
from cloze.stage import Workspace
from cloze.tables import table, write_table

N_SEQUENCES, PER_BOOK, N_OPENINGS, N_STEPS = 1000, 20, 5, 50
CONDITIONS = [("zero-shot", "pred"), ("zero-shot", "descp"), ("fine-tuned", "pred"), ("fine-tuned", "descp")]
CONDITIONS.append(("fine-tuned", "pred"))
WORDS = Path(__file__).read_text(encoding="utf-8").split()
CHROMIUM = "/usr/bin/chromium"


@click.command()
@click.option(
    "--panels", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Real panels, *.jpg below."
)
@click.option("--shared", is_flag=True, help="Sequences overlap, as those of one story do.")
def main(panels: Path | None, shared: bool) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cells = write_study(folder, panels, is_shared=shared)
        start = time.perf_counter()
        metrics = build_report(
            ReportSettings(runs=str(cells), strips=N_SEQUENCES, compare="mark"), workspace(folder / "report")
        )
        took = time.perf_counter() - start
        print(f"{metrics['n_strips']:.0f} strips, {len(CONDITIONS)} conditions, {metrics['n_pictures']:.0f} pictures")
        print(f"  {metrics['report_bytes'] / 1e6:.1f} MB, built in {took:.0f} s")
        browse(folder / "report" / "out" / "report.html")


def workspace(folder: Path) -> Workspace:
    """A place to run a step in."""
    out = folder / "out"
    out.mkdir(parents=True)
    return Workspace(out, folder / "cache", lambda metrics, step: None, folder / "state")


def write_study(folder: Path, panels: Path | None, *, is_shared: bool) -> Path:
    """Tables, pictures and the file that describes the runs."""
    rng = random.Random(0)  # noqa: S311
    sources = sorted(panels.rglob("*.jpg")) if panels else []
    rows = []
    for book in range(1, N_SEQUENCES // PER_BOOK + 1):
        n_panels = PER_BOOK + 5 if is_shared else 6 * PER_BOOK
        made = [make_panel(folder / "images", f"{book}/{i}_0", sources, rng) for i in range(n_panels)]
        starts = range(0, n_panels - 5, 1 if is_shared else 6)
        rows += [sequence(book, made[start : start + 6]) for start in starts]
    tables = {"sequences": str(folder / "sequences.parquet")}
    write_table(table("sequences", rows, str(folder / "images")), Path(tables["sequences"]))
    ids = [row["sequence_id"] for row in rows]
    for paradigm in ("pred", "descp"):
        labels = [{"sequence_id": k, "paradigm": paradigm, "state": "ok", "text": write(rng)} for k in ids]
        tables[f"{paradigm}_labels"] = str(folder / f"{paradigm}.parquet")
        write_table(table("labels", labels), Path(tables[f"{paradigm}_labels"]))
    cells = [cell(folder / f"run{i}", i, tables, ids, rng) for i in range(len(CONDITIONS))]
    path = folder / "cells.json"
    path.write_text(json.dumps({"tracking_uri": "", "cells": cells}))
    return path


def make_panel(root: Path, panel_id: str, sources: list[Path], rng: random.Random) -> dict[str, Any]:
    """A panel that is like no other: a part of a real one, or a drawn one with the grain of print."""
    path = root / f"{panel_id}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    if sources:
        with Image.open(rng.choice(sources)) as source:
            left, top = rng.randrange(max(1, source.width // 20)), rng.randrange(max(1, source.height // 20))
            source.convert("RGB").crop((left, top, source.width, source.height)).save(path)
    else:
        grain = Image.effect_noise((600, 450 + 50 * rng.randrange(6)), 24).convert("RGB")
        draw = ImageDraw.Draw(grain)
        for _ in range(40):
            x, y = rng.randrange(600), rng.randrange(450)
            colour = tuple(rng.randrange(256) for _ in range(3))
            draw.ellipse((x, y, x + rng.randrange(10, 160), y + rng.randrange(10, 160)), colour, "black", 3)
        draw.text((30, 30), write(rng)[:40], fill="black", font_size=28)
        grain.save(path)
    return {"panel_id": panel_id, "image": f"{panel_id}.jpg", "text": write(rng)[:80]}


def sequence(book: int, panels: list[dict[str, Any]]) -> dict[str, Any]:
    """A row of the sequences table."""
    place = {"book": book, "story": 0, "group": book, "split": "test"}
    return {"sequence_id": panels[-1]["panel_id"], "context": panels[:-1], "target": panels[-1]} | place


def write(rng: random.Random) -> str:
    """A text as long as the labels of the original study."""
    return " ".join(rng.choices(WORDS, k=90))


def cell(folder: Path, number: int, tables: dict[str, str], ids: list[str], rng: random.Random) -> dict[str, Any]:
    """An evaluated run."""
    condition, paradigm = CONDITIONS[number]
    folder.mkdir()
    predictions = folder / "predictions.parquet"
    rows = [{"sequence_id": key, "prediction": write(rng), "finish_reason": "stop"} for key in ids]
    write_table(table("predictions", rows), predictions)
    given: dict[str, Any] = tables | {"predictions": str(predictions)}
    metrics = evaluate(EvalSettings(**{"resamples": 100, **given}), workspace(folder))
    place = {"run_id": str(number), "run_name": f"run {number}", "paradigm": paradigm, "condition": condition}
    empty: dict[str, Any] = {"curves": {}, "settings": {}, "fingerprint": {}, "blind": "none"}
    signatures = json.loads((folder / "out" / "signatures.json").read_text())
    scores = str(folder / "out" / "scores.parquet")
    return (
        place
        | empty
        | {"metrics": metrics, "drawn": {}, "signatures": signatures, "tables": given | {"scores": scores}}
    )


def browse(path: Path) -> None:
    """Open the report and go through its strips as a reader would, until each is painted."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = []
        for _ in range(N_OPENINGS):
            page = browser.new_page(viewport={"width": 1250, "height": 900})
            start = time.perf_counter()
            page.goto(path.as_uri())
            painted(page)
            opened.append(time.perf_counter() - start)
            if len(opened) < N_OPENINGS:
                page.close()
        steps = [timed(page, lambda: page.keyboard.press("j")) for _ in range(N_STEPS)]
        searches = [timed(page, lambda word=word: page.fill("#viewer-text", word)) for word in ("report", "five", "zz")]
        print(f"  opens in {statistics.median(opened):.2f} s (from {min(opened):.2f} to {max(opened):.2f})")
        print(f"  next strip in {1000 * statistics.median(steps):.0f} ms (at most {1000 * max(steps):.0f})")
        print(f"  search in at most {1000 * max(searches):.0f} ms")
        browser.close()


def timed(page: Page, act: Any) -> float:
    start = time.perf_counter()
    act()
    painted(page)
    return time.perf_counter() - start


def painted(page: Page) -> None:
    """Wait until the pictures of the strip are decoded and a frame with them was drawn."""
    page.evaluate(
        "Promise.all([...document.querySelectorAll('#viewer-card img')].map((image) => image.decode()))"
        ".then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))"
    )


if __name__ == "__main__":
    main()
