"""Pictures from prompts by Stable Diffusion: loading, drawing in batches, and noticing what is no picture."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from PIL import Image

from cloze.digests import folder_digest
from cloze.errors import MissingInputError, SettingsError
from cloze.hub import is_offline
from cloze.rendering.lora import load_lora
from cloze.rendering.patch_vae import PatchVAE

DATA_FILES = ("../sample/weights/sd",)  # steps that draw run again where the miniature changed
SAMPLE = "sample"
SAMPLE_SD = Path(__file__).parent.parent / "sample" / "weights" / "sd"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_BLACK = 2  # of 255: what no panel is darker than everywhere

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Painter:
    """A loaded pipeline.

    Attributes:
        name: of the base, as the user named it.
        digest: of the folder's files, or the hub's revision.
        size: width and height that the base draws best, in pixels.
        lora_digest: of the LoRA's files; empty without one.
    """

    pipeline: Any
    name: str
    digest: str
    size: int
    lora_digest: str = ""

    @property
    def is_miniature(self) -> bool:
        """Whether it is a base of ours, which knows drawn scenes and nothing else."""
        return isinstance(self.pipeline.vae, PatchVAE)

    @property
    def is_slow(self) -> bool:
        """Whether a picture takes minutes: a base of more than a toy's size on a processor."""
        return self.pipeline.device.type == "cpu" and self.pipeline.unet.num_parameters() > 10**8

    @property
    def window(self) -> int:
        """Tokens of a prompt that the text encoder can take, its two marks included."""
        return int(self.pipeline.tokenizer.model_max_length)

    @property
    def count(self) -> Callable[[str], int]:
        """Tokens of a text in its text encoder, both marks included."""
        return lambda text: len(self.pipeline.tokenizer(text, truncation=False, verbose=False).input_ids)


@dataclass(frozen=True)
class Drawing:
    """One picture, or why there is none: `numbers` (not finite), `black`, `unsafe` (the base's own checker)."""

    picture: Image.Image | None
    state: str = "ok"


@dataclass(frozen=True)
class How:
    """How pictures are drawn.

    Attributes:
        steps: of denoising.
        guidance: weight of the prompt (Ho and Salimans 2022); 1 is none, and then the negative prompt is not used.
        negative: what is not wanted.
        size: width and height in pixels.
        strength: of the change from a given picture, above 0, at most 1; 1 keeps nothing of it.
    """

    steps: int
    guidance: float
    negative: str
    size: int
    strength: float = 0.6


def load_painter(base: str, *, lora: Path | None, precision: str, memory: str, device: str = "auto") -> Painter:
    """Load a base, with a LoRA on top where one is given.

    Args:
        base: `sample`, a folder in diffusers' layout, or an id on the hub.
        lora: folder that `finetune_sd` left.
        precision: fp32, bf16 or fp16; 16 bits need a GPU.
        memory: `none`, or `slicing` (one picture at a time through the autoencoder), or `offload` (parts of the base
            on the GPU only while they work).
        device: `cuda`, `cpu`, or `auto`: a GPU where there is one.

    Raises:
        MissingInputError: no such base, or it cannot be fetched.
        DataError: the LoRA is none, or was trained on another base.
        SettingsError: the precision or the memory option needs a GPU, and there is none.
    """
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if device == "cpu" and precision != "fp32":
        raise SettingsError("precision", precision, "fp32 where there is no GPU")
    if device == "cpu" and memory == "offload":
        raise SettingsError("memory", memory, "none or slicing where there is no GPU")
    folder, digest = _find(base)
    pipeline = _load(folder, DTYPES[precision])
    pipeline.set_progress_bar_config(disable=True)
    if device == "cpu":
        pipeline.unet.to(memory_format=torch.channels_last)  # several times faster convolutions
    if lora is not None:
        load_lora(pipeline, lora, digest)
    if memory == "offload":
        pipeline.enable_model_cpu_offload()
    else:
        pipeline.to(device)
    if memory != "none":
        pipeline.vae.enable_slicing()
    size = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    return Painter(pipeline, base, digest, size, folder_digest(lora) if lora else "")


