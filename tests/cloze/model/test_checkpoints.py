import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloze.model.checkpoints import Checkpoint, Checkpoints


def checkpoint(step: int) -> Checkpoint:
    tensors = {"weights/a": torch.full((3, 4), float(step)), "optimizer/0.step": torch.tensor(step)}
    return Checkpoint(step, tensors, {"curve": {"losses": [0.1] * step}})


def saved(folder: Path, *steps: int) -> Checkpoints:
    checkpoints = Checkpoints(folder)
    for step in steps:
        checkpoints.save(checkpoint(step))
    return checkpoints


def test_the_newest_comes_back_as_it_was_saved(tmp_path):
    found = saved(tmp_path, 3, 12).newest()
    assert found is not None
    assert (found.step, found.notes) == (12, checkpoint(12).notes)
    for name, tensor in checkpoint(12).tensors.items():
        assert torch.equal(found.tensors[name], tensor)


def test_the_last_two_are_kept(tmp_path):
    saved(tmp_path, 1, 2, 3, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000003", "step-000000010"]


def test_there_is_none_before_the_first_and_after_they_are_cleared(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new")
    assert checkpoints.newest() is None
    checkpoints.save(checkpoint(1))
    checkpoints.clear()
    assert checkpoints.newest() is None


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_that_was_cut_short_anywhere_is_left_out_for_the_one_before(tmp_path, name, share):
    checkpoints = saved(tmp_path, 5, 6)
    file = tmp_path / "step-000000006" / name
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    found = checkpoints.newest()
    assert found is not None
    assert found.step == 5
    checkpoints.save(checkpoint(6))  # training comes by again
    assert checkpoints.newest() is not None


def test_one_with_a_flipped_bit_is_left_out(tmp_path):
    checkpoints = saved(tmp_path, 5, 6)
    file = tmp_path / "step-000000006" / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    found = checkpoints.newest()
    assert found is not None
    assert found.step == 5


def test_a_process_killed_while_it_writes_leaves_only_whole_ones(tmp_path):
    code = f"""
import os, pathlib, signal, torch
from cloze.model import checkpoints as c
saved = c.Checkpoints(pathlib.Path({str(tmp_path)!r}))
saved.save(c.Checkpoint(1, {{"a": torch.ones(4)}}, {{}}))
c._to_disk = lambda path: os.kill(os.getpid(), signal.SIGKILL)
saved.save(c.Checkpoint(2, {{"a": torch.ones(4)}}, {{}}))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (tmp_path / ".partial").is_dir()
    found = Checkpoints(tmp_path).newest()
    assert found is not None
    assert found.step == 1


def test_nothing_is_pickled(tmp_path):
    saved(tmp_path, 1)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [path.name for path in files] == ["state.json", "state.safetensors"]
    assert json.loads(files[0].read_text())["step"] == 1
