"""Optimizers by name, their state as tensors and plain values, and whether a device can do with 8 and 4 bits.

8-bit AdamW (https://arxiv.org/abs/2110.02861) and the 4-bit base of QLoRA (https://arxiv.org/abs/2305.14314) come from
bitsandbytes. Nothing is replaced in silence: where a device cannot do them, training does not begin.
"""

from collections.abc import Mapping
from typing import Any

import torch

from cloze.errors import SettingsError


def make_optimizer(name: str, parameters: list[torch.nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """An optimizer without weight decay: LoRA weights that are pulled to nothing are pulled to the base.

    Raises:
        SettingsError: this machine cannot do it.
    """
    if name == "adamw8bit":
        require_8bit(parameters[0].device)
        from bitsandbytes.optim import AdamW8bit

        optimizer: torch.optim.Optimizer = AdamW8bit(parameters, lr=lr, weight_decay=0.0)
        return optimizer
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0, fused=parameters[0].is_cuda)


def require_8bit(device: torch.device) -> None:
    """Take one real step of 8-bit AdamW.

    Raises:
        SettingsError: that failed.
    """
    try:
        from bitsandbytes.optim import AdamW8bit

        weight = torch.nn.Parameter(torch.ones(4096, device=device))  # smaller ones are kept in 32 bits
        weight.grad = torch.ones_like(weight)
        AdamW8bit([weight], lr=1e-3).step()
    except _CANNOT as error:
        raise SettingsError("optimizer", "adamw8bit", f"adamw on this machine ({_said(error)})") from error


def require_4bit(device: torch.device) -> None:
    """Take one real step through a layer of 4 bits.

    Raises:
        SettingsError: that failed.
    """
    try:
        from bitsandbytes.nn import Linear4bit

        layer = Linear4bit(64, 64, bias=False, quant_type="nf4").to(device)
        shown = torch.ones(1, 64, device=device, requires_grad=True)
        layer(shown).sum().backward()
    except _CANNOT as error:
        raise SettingsError("quantise", "nf4", f"none on this machine ({_said(error)})") from error


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """What an optimizer remembers of each parameter: tensors by `PARAMETER/NAME/...`, and what is none."""
    tensors: dict[str, torch.Tensor] = {}
    values: dict[str, Any] = {}

    def note(place: str, found: Any) -> None:
        if isinstance(found, Mapping):
            for name, inner in found.items():
                note(f"{place}/{name}", inner)
        else:
            (tensors if isinstance(found, torch.Tensor) else values)[place] = found

    for number, state in optimizer.state_dict()["state"].items():
        note(str(number), state)
    return tensors, values


def load_optimizer_state(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]
) -> None:
    """Undo `optimizer_state`."""
    state: dict[int, dict[str, Any]] = {}
    for place, value in {**tensors, **values}.items():
        number, *path, last = place.split("/")
        inner = state.setdefault(int(number), {})
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


# What bitsandbytes raises where it is not there, or has no kernel for the device.
_CANNOT = (ImportError, RuntimeError, NotImplementedError, AttributeError, OSError)


def _said(error: Exception) -> str:
    return f"bitsandbytes: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
