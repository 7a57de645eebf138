"""What a user may set when predictions are drawn."""

from dataclasses import dataclass

from cloze.errors import SettingsError
from cloze.settings import choices, setting, table_input

PRECISIONS = ("fp32", "bf16", "fp16")
MEMORY = ("none", "slicing", "offload")
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """What a user may set when predictions are drawn."""

    sequences: str = table_input(
        "Sequences that the predictions are of.", made_by="sequences", artifact="sequences.parquet", inherited=True
    )
    predictions: str = table_input(
        "Predictions to draw.",
        made_by="predict",
        artifact="predictions.parquet",
        passes=("sequences", "base", "adapter", "split"),
    )
    base: str = setting("Vision-language model, where predictions have to be made; empty is predict's.", default="")
    adapter: str = table_input(
        "Its adapter, where predictions have to be made; empty is zero-shot.",
        made_by="",
        artifact="adapter",
        optional=True,
    )
    split: str = setting("Split, where predictions have to be made.", default="test")
    base_sd: str = setting("Stable Diffusion: sample, a folder or an id on the hub.", default="sample")
    lora: str = table_input(
        "LoRA of `finetune_sd`; none draws with the base alone.", made_by="", artifact="lora", optional=True
    )
    examples: int = setting("Draw at most so many predictions, the same ones in every run; 0 is all.", default=48)
    style: str = setting("Words that every prompt begins with.", default="")
    negative: str = setting(
        "What is not wanted in a picture; auto is lettering, and nothing for the miniature, which knows none.",
        default=AUTO,
    )
    steps: int = setting("Steps of denoising.", default=20)
    guidance: float = setting("Weight of the prompt; 1 is none, 0 is 7.5, or 2 for the miniature.", default=0.0)
    size: int = setting("Width and height in pixels, a multiple of 8; 0 is the base's own.", default=0)
    seed: int = setting("With a sequence's id it decides the noise of its picture.", default=42)
    strength: float = setting(
        "Start from panel 5 and change it so much, above 0 to 1; 0 starts from noise.", default=0.0
    )
    lettering: bool = setting("Set what is said over the pictures.", default=True)
    encoder: str = setting(
        "Folder of an image encoder (CLIP, SigLIP, DINO) that drawings are judged by, too; empty is none.", default=""
    )
    base_floor: bool = setting("With a LoRA: draw everything by the base alone, too, as a floor.", default=True)
    resamples: int = setting("Bootstrap samples behind each interval.", default=10_000)
    batch: int = setting("Pictures drawn at once.", default=8)
    precision: str = setting(
        "Numbers of weights and arithmetic; 16 bits need a GPU.", default="fp32", choices=PRECISIONS
    )
    memory: str = setting(
        "What to do for small GPUs: nothing, the autoencoder one picture at a time, or parts on the GPU only in turn.",
        default="none",
        choices=MEMORY,
    )
    threads: int = setting("Processor threads.", default=1)

    def __post_init__(self) -> None:
        for name in ("precision", "memory"):
            if getattr(self, name) not in choices(type(self), name):
                raise SettingsError(name, getattr(self, name), f"one of {', '.join(choices(type(self), name))}")
        for name, least in (
            ("examples", 0),
            ("seed", 0),
            ("steps", 1),
            ("batch", 1),
            ("threads", 1),
            ("resamples", 100),
        ):
            if getattr(self, name) < least:
                raise SettingsError(name, getattr(self, name), f"{least} or more")
        if self.size < 0 or self.size % 8:
            raise SettingsError("size", self.size, "a multiple of 8, or 0")
        if not (self.guidance >= 1 or self.guidance == 0):
            raise SettingsError("guidance", self.guidance, "1 or more, or 0")
        if not 0 <= self.strength <= 1:
            raise SettingsError("strength", self.strength, "between 0 and 1")