def draw(
    painter: Painter, prompts: Sequence[str], seeds: Sequence[int], how: How, starts: Sequence[Image.Image] = ()
) -> list[Drawing]:
    """Draw one picture for each prompt, all at once.

    The same prompt and seed give the same picture on the same machine with the same batch and threads; elsewhere it may
    differ by one step of 255 in some places.

    Args:
        prompts: what fits the window; what does not is a fault of the caller's.
        seeds: one for each picture.
        starts: pictures to start from (image to image), one for each prompt; none where it starts from noise.
    """
    pipeline = painter.pipeline
    for prompt in (*prompts, how.negative):
        if painter.count(prompt) > painter.window:
            raise ValueError(f"{painter.count(prompt)} tokens where {painter.window} fit: {prompt}")
    given: dict[str, Any] = {
        "prompt": list(prompts),
        "negative_prompt": [how.negative] * len(prompts),
        "num_inference_steps": how.steps,
        "guidance_scale": how.guidance,
        "generator": [torch.Generator().manual_seed(seed) for seed in seeds],
        "output_type": "latent",
    }
    with torch.inference_mode():
        if starts:
            changer = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
            changer.set_progress_bar_config(disable=True)
            pictures = [start.convert("RGB").resize((how.size, how.size), Image.Resampling.LANCZOS) for start in starts]
            latents = changer(image=pictures, strength=how.strength, **given).images
        else:
            latents = pipeline(width=how.size, height=how.size, **given).images
        return _decoded(pipeline, latents)


def seconds_of_a_picture(painter: Painter, how: How, batch: int) -> float:
    """How long one picture will take, from one step of a batch, which itself takes a while where it matters."""
    began = time.perf_counter()
    draw(painter, [""] * batch, [0] * batch, How(1, how.guidance, how.negative, how.size))
    return (time.perf_counter() - began) * how.steps / batch


def _decoded(pipeline: Any, latents: torch.Tensor) -> list[Drawing]:
    finite = torch.isfinite(latents).flatten(1).all(dim=1).tolist()
    decoded = pipeline.vae.decode(torch.nan_to_num(latents) / pipeline.vae.config.scaling_factor).sample
    finite = [ok and bool(torch.isfinite(picture).all()) for ok, picture in zip(finite, decoded, strict=True)]
    unsafe = [False] * len(decoded)
    if pipeline.safety_checker is not None:
        decoded, flags = pipeline.run_safety_checker(decoded, decoded.device, decoded.dtype)
        unsafe = [bool(flag) for flag in flags]
    pictures = pipeline.image_processor.postprocess(torch.nan_to_num(decoded), output_type="pil")
    drawings = []
    for picture, is_finite, is_unsafe in zip(pictures, finite, unsafe, strict=True):
        is_black = int(np.asarray(picture).max()) <= _BLACK
        state = "numbers" if not is_finite else "unsafe" if is_unsafe else "black" if is_black else "ok"
        drawings.append(Drawing(picture if state == "ok" else None, state))
    return drawings


def _find(base: str) -> tuple[Path, str]:
    """Folder and digest of a base."""
    folder = SAMPLE_SD if base == SAMPLE else Path(base)
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise MissingInputError(f"{folder}: no model_index.json; a folder in diffusers' layout was expected")
        return folder, folder_digest(folder)
    try:
        found = Path(DiffusionPipeline.download(base, local_files_only=is_offline()))
    except (OSError, ValueError) as error:
        remedy = "name a folder, `sample`, or an id whose files were fetched: `hf download ID`"
        raise MissingInputError(f"{base}: no such base of Stable Diffusion here ({error}); {remedy}") from error
    return found, f"revision {found.name}"


def _load(folder: Path, dtype: torch.dtype) -> Any:
    if PatchVAE.__name__ not in (folder / "vae" / "config.json").read_text(encoding="utf-8"):
        return StableDiffusionPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True)
    vae = PatchVAE.from_pretrained(folder / "vae", dtype=dtype)
    told, bars = diffusers_logging.get_verbosity(), diffusers_logging.is_progress_bar_enabled()
    diffusers_logging.set_verbosity_error()  # it would warn that this autoencoder is not one of its own
    diffusers_logging.disable_progress_bar()  # it is loaded before a bar could be seen
    try:
        return StableDiffusionPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True, vae=vae)
    finally:
        diffusers_logging.set_verbosity(told)
        if bars:
            diffusers_logging.enable_progress_bar()
