"""LoRA adapters: putting one into a base, saving it, and loading it onto the base it was trained on.

An adapter is a folder: PEFT's `adapter_model.safetensors` and `adapter_config.json`, and `base.json`, which says
what base it belongs to and how that one was shown pictures.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file

from cloze.errors import DataError, SettingsError
from cloze.model.base import REVISION, Base

if TYPE_CHECKING:
    from cloze.model.finetune_settings import FinetuneSettings

FILES = ("adapter_model.safetensors", "adapter_config.json", "base.json")


def target_pattern(targets: Sequence[str], *, vision: bool) -> str:
    """Pattern of the layers that get LoRA weights.

    The vision tower has layers of the same names (`q_proj`, `k_proj`, `v_proj`), so a bare suffix adapts it by
    accident; `vision` does so on purpose.
    """
    where = r".*\." if vision else r".*language_model\.layers\.\d+\..*\."
    return f"{where}({'|'.join(targets)})"


def lora_config(settings: "FinetuneSettings") -> LoraConfig:
    """PEFT's description of the LoRA weights that the settings ask for."""
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=target_pattern(settings.target_names, vision=settings.vision_lora),
    )


def add_adapter(base: Base, config: LoraConfig) -> Any:
    """Put fresh LoRA layers into the base; only they require a gradient.

    Returns:
        The PEFT model; the base's own model now has the layers inside.

    Raises:
        SettingsError: no layer matches.
    """
    return inject(base.model, config)


def inject(model: Any, config: LoraConfig) -> Any:
    """As `add_adapter`, for a model without a base: one without memory, say."""
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise SettingsError("targets", str(config.target_modules), f"names of linear layers ({error})") from error


def save_adapter(model: Any, folder: Path, base: Base, adapted: str = "all") -> None:
    """Write the adapter of a PEFT model, and nothing of the base, into a new folder.

    Args:
        adapted: tokens that its weights act on: `all`, or those of the `answer`.
    """
    folder.mkdir()
    weights = {name: tensor.contiguous().cpu() for name, tensor in get_peft_model_state_dict(model).items()}
    save_file(weights, folder / FILES[0], metadata={"format": "pt"})
    config = model.peft_config["default"]
    config.base_model_name_or_path = base.name  # never a path of the machine that trained it
    config.inference_mode = True
    if adapted == "answer":  # PEFT, and what reads its adapters, call this activated LoRA
        config.alora_invocation_tokens, config.task_type = list(base.chat.opening), "CAUSAL_LM"
    config.save_pretrained(folder)
    kept = {
        "precision": base.precision,
        "quantise": base.quantise,
        "image_layout": base.chat.layout,
        "adapted": adapted,
    }
    origin = {"base": base.name, "digest": base.digest, **kept}
    (folder / FILES[2]).write_text(json.dumps(origin, indent=2) + "\n")


def adapter_base(folder: Path) -> str:
    """The base that an adapter was trained on, as `load_base` takes it: on the hub, the very revision.

    Raises:
        DataError: the folder is no adapter of ours.
    """
    origin = adapter_origin(folder)
    digest = origin["digest"]
    return f"{origin['base']}@{digest.removeprefix(REVISION)}" if digest.startswith(REVISION) else origin["base"]


def adapter_origin(folder: Path) -> dict[str, str]:
    """What an adapter was trained on: `base` and its `digest`, and the `precision`, `quantise`, `image_layout`
    and `adapted` tokens.

    Raises:
        DataError: the folder is no adapter of ours.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise DataError(
                folder, f"no {name}; an adapter folder was expected", "`mlflow run . -e finetune` makes one"
            )
    origin: dict[str, str] = json.loads((folder / FILES[2]).read_text())
    # The first adapters knew no other way and did not say so.
    return {"precision": "fp32", "quantise": "none", "image_layout": "multi", "adapted": "all"} | origin


def adapter_layout(folder: Path, asked: str = "") -> str:
    """How an adapter was shown pictures in training, and must be again.

    Args:
        asked: the layout that somebody wants to use; empty is the adapter's own.

    Raises:
        DataError: the folder is no adapter of ours, or it was trained with another layout than is asked for.
    """
    layout = adapter_origin(folder)["image_layout"]
    if asked not in ("", layout):
        raise DataError(
            folder,
            f"trained with image_layout {layout}, not {asked}",
            "leave `image_layout` empty to use the adapter's own, or fine-tune again",
        )
    return layout


def adapts_vision(folder: Path) -> bool:
    """The vision tower's layers, too, have weights in this adapter: it sees other features than its base."""
    with safe_open(folder / FILES[0], "pt") as weights:
        return any("vision_tower" in name for name in weights.keys())  # noqa: SIM118


def load_adapter(base: Base, folder: Path) -> Any:
    """Put a trained adapter into the base.

    In fp32 it is merged into the weights, which is exact and faster; in bf16 merging would round them, so it stays
    beside them. So does one that acts on answers only: `generate(on_answers=True)` reads prompts without it.

    Returns:
        The model that has it, to use instead of the base's.

    Raises:
        DataError: the folder is no adapter of ours, or it was trained on another base or with another layout.
    """
    adapter_layout(folder, base.chat.layout)
    origin = adapter_origin(folder)
    if origin["digest"] != base.digest:
        raise DataError(
            folder,
            f"trained on base {origin['base']} ({origin['digest'][:20]}), not on {base.name} ({base.digest[:20]})",
            "leave `base` empty to use the adapter's own, or fine-tune again",
        )
    config = LoraConfig.from_pretrained(str(folder))
    config.alora_invocation_tokens = None  # whose turn it is to act is for the caller to say
    adapted = PeftModel.from_pretrained(base.model, str(folder), config=config)
    merges = base.precision == "fp32" and origin["adapted"] == "all"
    model = adapted.merge_and_unload() if merges else adapted.get_base_model()
    return model.eval().requires_grad_(False)
