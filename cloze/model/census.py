"""Parameters of a base, and of LoRA weights in it, by component; counted without any weight, on the meta device."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

from cloze.errors import SettingsError
from cloze.model.adapter import target_pattern

COMPONENTS = ("language", "projector", "vision")
_NAMES = {"vision_tower": "vision", "multi_modal_projector": "projector", "image_newline": "projector"}


@dataclass(frozen=True)
class Census:
    """Parameters by component; the language model's head belongs to it.

    Attributes:
        base: frozen.
        lora: trainable.
    """

    base: dict[str, int]
    lora: dict[str, int]


def count_parameters(model: Any) -> Census:
    """Parameters of a model with LoRA layers inside."""
    base: Counter[str] = Counter()
    lora: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        (lora if parameter.requires_grad else base)[component_of(name)] += parameter.numel()
    return Census(*({part: counts[part] for part in COMPONENTS} for counts in (base, lora)))


def component_of(name: str) -> str:
    """The component that a parameter belongs to, by its name."""
    return next((part for word, part in _NAMES.items() if word in name), "language")


def lora_model(config: LlavaOnevisionConfig, targets: list[str], rank: int, *, vision: bool) -> Any:
    """A model with LoRA layers on the meta device: all shapes, no weights.

    Raises:
        SettingsError: no layer has one of these names, or only the vision tower has.
    """
    with torch.device("meta"):
        model = LlavaOnevisionForConditionalGeneration(config)
        model.requires_grad_(False)
        _require_known(model, targets)
        return get_peft_model(model, LoraConfig(r=rank, target_modules=target_pattern(targets, vision=vision)))


def lora_census(config: LlavaOnevisionConfig, targets: list[str], rank: int, *, vision: bool) -> Census:
    """Parameters of a base of this configuration and of LoRA weights of this rank in it."""
    return count_parameters(lora_model(config, targets, rank, vision=vision))


def shared_names(model: Any, targets: list[str]) -> dict[str, int]:
    """How many of the vision tower's layers each name would match, if only the ends of names counted."""
    layers = [name for name, _ in model.named_modules() if component_of(name) == "vision"]
    counts = {target: sum(name.endswith(f".{target}") for name in layers) for target in targets}
    return {target: n for target, n in counts.items() if n}


def _require_known(model: Any, targets: list[str]) -> None:
    names = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and component_of(name) == "language"
    ]
    unknown = [target for target in targets if not any(name.endswith(f".{target}") for name in names)]
    if unknown:
        known = sorted({name.rpartition(".")[2] for name in names})
        raise SettingsError("targets", ",".join(unknown), f"names of layers of the language model: {', '.join(known)}")
