"""Trainable parameters by component, on the true shapes of the large base."""

import pytest
from peft import LoraConfig

from cloze.errors import SettingsError
from cloze.model.adapter import add_adapter, target_pattern
from cloze.model.census import Census, count_parameters, plan
from cloze.model.known_bases import read_shape, true_config

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
SEVEN = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module")
def config():
    return true_config()


def test_the_original_studys_seven_suffixes_adapt_the_vision_tower_too(config):
    found = plan(config, LoraConfig(r=16, target_modules=SEVEN))
    assert found.base == Census(language=7_615_161_344, projector=16_980_992, vision=397_747_744)
    assert found.base.total == 8_029_890_080
    assert found.trainable == Census(language=40_370_176, vision=2_875_392)
    assert found.trainable.total == 43_245_568
    assert found.faults(SEVEN, vision=True) == []


def test_a_suffix_that_matches_the_vision_tower_unasked_is_named(config):
    found = plan(config, LoraConfig(r=16, target_modules=ATTENTION))
    assert found.trainable.total == 12_967_936
    (fault,) = found.faults(ATTENTION, vision=False)
    assert fault.startswith("k_proj, v_proj, q_proj also match the vision tower: 2,875,392 weights of 12,967,936")


def test_without_vision_lora_the_names_are_left_alone_in_the_vision_tower(config):
    found = plan(config, LoraConfig(r=16, target_modules=target_pattern(ATTENTION, vision=False)))
    assert found.trainable == Census(language=10_092_544)
    assert sorted(found.namesakes()) == ["k_proj", "q_proj", "v_proj"]
    assert found.faults(ATTENTION, vision=False) == []


@pytest.mark.parametrize(("vision", "expected"), [(False, ["fc1", "gate"]), (True, ["gate"])])
def test_a_name_that_matches_no_layer_is_named(base_folder, vision, expected):
    targets = ["q_proj", "fc1", "gate"]
    shape = read_shape(str(base_folder))
    found = plan(shape.config, LoraConfig(r=4, target_modules=target_pattern(targets, vision=vision)))
    assert ", ".join(expected) in found.faults(targets, vision=vision)[0]


def test_names_of_which_none_matches_are_refused(base_folder):
    with pytest.raises(SettingsError, match=r"targets is .*; it must be names of linear layers"):
        plan(read_shape(str(base_folder)).config, LoraConfig(target_modules=target_pattern(["nothing"], vision=True)))


@pytest.mark.parametrize("vision", [False, True])
def test_the_plan_is_what_the_loaded_model_gets(base, base_folder, vision):
    lora = LoraConfig(r=4, target_modules=target_pattern(SEVEN, vision=vision))
    model = add_adapter(base, lora)
    assert plan(read_shape(str(base_folder)).config, lora).trainable == count_parameters(model, is_trainable=True)
