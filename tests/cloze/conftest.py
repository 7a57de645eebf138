"""The whole sample, drawn once for all tests of `cloze`."""

import time
from pathlib import Path

import pytest

from cloze.sample.world import sample_folder

SEED = 42


@pytest.fixture(scope="session")
def drawn(cache) -> Path:
    before = time.process_time()
    folder = sample_folder(cache, SEED)
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"\ndrew the sample in {time.process_time() - before:.1f} CPU-seconds, {n_bytes / 1e6:.1f} MB")
    return folder
