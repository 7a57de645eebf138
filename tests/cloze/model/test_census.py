"""The true 7B shapes, on the meta device; figures of docs/training.md."""

import pytest

from cloze.errors import SettingsError
from cloze.model.base import load_base
from cloze.model.census import count_parameters, lora_census, lora_model, shared_names
from cloze.model.finetune_settings import TRUE_BASE
from cloze.model.known_bases import known_config

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ALL_SEVEN = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module")
def config():
    found = known_config(TRUE_BASE)
    assert found is not None
    return found


def test_the_known_base_has_the_parameters_that_the_real_one_has(config):
    base = lora_census(config, ATTENTION, 16, vision=False).base
    assert base["vision"] == 397_747_744
    assert base["projector"] == 16_980_992 + 3_584  # and the newline between rows of features
    assert sum(base.values()) == 8_029_890_080


@pytest.mark.parametrize(
    ("targets", "vision", "language", "in_tower"),
    [
        (ALL_SEVEN, True, 40_370_176, 2_875_392),  # 43,245,568: the original study's
        (ALL_SEVEN, False, 40_370_176, 0),
        (ATTENTION, True, 10_092_544, 2_875_392),  # 12,967,936
        (ATTENTION, False, 10_092_544, 0),
    ],
)
def test_lora_weights_by_component(config, targets, vision, language, in_tower):
    lora = lora_census(config, targets, 16, vision=vision).lora
    assert lora == {"language": language, "projector": 0, "vision": in_tower}


def test_names_that_the_vision_tower_shares_are_found(config):
    model = lora_model(config, ALL_SEVEN, 16, vision=False)
    assert shared_names(model, ALL_SEVEN) == {"q_proj": 26, "k_proj": 26, "v_proj": 26}


@pytest.mark.parametrize("name", ["qproj", "fc1"])
def test_a_name_that_the_language_model_does_not_have_is_refused_with_those_it_has(config, name):
    with pytest.raises(SettingsError, match=rf"targets is '{name}'; it must be .*down_proj, gate_proj"):
        lora_model(config, ["q_proj", name], 16, vision=True)


def test_a_name_the_hub_would_have_to_explain_is_not_known():
    assert known_config("somebody/else") is None


def test_a_loaded_base_is_counted_like_its_configuration(base_folder):
    from peft import LoraConfig

    from cloze.model.adapter import add_adapter, target_pattern

    base = load_base(str(base_folder))
    counted = lora_census(base.model.config, ALL_SEVEN, 4, vision=False)
    model = add_adapter(base, LoraConfig(r=4, target_modules=target_pattern(ALL_SEVEN, vision=False)))
    assert count_parameters(model) == counted
