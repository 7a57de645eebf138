"""What a user may set when an adapter is trained, and the presets that set most of it at once."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from cloze.errors import SettingsError
from cloze.labels.prompts import PARADIGMS
from cloze.settings import setting, table_input

LAYOUTS = ("multi", "anyres")
PRECISIONS = ("fp32", "bf16")
QUANTISATIONS = ("none", "nf4")
OPTIMIZERS = ("adamw", "adamw8bit")
CHECKPOINTING = ("auto", "yes", "no")
ADAPTED = ("all", "answer")
TRUE_BASE = "llava-hf/llava-onevision-qwen2-7b-ov-hf"

# The original study's own: names of layers that match the vision tower's, too, pictures cut into tiles.
_ORIGINAL = {
    "base": TRUE_BASE,
    "examples": 10_000,
    "epochs": 1.0,
    "lr": 2e-5,
    "warmup": 0.03,
    "rank": 16,
    "alpha": 32,
    "dropout": 0.05,
    "vision_lora": True,
    "image_layout": "anyres",
    "batch": 4,
    "accumulate": 4,
    "precision": "bf16",
    "optimizer": "adamw8bit",
    "threads": 8,
}
# The same examples and steps in a fraction of the time: docs/training.md has each difference with its reason.
_OURS = {
    **_ORIGINAL,
    "lr": 1e-4,
    "dropout": 0.0,
    "vision_lora": False,
    "image_layout": "multi",
    "optimizer": "adamw",
    "batch": 2,
    "accumulate": 8,
}


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """What a user may set when an adapter is trained."""

    sequences: str = table_input(
        "Sequences, a Parquet file.", made_by="sequences", artifact="sequences.parquet", inherited=True
    )
    labels: str = table_input(
        "Labels to train on, a Parquet file.",
        made_by="label",
        artifact="labels.parquet",
        passes=("sequences", "paradigm"),
    )
    paradigm: str = setting("Paradigm of the labels.", default="pred", choices=PARADIGMS)
    preset: str = setting(
        "Values of what is left empty: for the sample base, the original study's on one H200, or ours for that.",
        default="sample",
        choices=("sample", "original", "ours"),
    )
    base: str = setting("Model to adapt: sample, a folder, or an id on the Hugging Face hub.", default="sample")
    examples: int = setting("Train on at most so many sequences, drawn over all books; 0 is all of them.", default=640)
    epochs: float = setting("Passes over the examples.", default=1.0)
    lr: float = setting("Highest learning rate.", default=3e-3)
    warmup: float = setting("Share of the steps in which the learning rate rises.", default=0.05)
    rank: int = setting("Rank of the LoRA weights.", default=16)
    alpha: int = setting("Scale of the LoRA weights, over their rank.", default=32)
    dropout: float = setting("Dropout before the LoRA weights.", default=0.0)
    targets: str = setting(
        "Layers that get LoRA weights, by the ends of their names.",
        default="q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
    )
    vision_lora: bool = setting("Adapt the vision tower's layers of these names, too.", default=False)
    adapted: str = setting(
        "Tokens that LoRA weights act on: all, or the answer's, so that the frozen base reads the prompt, once.",
        default="all",
        choices=ADAPTED,
    )
    image_layout: str = setting(
        "Pictures as the model gets them: multi, one tile each; anyres, each cut into tiles by its size.",
        default="multi",
        choices=LAYOUTS,
    )
    batch: int = setting("Examples in memory at once.", default=8)
    accumulate: int = setting("Batches per step of the optimizer, all processes together.", default=1)
    precision: str = setting("Numbers of weights and arithmetic.", default="fp32", choices=PRECISIONS)
    quantise: str = setting(
        "Keep the base's language model in 4 bits (nf4: QLoRA), or as it is.", default="none", choices=QUANTISATIONS
    )
    optimizer: str = setting("Optimizer; adamw8bit keeps its state in 8 bits.", default="adamw", choices=OPTIMIZERS)
    checkpointing: str = setting(
        "Recompute activations instead of keeping them; auto does where they would not fit the device's memory.",
        default="auto",
        choices=CHECKPOINTING,
    )
    features_gb: float = setting(
        "Keep so many GB of what the frozen base makes of pictures and prompts on disk, in the cache.", default=50.0
    )
    save_minutes: float = setting("Save a checkpoint so often, and whenever a signal asks to stop.", default=10.0)
    seed: int = setting("Decides which examples are drawn, their order and the first LoRA weights.", default=42)
    threads: int = setting("Processor threads.", default=1)

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"sample": {}, "original": _ORIGINAL, "ours": _OURS}

    def __post_init__(self) -> None:
        for field in fields(self):
            allowed = field.metadata["choices"]
            if allowed and getattr(self, field.name) not in allowed:
                raise SettingsError(field.name, getattr(self, field.name), f"one of {', '.join(allowed)}")
        for name in ("rank", "alpha", "batch", "accumulate", "threads"):
            if getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "1 or more")
        for name in ("epochs", "lr"):
            if not getattr(self, name) > 0:
                raise SettingsError(name, getattr(self, name), "more than 0")
        for name in ("warmup", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "0 or more and less than 1")
        for name in ("examples", "features_gb", "save_minutes"):
            if not getattr(self, name) >= 0:
                raise SettingsError(name, getattr(self, name), "0 or more")
        if self.adapted == "answer":
            for name, wrong, right in (("vision_lora", True, "no"), ("checkpointing", "yes", "auto or no")):
                if getattr(self, name) == wrong:
                    expected = f"{right} with adapted=answer, which computes prompts without gradients"
                    raise SettingsError(name, "yes", expected)
        if not all(self.target_names):
            raise SettingsError("targets", self.targets, "names separated by commas, such as q_proj,v_proj")

    @property
    def target_names(self) -> list[str]:
        """The names in `targets`."""
        return [name.strip() for name in self.targets.split(",")]
