import logging
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloze.model.feature_store import FeatureStore, Stored

TILE = (4, 8)  # tokens, channels
TILE_BYTES = 4 * 8 * 4
GENEROUS = 10**9


def picture(key: str, n_tiles: int = 1, dtype: torch.dtype = torch.float32) -> Stored:
    """Features that tell whose they are."""
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    return Stored(torch.randn(n_tiles, *TILE, generator=generator).to(dtype), (n_tiles, 7))


def opened(root: Path, budget: int = GENEROUS, **options: int) -> FeatureStore:
    return FeatureStore(root, {"base": "b"}, torch.float32, budget, **options)


def holds(store: FeatureStore, key: str, n_tiles: int = 1) -> bool:
    """Whether the store has the picture; what it has must be all of it."""
    found, expected = store.get(key), picture(key, n_tiles)
    assert found is None or (torch.equal(found.tiles, expected.tiles) and found.size == expected.size)
    return found is not None


# Writes pictures k0, k1, ... without end; says each one's number when it is stored.
WRITER = """
import sys
from pathlib import Path
from tests.cloze.model.test_feature_store import opened, picture
store = opened(Path(sys.argv[1]), shard_bytes=2000)
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    store.add({f"k{number}": picture(f"k{number}", 1 + number % 3)})
    print(number, flush=True)
"""


def writer(root: Path, n: int) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", WRITER, str(root), str(n)], stdout=subprocess.PIPE, text=True)


@given(
    n_tiles=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    shard_tiles=st.integers(1, 12),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
@settings(max_examples=30)
def test_what_was_stored_is_read_bit_for_bit_by_another(tmp_path_factory, n_tiles, shard_tiles, dtype):
    root = tmp_path_factory.mktemp("features")
    stored = {f"k{index}": picture(f"k{index}", n, dtype) for index, n in enumerate(n_tiles)}
    limit = shard_tiles * TILE_BYTES
    FeatureStore(root, {}, dtype, GENEROUS, limit).add(stored)
    other = FeatureStore(root, {}, dtype, GENEROUS, limit)
    for key, expected in stored.items():
        found = other.get(key)
        assert found is not None
        assert (found.tiles.dtype, found.size) == (dtype, expected.size)
        assert torch.equal(found.tiles, expected.tiles)
    sizes = [path.stat().st_size for path in other.folder.glob("*.bin")]
    assert max(sizes) <= max(limit, max(n_tiles) * TILE_BYTES)


def test_what_is_not_there_is_none_and_a_second_writing_changes_nothing(tmp_path):
    store = opened(tmp_path)
    store.add({"a": picture("a")})
    store.add({"a": picture("other")})
    assert holds(store, "a")
    assert not holds(store, "b")


def test_a_reader_sees_what_a_writer_adds_to_a_shard_that_it_has_open(tmp_path):
    reader, other = opened(tmp_path), opened(tmp_path)
    for number in range(5):
        other.add({f"k{number}": picture(f"k{number}")})
        assert holds(reader, f"k{number}")


def test_another_way_to_compute_finds_nothing(tmp_path):
    opened(tmp_path).add({"a": picture("a")})
    assert FeatureStore(tmp_path, {"base": "c"}, torch.float32, GENEROUS).get("a") is None


@pytest.mark.parametrize("n_before", [0, 1, 7, 20])
def test_a_writer_killed_at_any_instant_leaves_whole_records_only(tmp_path, n_before):
    process = writer(tmp_path, 10**6)
    assert process.stdout is not None
    for _ in range(n_before + 1):
        last = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    n_said = 0 if last == "ready" else int(last) + 1
    assert n_said == n_before
    store = opened(tmp_path, shard_bytes=2000)
    assert all(holds(store, f"k{number}", 1 + number % 3) for number in range(n_said))
    for number in range(n_said, n_said + 200):  # whatever it had begun is whole or not there, and can be written
        holds(store, f"k{number}", 1 + number % 3)
        store.add({f"k{number}": picture(f"k{number}", 1 + number % 3)})
    assert all(holds(store, f"k{number}", 1 + number % 3) for number in range(n_said + 200))


def test_a_write_that_is_interrupted_between_record_and_row_is_as_if_it_had_never_been(tmp_path):
    code = WRITER.replace(
        'print("ready", flush=True)',
        "import os, signal, cloze.model.feature_store as f\n"
        "f.zlib = type('Z', (), {'crc32': staticmethod(lambda c: os.kill(os.getpid(), signal.SIGKILL))})",
    )
    assert code != WRITER
    found = subprocess.run([sys.executable, "-c", code, str(tmp_path), "1"], check=False)
    assert found.returncode == -signal.SIGKILL
    store = opened(tmp_path)
    assert (store.folder / "000000.bin").stat().st_size == TILE_BYTES
    assert not holds(store, "k0")
    store.add({"other": picture("other")})
    assert holds(store, "other")
    assert (store.folder / "000000.bin").stat().st_size == TILE_BYTES


def test_processes_that_write_the_same_pictures_at_once_store_each_once(tmp_path):
    n = 60
    processes = [writer(tmp_path, n) for _ in range(2)]
    assert [process.wait() for process in processes if process.communicate()] == [0, 0]
    store = opened(tmp_path, shard_bytes=2000)
    assert all(holds(store, f"k{number}", 1 + number % 3) for number in range(n))
    n_bytes = sum(path.stat().st_size for path in store.folder.glob("*.bin"))
    assert n_bytes == sum(1 + number % 3 for number in range(n)) * TILE_BYTES


def test_when_the_budget_is_used_up_nothing_more_is_stored_and_the_log_says_so_once(tmp_path, caplog):
    store = opened(tmp_path, 3 * TILE_BYTES)
    for number in range(6):
        store.add({f"k{number}": picture(f"k{number}")})
    assert [holds(store, f"k{number}") for number in range(6)] == [True] * 3 + [False] * 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "features_gb is used up" in caplog.text
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*.bin")) == 3 * TILE_BYTES


def test_the_budget_counts_all_stores_of_the_root(tmp_path):
    FeatureStore(tmp_path, {"base": "old"}, torch.float32, GENEROUS).add({"a": picture("a", 3)})
    store = opened(tmp_path, 4 * TILE_BYTES)
    store.add({"a": picture("a")})
    store.add({"b": picture("b")})
    assert (holds(store, "a"), holds(store, "b")) == (True, False)


@pytest.mark.parametrize("damage", ["bit", "cut", "gone"])
def test_what_the_disk_damaged_is_no_feature_and_is_stored_anew(tmp_path, damage, caplog):
    writer = opened(tmp_path)
    writer.add({"a": picture("a"), "b": picture("b")})
    writer.close()
    path = writer.folder / "000000.bin"
    content = bytearray(path.read_bytes())
    content[TILE_BYTES + 5] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[: TILE_BYTES + 9] if damage == "cut" else content)
    store = opened(tmp_path)
    assert holds(store, "a") == (damage != "gone")
    assert store.get("b") is None
    assert "features of picture b are damaged" in caplog.text
    store.add({"a": picture("a"), "b": picture("b")})
    assert holds(store, "a")
    assert holds(store, "b")
