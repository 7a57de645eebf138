"""Memory of a step, estimated without memory, against steps that are really run."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from cloze.model.adapter import inject, lora_config
from cloze.model.base import DTYPES
from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.known_bases import meta_model, true_config
from cloze.model.memory import Device, Estimate, Load, estimate, measure, needs_checkpointing, without_memory
from cloze.model.report import GIB

LOAD = Load(rows=2, tokens=300, supervised=40, picture_tokens=400, tiles=4)
SETTINGS = FinetuneSettings(rank=8, dropout=0.1)
OF_7B = Load(rows=4, tokens=4170, supervised=480, picture_tokens=14_600, tiles=20)


@pytest.fixture
def config():
    """A model of middle size: 5 + 4 layers, with fewer heads for keys and values than for queries."""
    found = true_config()
    text: Any = found.text_config
    vision: Any = found.vision_config
    text.vocab_size, text.hidden_size, text.intermediate_size = 2000, 256, 700
    text.num_attention_heads, text.num_key_value_heads, text.num_hidden_layers = 8, 2, 5
    text.layer_types = text.layer_types[:5]
    vision.hidden_size, vision.intermediate_size, vision.num_attention_heads = 64, 160, 4
    vision.num_hidden_layers, vision.image_size, vision.patch_size = 4, 64, 16
    return found


def made(config, settings, device):
    model = meta_model(config, DTYPES[settings.precision])
    inject(model, lora_config(settings))
    model.train()
    if device == "meta":
        return model
    model.to_empty(device=device)
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, std=0.02)
        else:  # positions of patches
            tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
    return model


def saved_bytes(model, precision):
    """What autograd keeps of a real forward pass, counted by its own hooks."""
    known = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage
        return tensor

    embeds = torch.randn(LOAD.rows, LOAD.tokens, 256, dtype=model.dtype)
    with (
        saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        wanted = torch.arange(LOAD.supervised // LOAD.rows).expand(LOAD.rows, -1)
        found = model.model.language_model(inputs_embeds=embeds, use_cache=False, wanted=wanted).last_hidden_state
    assert found.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_are_what_autograd_really_saves(config, precision):
    settings = replace(SETTINGS, precision=precision)
    really = saved_bytes(made(config, settings, "cpu"), precision)
    assert estimate(config, settings, LOAD, checkpointing=False).activations == pytest.approx(really, rel=0.02)


def test_keys_and_values_of_prompts_count_and_their_activations_do_not(config):
    settings = replace(SETTINGS, adapted="answer")
    load = LOAD._replace(tokens=40, prompt=260)
    seeming = made(config, settings, "meta")
    with without_memory(seeming):
        found = measure(seeming, load, with_vision=False)
    expected = measure(made(config, settings, "cpu"), load, with_vision=False)
    assert found.kept == pytest.approx(expected.kept, rel=0.02)
    keys_and_values = 2 * 5 * 2 * 2 * 32 * 260 * 4  # both, layers, rows, heads, their size, tokens, bytes
    alone = measure(made(config, settings, "cpu"), load._replace(prompt=0), with_vision=False)
    assert found.kept > alone.kept + keys_and_values
    assert found.kept < measure(made(config, settings, "cpu"), LOAD, with_vision=False).kept / 2
    assert estimate(config, settings, load, checkpointing=False).activations == found.kept


@pytest.mark.parametrize(("with_vision", "checkpointing"), [(False, True), (True, False)])
def test_a_step_without_memory_counts_what_the_same_step_with_memory_does(config, with_vision, checkpointing):
    settings = replace(SETTINGS, vision_lora=with_vision)
    really, seeming = made(config, settings, "cpu"), made(config, settings, "meta")
    for model in (really, seeming):
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
    with without_memory(seeming):
        found = measure(seeming, LOAD, with_vision=with_vision)
    expected = measure(really, LOAD, with_vision=with_vision)
    assert found.kept == pytest.approx(expected.kept, rel=0.02)
    assert sum(found[:3]) == pytest.approx(sum(expected[:3]), rel=0.02)
    assert found.flops == pytest.approx(expected.flops, rel=0.001)


@pytest.mark.parametrize(("vision_lora", "checkpointing"), [(False, False), (True, True)])
def test_three_and_four_layers_tell_of_all(config, vision_lora, checkpointing):
    settings = replace(SETTINGS, vision_lora=vision_lora)
    model = made(config, settings, "meta")
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    with without_memory(model):
        whole = measure(model, LOAD, with_vision=vision_lora)
    found = estimate(config, settings, LOAD, checkpointing=checkpointing)
    assert found.activations == whole.kept
    assert found.activations + found.logits + found.working == pytest.approx(sum(whole[:3]), rel=0.02)
    assert found.flops == pytest.approx(whole.flops, rel=0.001)


def test_weights_and_optimizer_count_as_they_are_stored(config):
    plain = estimate(config, SETTINGS, LOAD, checkpointing=True)
    n_base = sum(parameter.numel() for parameter in meta_model(config).parameters())
    n_lora = sum(p.numel() for p in made(config, SETTINGS, "meta").parameters() if p.requires_grad)
    assert plain.weights == 4 * n_base
    assert plain.lora == (4 + 4 + 8) * n_lora
    thrifty = replace(SETTINGS, precision="bf16", optimizer="adamw8bit", quantise="nf4")
    found = estimate(config, thrifty, LOAD, checkpointing=True)
    assert found.lora == pytest.approx((4 + 4 + 2) * n_lora, rel=0.01)
    assert found.weights < 2 * n_base


def test_the_7b_base_at_batch_4_fits_one_h200_without_checkpointing_as_multi():
    settings = FinetuneSettings(preset="ours", precision="bf16", batch=4)
    kept = estimate(true_config(), settings, OF_7B, checkpointing=False)
    again = estimate(true_config(), settings, OF_7B, checkpointing=True)
    assert kept.weights / GIB == pytest.approx(14.96, abs=0.01)
    assert 100 < kept.activations / GIB < 110
    assert again.total < kept.total / 4
    assert not needs_checkpointing("auto", kept, Device("NVIDIA H200", 150 * 10**9))
    assert needs_checkpointing("auto", kept, Device("NVIDIA A100", 80 * 10**9))


@pytest.mark.parametrize(("word", "expected"), [("yes", True), ("no", False)])
def test_a_word_other_than_auto_decides(word, expected):
    small, device = Estimate(1, 1, 1, 1, 1, 1, 1), Device("device", 100 if expected else 1)
    assert needs_checkpointing(word, small, device) is expected


def test_estimating_leaves_the_configuration_as_it_was(config):
    before = copy.deepcopy(config.to_dict())
    estimate(config, SETTINGS, LOAD, checkpointing=True)
    assert config.to_dict() == before
