"""The last layer at some tokens gives what the whole layer gives there: values, gradients, keys and values."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig
from transformers import DynamicCache
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

from cloze.model.adapter import add_adapter, target_pattern
from cloze.model.last_layer import LastLayer, nowhere, spare_last_layer, wanted_where

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture
def text(base):
    """The language model with LoRA weights that do something."""
    torch.manual_seed(0)
    add_adapter(base, LoraConfig(r=4, init_lora_weights=False, target_modules=target_pattern(TARGETS, vision=False)))
    return base.model.model.language_model


@pytest.fixture
def embeds(text):
    return torch.randn(3, 11, text.config.hidden_size)


WANTED = torch.tensor([[0, 4, 10], [2, 3, 9], [10, 1, 1]])
ROWS = torch.arange(3)[:, None]


def gradients(text) -> list[torch.Tensor]:
    found = [p.grad.clone() for p in text.parameters() if p.grad is not None]
    text.zero_grad()
    return found


def test_a_loaded_base_has_such_a_layer_and_no_other_weights(base):
    layers = base.model.model.language_model.layers
    assert [type(layer) for layer in layers[:-1]] == [Qwen2DecoderLayer] * (len(layers) - 1)
    assert type(layers[-1]) is LastLayer
    assert {n for n, _ in layers[-1].named_parameters()} == {n for n, _ in layers[0].named_parameters()}


def test_values_and_gradients_are_those_of_the_whole_layer(text, embeds):
    whole = text(inputs_embeds=embeds).last_hidden_state[ROWS, WANTED]
    whole.square().sum().backward()
    expected = gradients(text)
    some = text(inputs_embeds=embeds, wanted=WANTED).last_hidden_state
    some.square().sum().backward()
    torch.testing.assert_close(some, whole, rtol=1e-5, atol=1e-5)
    found = gradients(text)
    assert len(found) == len(expected) == 2 * len(TARGETS) * len(text.layers)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_padding_on_the_left_is_not_looked_at(text, embeds):
    mask = torch.ones(3, 11, dtype=torch.long)
    mask[1, :2], mask[2, :1] = 0, 0
    whole = text(inputs_embeds=embeds, attention_mask=mask).last_hidden_state[ROWS, WANTED]
    some = text(inputs_embeds=embeds, attention_mask=mask, wanted=WANTED).last_hidden_state
    torch.testing.assert_close(some, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("has_mask", [False, True])
def test_what_was_read_before_is_looked_at(text, embeds, has_mask):
    caches = [DynamicCache(), DynamicCache()]
    for cache in caches:
        text(inputs_embeds=embeds[:, :6], past_key_values=cache)
    mask = {"attention_mask": torch.ones(3, 11, dtype=torch.long)} if has_mask else {}
    wanted = torch.tensor([[0, 4], [3, 2], [1, 1]])
    whole = text(inputs_embeds=embeds[:, 6:], past_key_values=caches[0], **mask).last_hidden_state
    some = text(inputs_embeds=embeds[:, 6:], past_key_values=caches[1], wanted=wanted, **mask).last_hidden_state
    torch.testing.assert_close(some, whole[ROWS, wanted], rtol=1e-5, atol=1e-5)


def test_reading_wants_keys_and_values_only(text, embeds):
    whole, read = DynamicCache(), DynamicCache()
    text(inputs_embeds=embeds, past_key_values=whole)
    found = text(inputs_embeds=embeds, past_key_values=read, wanted=nowhere(3, embeds.device))
    assert found.last_hidden_state.shape == (3, 0, text.config.hidden_size)
    layers: Any = zip(read.layers, whole.layers, strict=True)
    for one, other in layers:
        torch.testing.assert_close(one.keys, other.keys)
        torch.testing.assert_close(one.values, other.values)


def test_activations_that_are_computed_again_are_those_of_the_wanted_tokens(text, embeds):
    text.train()
    text(inputs_embeds=embeds, wanted=WANTED, use_cache=False).last_hidden_state.square().sum().backward()
    expected = gradients(text)
    text.gradient_checkpointing_enable({"use_reentrant": False})
    text(inputs_embeds=embeds, wanted=WANTED, use_cache=False).last_hidden_state.square().sum().backward()
    for one, other in zip(gradients(text), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_language_model_of_another_kind_is_refused(base):
    base.model.model.language_model.layers[-1] = torch.nn.Identity()
    with pytest.raises(TypeError, match="the last layer is a Identity"):
        spare_last_layer(base.model)


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5))
def test_wanted_columns_are_the_true_places_in_their_order(rows):
    mask = torch.tensor(rows)
    columns, is_real = wanted_where(mask)
    values = torch.arange(mask.numel()).reshape(mask.shape)
    assert values.gather(1, columns)[is_real].tolist() == values[mask].tolist()
