"""A training run that is stopped, killed or shared out ends as one that never was."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cloze.digests import file_digest
from cloze.errors import DataError, MissingInputError
from cloze.locks import locked
from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.training import finetune
from cloze.stage import StoppedError
from tests.cloze.model.conftest import make_workspace

Curve = dict[int, dict[str, float]]
SCRIPT = """
import json, sys
from pathlib import Path
from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.training import finetune
from cloze.stage import Workspace
settings, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
out = folder / f"killed"
out.mkdir(parents=True)
curve = {}
metrics = finetune(
    FinetuneSettings(**settings),
    Workspace(out, folder / "cache", lambda m, step: curve.setdefault(step, {}).update(m), folder / "state"),
)
(out / "curve.json").write_text(json.dumps(curve))
"""


@pytest.fixture
def settings(tiny_settings):
    return replace(tiny_settings, epochs=8, save_minutes=0)


def losses(curve: Mapping[int, Mapping[str, float]]) -> list[tuple[int, float, float, float | None]]:
    """What must not depend on how often a run was stopped."""
    return [(step, v["train/loss"], v["train/grad_norm"], v.get("val/loss")) for step, v in sorted(curve.items())]


def trained(settings: FinetuneSettings, folder: Path) -> tuple[Curve, str, dict[str, float]]:
    """Curve, digest of the weights, and metrics of a run that goes on with what is in the folder."""
    curve: Curve = {}
    workspace = make_workspace(folder / f"out{time.monotonic_ns()}", curve)
    metrics = finetune(settings, workspace)
    return curve, file_digest(workspace.out / "adapter" / "adapter_model.safetensors"), metrics


def start(settings: FinetuneSettings, folder: Path) -> "subprocess.Popen[str]":
    import json

    script = folder / "script.py"
    folder.mkdir(exist_ok=True)
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), json.dumps(asdict(settings)), str(folder)]
    return subprocess.Popen(
        command, text=True, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )


def await_checkpoint(folder: Path, process: "subprocess.Popen[str]", step: int) -> None:
    wanted = f"step-{step:09d}"
    while not any(path.name >= wanted for path in folder.glob("state/checkpoints/unkeyed/step-*")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.005)


def test_a_run_that_was_killed_ends_bit_for_bit_as_one_that_was_not(settings, tmp_path):
    whole = trained(settings, tmp_path / "whole")
    process = start(settings, tmp_path / "killed")
    await_checkpoint(tmp_path / "killed", process, 5)
    process.kill()
    process.wait()
    resumed = trained(settings, tmp_path / "killed")
    assert 5 <= resumed[2]["steps_before_resume"] < 24
    assert losses(resumed[0]) == losses(whole[0])
    assert resumed[1] == whole[1]
    assert resumed[2]["train/loss_final"] == whole[2]["train/loss_final"]
    assert resumed[2]["val/loss_final"] == whole[2]["val/loss_final"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_stops_and_leaves_word(settings, tmp_path, monkeypatch, number):
    monkeypatch.setenv("CLOZE_REQUEUE_FILE", str(tmp_path / "requeue"))
    settings = replace(settings, save_minutes=60)
    curve: Curve = {}
    workspace = make_workspace(tmp_path / "out", curve)
    stopping = replace(workspace, log_metrics=lambda m, step: os.kill(os.getpid(), number) if step == 7 else None)
    with pytest.raises(StoppedError, match=rf"stopped after step 7 \({number.name}\); a checkpoint was saved"):
        finetune(settings, stopping)
    assert (tmp_path / "requeue").exists()
    assert [path.name for path in workspace.checkpoints.iterdir()] == ["step-000000007"]
    assert trained(settings, tmp_path)[2]["steps_before_resume"] == 7


def test_a_run_that_got_to_its_last_step_trains_nothing_again(settings, tmp_path):
    first = trained(settings, tmp_path)
    again = trained(settings, tmp_path)
    assert again[2]["steps_before_resume"] == again[2]["steps"] == 24
    assert again[:2] == first[:2]


def test_a_checkpoint_of_another_run_is_refused(settings, tmp_path):
    trained(settings, tmp_path)
    with pytest.raises(DataError, match="a checkpoint of another training"):
        trained(replace(settings, seed=7), tmp_path)


def test_two_processes_do_not_train_the_same_at_once(settings, tmp_path):
    workspace = make_workspace(tmp_path / "out")
    with (
        locked(workspace.checkpoints.with_suffix(".lock"), "it"),
        pytest.raises(MissingInputError, match="this very training is in use by process"),
    ):
        finetune(settings, workspace)


def test_a_step_that_cannot_be_shared_out_is_refused(settings, tmp_path, monkeypatch):
    from cloze.errors import SettingsError
    from cloze.model.processes import Processes

    Processes(0, 2).require_divisible(4)
    with pytest.raises(SettingsError, match="accumulate is 3; it must be a multiple of the 2 processes"):
        Processes(0, 2).require_divisible(3)
