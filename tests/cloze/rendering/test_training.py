"""A LoRA is learnt from described panels of the training split, and a stop on the way changes nothing of it."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from cloze.digests import file_digest
from cloze.errors import ClozeError, DataError, SettingsError
from cloze.rendering import session
from cloze.rendering.diffusion import How, draw, load_painter
from cloze.rendering.sd_settings import FinetuneSdSettings
from cloze.rendering.training import finetune_sd
from cloze.stage import STOP_FILE, StoppedError
from cloze.tables import read_table, table, write_table
from tests.cloze.model.conftest import Tables, make_tables, make_workspace

HOW = How(4, 2.0, "", 64)
PROMPTS = ["In the cave at night, Mara digs deep and holds the pan", "In the forest by day, Pip waves gladly"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Tables:
    return make_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture
def settings(tables, sd_folder) -> FinetuneSdSettings:
    return FinetuneSdSettings(
        sequences=tables.sequences, labels=tables.labels["descp"], base_sd=str(sd_folder),
        steps=6, batch=2, lr=1e-2, rank=4, alpha=4, validate=3, save_minutes=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tables, sd_folder, tmp_path_factory):
    """A finished training: settings, workspace, curve, pictures by step, figures."""
    given = FinetuneSdSettings(
        sequences=tables.sequences, labels=tables.labels["descp"], base_sd=str(sd_folder),
        steps=6, batch=2, lr=1e-2, rank=4, alpha=8, validate=3, save_minutes=0,
    )  # fmt: skip
    curve: dict[int, dict[str, float]] = {}
    pictures: dict[tuple[str, int], object] = {}
    workspace = make_workspace(tmp_path_factory.mktemp("trained") / "out", curve)
    workspace = replace(workspace, log_picture=lambda name, picture, step: pictures.update({(name, step): picture}))
    return given, workspace, curve, pictures, finetune_sd(given, workspace)


def weights(workspace):
    return file_digest(workspace.out / "lora" / "pytorch_lora_weights.safetensors")


def losses(curve):
    kept = ("train/loss", "train/grad_norm", "val/loss")
    return [(step, *(values.get(name) for name in kept)) for step, values in sorted(curve.items())]


def painted(sd_folder, lora=None):
    painter = load_painter(str(sd_folder), lora=lora, precision="fp32", memory="none", device="cpu")
    return painter, [np.asarray(each.picture) for each in draw(painter, PROMPTS, [1, 2], HOW)]


def test_only_described_panels_of_the_training_split_are_learnt_from(trained, tables):
    _, workspace, _, _, metrics = trained
    used = pq.read_table(workspace.out / "captions.parquet").to_pylist()
    train = {row["sequence_id"]: row["target"]["image"] for row in tables.rows if row["split"] == "train"}
    assert len(used) == metrics["examples"] == len(train) - metrics["dropped_without_label"] == 11
    assert all(train[row["sequence_id"]] == row["image"] for row in used)
    assert {row["caption"] for row in used} <= {
        "Pip runs home at night",
        "In the cave, Vex hides the pearl",
        "Nell waves",
    }


def test_loss_and_pictures_are_shown_by_step(trained):
    _, _, curve, pictures, metrics = trained
    assert list(pictures) == [("validation", 0), ("validation", 3), ("validation", 6)]
    assert pictures["validation", 6].size == (4 * 64, 2 * 64)
    assert [step for step in curve if "val/loss" in curve[step]] == [0, 3, 6]
    assert metrics["val/loss_final"] < metrics["val/loss_base"]


def test_what_is_saved_changes_pictures_and_its_weight_says_how_much(trained, sd_folder):
    _, workspace, *_ = trained
    _, plain = painted(sd_folder)
    painter, changed = painted(sd_folder, workspace.out / "lora")
    assert not np.array_equal(plain, changed)
    painter.pipeline.set_adapters(painter.pipeline.get_active_adapters(), 0.0)
    assert np.array_equal(plain, [np.asarray(each.picture) for each in draw(painter, PROMPTS, [1, 2], HOW)])


def test_alpha_is_read_again(trained, sd_folder):
    """Twice the rank: a reader that took alpha for the rank would draw with half the LoRA."""
    _, workspace, *_ = trained
    painter, _ = painted(sd_folder, workspace.out / "lora")
    (config,) = painter.pipeline.unet.peft_config.values()
    assert (config.r, config.lora_alpha) == (4, 8)


def test_a_training_that_is_stopped_ends_as_one_that_is_not(settings, tmp_path, monkeypatch):
    curves: dict[str, dict[int, dict[str, float]]] = defaultdict(dict)
    whole = make_workspace(tmp_path / "whole" / "out", curves["whole"])
    finetune_sd(settings, whole)

    take, stop = session.Session._take, tmp_path / "stop"

    def take_and_stop(self, step, curve):
        take(self, step, curve)
        if step.number == 1:
            stop.touch()

    monkeypatch.setenv(STOP_FILE, str(stop))
    monkeypatch.setattr(session.Session, "_take", take_and_stop)
    with pytest.raises(StoppedError, match="stopped after step 2"):
        finetune_sd(settings, make_workspace(tmp_path / "parts" / "out", curves["parts"]))
    stop.unlink()
    second = make_workspace(tmp_path / "parts" / "again", curves["parts"])
    metrics = finetune_sd(settings, second)

    assert metrics["steps_before_resume"] == 2
    assert weights(second) == weights(whole)
    assert losses(curves["parts"]) == losses(curves["whole"])


def test_a_checkpoint_of_another_training_is_refused(settings, tmp_path):
    finetune_sd(replace(settings, steps=1), make_workspace(tmp_path / "out"))
    with pytest.raises(DataError, match="a checkpoint of another training"):
        finetune_sd(replace(settings, steps=1, lr=1e-3), make_workspace(tmp_path / "other"))


def test_a_lora_of_another_base_is_refused(trained, painter):
    _, workspace, *_ = trained
    origin = workspace.out / "lora" / "base.json"
    said = origin.read_text()
    origin.write_text(said.replace(painter.digest, "0" * 64))
    try:
        with pytest.raises(DataError, match=rf"digest {'0' * 20}; this base has {painter.digest[:20]}"):
            load_painter(painter.name, lora=origin.parent, precision="fp32", memory="none")
    finally:
        origin.write_text(said)


def test_weights_in_pefts_own_format_are_refused(trained, painter, tmp_path):
    """diffusers passes over them with a warning, and the original study drew without its LoRA."""
    from safetensors.torch import load_file, save_file

    _, workspace, *_ = trained
    name = "pytorch_lora_weights.safetensors"
    found = load_file(workspace.out / "lora" / name)
    own = {f"base_model.model.{key.removeprefix('unet.')}": value for key, value in found.items()}
    save_file(own, tmp_path / name)
    (tmp_path / "base.json").write_text((workspace.out / "lora" / "base.json").read_text())
    with pytest.raises(DataError, match="LoRA"):
        load_painter(painter.name, lora=tmp_path, precision="fp32", memory="none")


def test_a_strip_of_20_by_2000_pixels_is_left_out_and_counted(settings, tmp_path):
    tables = make_tables(tmp_path)
    first = next(row for row in tables.rows if row["split"] == "train")
    Image.new("RGB", (20, 2000)).save(tables.pictures / first["target"]["image"])
    given = replace(settings, sequences=tables.sequences, steps=1, examples=0, batch=12, validate=0)
    metrics = finetune_sd(given, make_workspace(tmp_path / "out"))
    assert (metrics["dropped_too_narrow"], metrics["examples"]) == (1, 10)


def test_labels_that_only_predicted_the_panel_are_refused(settings, tables, tmp_path):
    with pytest.raises(DataError, match="labels of the paradigm pred"):
        finetune_sd(replace(settings, labels=tables.labels["pred"]), make_workspace(tmp_path / "out"))


def test_labels_in_which_nothing_can_be_seen_are_no_captions(settings, tables, tmp_path):
    rows = [row | {"text": '"HELP!"'} for row in read_table(tables.labels["descp"], "labels").to_pylist()]
    write_table(table("labels", rows), tmp_path / "labels.parquet")
    with pytest.raises(DataError, match="no train sequence with a label that can be drawn"):
        finetune_sd(replace(settings, labels=str(tmp_path / "labels.parquet")), make_workspace(tmp_path / "out"))


def test_a_loss_that_is_no_number_ends_it(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "level_weights", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(ClozeError, match="the loss of step 1 is nan; try precision=fp32 or a lower lr"):
        finetune_sd(settings, make_workspace(tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("targets", "no_such", "names of the U-Net's linear layers"), ("targets", "to_k,,to_v", "names separated")],
)
def test_layers_that_are_not_there_are_named(settings, tmp_path, name, value, expected):
    with pytest.raises(SettingsError, match=expected):
        finetune_sd(replace(settings, **{name: value}), make_workspace(tmp_path / "out"))
