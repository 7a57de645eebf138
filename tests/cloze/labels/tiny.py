"""A few sequences with real pictures: small, noisy, each another; and a process that is killed while it asks."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from cloze.stage import Workspace
from cloze.tables import table, write_table
from tests.fakes.gemini import FakeGemini


def write_sequences(folder: Path, n: int, n_groups: int = 1) -> Path:
    """A sequences table of n overlapping windows of one story, its pictures beside it, dealt out to groups in turn."""
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
            "group": 1 + start % n_groups,
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


def kill_at(server: FakeGemini, call: str, script: str, *arguments: str) -> None:
    """Run a script against the server that the environment names, and kill it the moment it has made this call."""
    process = subprocess.Popen([sys.executable, "-c", script, *arguments])
    deadline = time.monotonic() + 60
    while not server.calls[call] and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert server.calls[call], "it ended before it could be killed"
