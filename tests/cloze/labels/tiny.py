"""A few sequences with real pictures: small, noisy, each another."""

from pathlib import Path

import numpy as np
from PIL import Image

from cloze.stage import Workspace
from cloze.tables import table, write_table


def write_sequences(folder: Path, n: int) -> Path:
    """A sequences table of n overlapping windows of one story, its pictures beside it."""
    images = folder / "comics" / "1"
    images.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(n + 5):
        noise = random.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(images / f"2_{number}.jpg")
    panels = [
        {"panel_id": f"1/2_{number}", "image": f"1/2_{number}.jpg", "text": f"LINE {number}"} for number in range(n + 5)
    ]
    rows = [
        {
            "sequence_id": panels[start + 5]["panel_id"],
            "book": 1,
            "story": 0,
            "group": 1,
            "split": "train" if start % 2 == 0 else "test",
            "context": panels[start : start + 5],
            "target": panels[start + 5],
        }
        for start in range(n)
    ]
    path = folder / "sequences.parquet"
    write_table(table("sequences", rows, str(folder / "comics")), path)
    return path


def workspace(folder: Path, name: str = "out") -> Workspace:
    """An empty `out`, and a state that runs in one folder share."""
    out = folder / name
    out.mkdir()
    return Workspace(out, folder / "cache", lambda metrics, step: None, folder / "state")
