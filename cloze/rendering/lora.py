"""LoRA weights of a U-Net: putting them in, and on disk in diffusers' own format with what they were trained on."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cloze.errors import DataError, SettingsError

WEIGHTS = "pytorch_lora_weights.safetensors"  # the name that diffusers looks for
ORIGIN = "base.json"


def add_lora(unet: Any, rank: int, alpha: int, targets: Sequence[str], seed: int) -> int:
    """Put fresh LoRA layers into a U-Net; only they require a gradient, and they are kept in 32 bits.

    Returns:
        How many weights they have.

    Raises:
        SettingsError: no layer has such a name.
    """
    import torch
    from diffusers.training_utils import cast_training_params
    from peft import LoraConfig

    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=alpha, init_lora_weights="gaussian", target_modules=list(targets))
    unet.requires_grad_(False)
    try:
        unet.add_adapter(config)
    except ValueError as error:
        raise SettingsError("targets", ",".join(targets), f"names of the U-Net's linear layers ({error})") from error
    cast_training_params(unet, dtype=torch.float32)
    return sum(weight.numel() for weight in unet.parameters() if weight.requires_grad)


def save_lora(pipeline: Any, folder: Path, base: str, digest: str) -> None:
    """Write the LoRA of a pipeline's U-Net, and nothing of its base, into a new folder.

    PEFT's own format is read by nothing in diffusers: it passes over such a file with a warning.

    Args:
        base, digest: name and digest of the base that it was trained on.
    """
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import get_peft_model_state_dict

    folder.mkdir()
    weights = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    told = pipeline.unet.peft_config["default"].to_dict()
    metadata = {name: sorted(value) if isinstance(value, set) else value for name, value in told.items()}
    pipeline.save_lora_weights(folder, unet_lora_layers=weights, unet_lora_adapter_metadata=metadata)
    _with_one_note(folder / WEIGHTS)
    (folder / ORIGIN).write_text(json.dumps({"base": base, "digest": digest}, indent=2) + "\n", encoding="utf-8")


def _with_one_note(path: Path) -> None:
    """Write a file again with what diffusers says of its layers, and nothing else.

    safetensors writes several notes in an order by chance, and the same training is to leave the same bytes.
    """
    from safetensors import safe_open
    from safetensors.torch import load, save_file

    with safe_open(path, "pt") as found:
        notes = {name: note for name, note in found.metadata().items() if name != "format"}
    save_file(load(path.read_bytes()), path, metadata=notes)  # not `load_file`: it maps what is written over


def load_lora(pipeline: Any, folder: Path, digest: str) -> None:
    """Put a LoRA into a pipeline.

    Args:
        digest: of the pipeline's base.

    Raises:
        DataError: it is none, or it was trained on another base.
    """
    origin = lora_origin(folder)
    if origin["digest"] != digest:
        problem = f"trained on {origin['base']} with the digest {origin['digest'][:20]}; this base has {digest[:20]}"
        raise DataError(folder, problem, "name that base, or train on this one: `mlflow run . -e finetune_sd`")
    try:
        pipeline.load_lora_weights(folder, weight_name=WEIGHTS, local_files_only=True)
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        raise DataError(folder / WEIGHTS, f"not a LoRA of this base ({error})", "train it again") from error
    if not pipeline.get_active_adapters():  # diffusers only warns of a file in which it finds none
        raise DataError(folder / WEIGHTS, "holds no LoRA in diffusers' format", "PEFT's own format is another")


def require_loads(pipeline: Any, folder: Path, digest: str) -> None:
    """Put the saved LoRA in the place of the trained one, as `render` will, and compare the two."""
    import torch
    from peft import get_peft_model_state_dict

    trained = {name: weight.clone() for name, weight in get_peft_model_state_dict(pipeline.unet).items()}
    pipeline.unet.delete_adapters("default")
    load_lora(pipeline, folder, digest)
    (name,) = pipeline.get_active_adapters()
    read = get_peft_model_state_dict(pipeline.unet, adapter_name=name)
    same = read.keys() == trained.keys() and all(torch.equal(read[key].to(trained[key]), trained[key]) for key in read)
    assert same, f"{folder} does not hold the LoRA that was trained"  # noqa: S101 - a fault of diffusers or ours


def lora_origin(folder: Path) -> dict[str, str]:
    """`base` and its `digest`, on which a LoRA was trained.

    Raises:
        DataError: the folder is no LoRA of ours.
    """
    for name in (WEIGHTS, ORIGIN):
        if not (folder / name).is_file():
            remedy = "`mlflow run . -e finetune_sd` makes one"
            raise DataError(folder, f"no {name}; the LoRA of a Stable Diffusion was expected", remedy)
    origin: dict[str, str] = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    return origin
