"""Who is trained: parameters by component, and which layers the names of `targets` reach.

The vision tower has layers of the same names as the language model (`q_proj`, `k_proj`, `v_proj`), so a bare suffix
adapts it without being asked to. Here that is counted before anything is loaded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft import LoraConfig
from torch import nn

from cloze.model.adapter import inject
from cloze.model.known_bases import meta_model

COMPONENTS = ("language", "projector", "vision")


@dataclass(frozen=True)
class Census:
    """Parameters by component: the language model with its embeddings, the projector, the vision tower."""

    language: int = 0
    projector: int = 0
    vision: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.language + self.projector + self.vision


@dataclass(frozen=True)
class Plan:
    """What LoRA weights would be put where.

    Attributes:
        base: all parameters of the base.
        trainable: LoRA weights.
        adapted: LoRA weights in each component, by last name of the layers that get them.
        present: linear layers of the base in each component, by their last names.
    """

    base: Census
    trainable: Census
    adapted: Mapping[str, Mapping[str, int]]
    present: Mapping[str, Mapping[str, int]]

    def faults(self, targets: Sequence[str], *, vision: bool) -> list[str]:
        """What is wrong with it, in words; none where it is as `vision` (adapt the vision tower, too) wants it."""
        found = []
        reached = [name for name, layers in self.adapted.items() if layers.get("vision")]
        if reached and not vision:
            found.append(
                f"{', '.join(reached)} also match the vision tower: {self.trainable.vision:,} weights of "
                f"{self.trainable.total:,} would adapt it though vision_lora is no"
            )
        if idle := [name for name in targets if name not in self.adapted]:
            where = "layer" if vision else "layer of the language model"
            found.append(f"{', '.join(idle)}: no {where} has this name")
        return found

    def namesakes(self) -> list[str]:
        """Adapted names that layers of the vision tower have, too, though these are left alone."""
        return [
            name
            for name, layers in self.adapted.items()
            if self.present[name].get("vision") and not layers.get("vision")
        ]


def count_parameters(model: nn.Module, *, is_trainable: bool) -> Census:
    """Parameters of a model by component: those that require a gradient, or all."""
    parts = dict.fromkeys(COMPONENTS, 0)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad or not is_trainable:
            parts[component(name)] += parameter.numel()
    return Census(**parts)


def plan(config: Any, lora: LoraConfig) -> Plan:
    """Put LoRA layers into a model of this shape that has no memory, and count.

    Raises:
        SettingsError: no layer matches.
    """
    model = meta_model(config)
    base = count_parameters(model, is_trainable=False)
    present = _by_name((name, 1) for name, layer in model.named_modules() if isinstance(layer, nn.Linear))
    inject(model, lora)
    adapted = _by_name(
        (name, sum(p.numel() for p in layer.parameters() if p.requires_grad))
        for name, layer in model.named_modules()
        if hasattr(layer, "lora_A")
    )
    return Plan(base, count_parameters(model, is_trainable=True), adapted, present)


def component(name: str) -> str:
    """The component that a parameter or layer belongs to, by its full name."""
    if "vision_tower." in name:
        return "vision"
    return "projector" if "multi_modal_projector." in name else "language"


def _by_name(counts: Iterable[tuple[str, int]]) -> dict[str, dict[str, int]]:
    """Sums by last name of the layer, and by component within."""
    found: dict[str, dict[str, int]] = {}
    for name, n in counts:
        layers = found.setdefault(name.rpartition(".")[2], {})
        layers[component(name)] = layers.get(component(name), 0) + n
    return found
