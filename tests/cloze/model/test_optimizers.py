"""8-bit AdamW and 4-bit bases, for real, on the CPU."""

import builtins
from dataclasses import replace

import pytest
import torch
from bitsandbytes.nn import Linear4bit

from cloze.errors import SettingsError
from cloze.model.base import load_base
from cloze.model.census import component
from cloze.model.checkpoints import Checkpoint, Checkpoints
from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.optimizers import load_optimizer_state, make_optimizer, optimizer_state
from cloze.model.training import finetune
from tests.cloze.model.conftest import make_workspace


def trained(name: str, optimizer_of=None, n_steps: int = 5):
    """Parameters after some steps down a bowl, and their optimizer; the larger one is kept in 8 bits."""
    torch.manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(64, 128)), torch.nn.Parameter(torch.randn(10))]
    optimizer = make_optimizer(name, parameters, 1e-2)
    step_down(parameters, optimizer, n_steps)
    return parameters, optimizer


def step_down(parameters, optimizer, n_steps: int) -> None:
    for _ in range(n_steps):
        sum((parameter**2).sum() for parameter in parameters).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("name", ["adamw", "adamw8bit"])
def test_an_optimizer_that_was_put_away_in_a_checkpoint_goes_on_as_if_it_never_was(name, tmp_path):
    parameters, optimizer = trained(name)
    tensors, values = optimizer_state(optimizer)
    Checkpoints(tmp_path).save(Checkpoint(5, tensors, {"values": values}))
    before = [parameter.detach().clone() for parameter in parameters]
    step_down(parameters, optimizer, 5)

    again = [torch.nn.Parameter(weight) for weight in before]
    found = Checkpoints(tmp_path).newest()
    assert found is not None
    fresh = make_optimizer(name, again, 1e-2)
    load_optimizer_state(fresh, found.tensors, found.notes["values"])
    step_down(again, fresh, 5)
    for own, other in zip(parameters, again, strict=True):
        assert torch.equal(own, other)


def test_8_bits_are_8_bits():
    tensors, _ = optimizer_state(trained("adamw8bit")[1])
    assert {str(t.dtype) for place, t in tensors.items() if place.startswith("0/") and "state" in place[-6:]} == {
        "torch.uint8"
    }


@pytest.fixture
def settings(base_folder, tables):
    return FinetuneSettings(
        sequences=tables.sequences, labels=tables.labels["pred"], base=str(base_folder), epochs=4, batch=4, rank=4
    )


@pytest.mark.parametrize("how", [{"optimizer": "adamw8bit"}, {"quantise": "nf4", "precision": "bf16"}])
def test_fine_tuning_in_fewer_bits_learns(settings, tmp_path, how):
    curve: dict[int, dict[str, float]] = {}
    finetune(replace(settings, **how), make_workspace(tmp_path / "out", curve))
    assert curve[12]["train/loss"] < curve[1]["train/loss"]


def test_only_the_language_models_layers_are_kept_in_4_bits(base_folder):
    model = load_base(str(base_folder), "bf16", quantise="nf4").model
    in_4bits = [name for name, layer in model.named_modules() if isinstance(layer, Linear4bit)]
    assert len(in_4bits) == 2 * 7
    assert {component(name) for name in in_4bits} == {"language"}
    assert not any("lm_head" in name for name in in_4bits)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"optimizer": "adamw8bit"}, "optimizer is 'adamw8bit'; it must be adamw on this machine"),
        ({"quantise": "nf4"}, "quantise is 'nf4'; it must be none on this machine"),
    ],
)
def test_where_bitsandbytes_cannot_be_had_the_run_is_refused_with_what_to_use(
    settings, workspace, monkeypatch, how, message
):
    real = builtins.__import__

    def refuse(name, *arguments, **more):
        if name.startswith("bitsandbytes"):
            raise ImportError("no library for this device")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SettingsError, match=message):
        finetune(replace(settings, **how), workspace)
