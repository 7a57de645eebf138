import json
from typing import Any

import pytest
import torch
from peft import LoraConfig

from cloze.errors import DataError, SettingsError
from cloze.model.adapter import (
    FILES,
    adapter_layout,
    adapter_origin,
    adapts_vision,
    add_adapter,
    load_adapter,
    save_adapter,
    target_pattern,
)
from cloze.model.base import Base, load_base

NAMES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def adapted(base: Base, vision: bool = False) -> Any:
    torch.manual_seed(0)
    config = LoraConfig(r=4, init_lora_weights=False, target_modules=target_pattern(NAMES, vision=vision))
    return add_adapter(base, config)


def trained_layers(model: Any) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(torch.tensor([[1, 2, 3, 4]])).logits
        return found


def test_only_the_language_model_is_adapted_though_the_tower_has_layers_of_these_names(base):
    layers = trained_layers(adapted(base))
    assert len(layers) == 2 * len(NAMES) * 2
    assert not any("vision_tower" in name for name in layers)


def test_the_vision_tower_is_adapted_on_purpose_only(base):
    layers = trained_layers(adapted(base, vision=True))
    in_tower = {name.split(".lora_")[0].split(".")[-1] for name in layers if "vision_tower" in name}
    assert in_tower == {"q_proj", "k_proj", "v_proj"}


def test_names_that_match_no_layer_are_refused(base):
    with pytest.raises(SettingsError, match=r"targets is .*names of linear layers"):
        add_adapter(base, LoraConfig(target_modules=target_pattern(["qproj"], vision=False)))


def test_a_saved_adapter_gives_the_same_logits_when_loaded(base, base_folder, tmp_path):
    model = adapted(base)
    save_adapter(model, tmp_path / "adapter", base)
    fresh = load_base(str(base_folder))
    plain = logits(fresh.model)
    loaded = load_adapter(fresh, tmp_path / "adapter")
    torch.testing.assert_close(logits(loaded), logits(base.model), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits(loaded), plain)


def test_in_16_bits_an_adapter_stays_beside_the_weights(base, base_folder, tmp_path):
    save_adapter(adapted(base), tmp_path / "adapter", base)
    loaded = load_adapter(load_base(str(base_folder), "bf16"), tmp_path / "adapter")
    assert any("lora_A" in name for name, _ in loaded.named_parameters())


def test_an_adapter_holds_three_small_files_and_says_its_base(base, tmp_path):
    save_adapter(adapted(base), tmp_path / "adapter", base)
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == sorted(FILES)
    kept = {"precision": "fp32", "quantise": "none", "image_layout": "multi", "adapted": "all"}
    origin = {"base": base.name, "digest": base.digest, **kept}
    assert json.loads((tmp_path / "adapter" / "base.json").read_text()) == origin
    assert adapter_origin(tmp_path / "adapter")["base"] == base.name


def test_an_adapter_of_another_base_is_refused_by_both_names(base, other_base_folder, tmp_path):
    save_adapter(adapted(base), tmp_path / "adapter", base)
    other = load_base(str(other_base_folder))
    with pytest.raises(DataError, match=f"trained on base {base.name} .*, not on {other.name} "):
        load_adapter(other, tmp_path / "adapter")


def test_an_adapter_knows_its_layout_and_is_refused_with_another_by_both_names(base_folder, tmp_path):
    tiled = load_base(str(base_folder), layout="anyres", size_of=lambda name: (64, 64))
    save_adapter(adapted(tiled), tmp_path / "adapter", tiled)
    assert adapter_layout(tmp_path / "adapter") == adapter_layout(tmp_path / "adapter", "anyres") == "anyres"
    with pytest.raises(DataError, match="trained with image_layout anyres, not multi; leave `image_layout` empty"):
        load_adapter(load_base(str(base_folder)), tmp_path / "adapter")


def test_an_adapter_from_before_there_were_layouts_is_multi(base, tmp_path):
    save_adapter(adapted(base), tmp_path / "adapter", base)
    (tmp_path / "adapter" / "base.json").write_text(json.dumps({"base": base.name, "digest": base.digest}))
    assert adapter_layout(tmp_path / "adapter") == "multi"


def test_an_adapter_that_acts_on_answers_says_so_to_us_and_to_peft_and_stays_beside_the_weights(
    base, base_folder, tmp_path
):
    save_adapter(adapted(base), tmp_path / "adapter", base, "answer")
    assert adapter_origin(tmp_path / "adapter")["adapted"] == "answer"
    config = LoraConfig.from_pretrained(str(tmp_path / "adapter"))
    assert base.chat.tokenizer.decode(config.alora_invocation_tokens) == "<|im_start|>assistant\n"
    loaded = load_adapter(load_base(str(base_folder)), tmp_path / "adapter")
    assert any("lora_A" in name for name, _ in loaded.named_parameters())


@pytest.mark.parametrize("vision", [True, False])
def test_an_adapter_tells_whether_it_changes_what_is_seen(base, tmp_path, vision):
    save_adapter(adapted(base, vision), tmp_path / "adapter", base)
    assert adapts_vision(tmp_path / "adapter") == vision


@pytest.mark.parametrize("name", FILES)
def test_a_folder_that_lacks_a_file_is_no_adapter(base, tmp_path, name):
    save_adapter(adapted(base), tmp_path / "adapter", base)
    (tmp_path / "adapter" / name).unlink()
    with pytest.raises(DataError, match=f"no {name}; an adapter folder was expected"):
        load_adapter(base, tmp_path / "adapter")
