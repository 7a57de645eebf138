"""What a user may set when a model predicts."""

from dataclasses import dataclass

from cloze.errors import SettingsError
from cloze.model.finetune_settings import LAYOUTS, PRECISIONS, QUANTISATIONS
from cloze.settings import choices, setting, table_input
from cloze.shards import WHOLE, parse_shard

SPLITS = ("train", "val", "test", "all")
BLIND = ("none", "images", "text", "order")
ENGINES = ("transformers", "openai")


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """What a user may set when a model predicts."""

    sequences: str = table_input(
        "Sequences to predict, a Parquet file.", made_by="sequences", artifact="sequences.parquet", inherited=True
    )
    base: str = setting(
        "Model: sample, a folder or an id on the hub; empty is the adapter's own, else sample.", default=""
    )
    adapter: str = table_input("Adapter; none predicts zero-shot.", made_by="", artifact="adapter", optional=True)
    engine: str = setting(
        "Who computes: transformers (here), or a server that speaks OpenAI's protocol (OPENAI_BASE_URL).",
        default="transformers",
        choices=ENGINES,
    )
    served: str = setting("Name that the server knows base or adapter by; openai only.", default="")
    split: str = setting("Which sequences.", default="test", choices=SPLITS)
    examples: int = setting(
        "Predict at most so many sequences, the same ones in every run; 0 is all of them.", default=0
    )
    shard: str = setting(
        "K/N: of these only the K-th of N parts, counted from 0; all/N: join finished shards.", default=WHOLE
    )
    blind: str = setting(
        "What is hidden from the model: nothing, the pictures, the lettering, or the order of the panels.",
        default="none",
        choices=BLIND,
    )
    image_layout: str = setting(
        "Pictures as the model gets them: multi or anyres; empty is the adapter's own, else multi.", default=""
    )
    batch: int = setting("Sequences answered at once; requests under way at once where a server answers.", default=16)
    max_new_tokens: int = setting("Longest answer, in tokens.", default=96)
    temperature: float = setting("0 writes the likeliest token; above it tokens are drawn.", default=0.0)
    top_p: float = setting("Draw from the likeliest tokens that make up so much of the probability.", default=1.0)
    seed: int = setting("Of the draws.", default=42)
    precision: str = setting("Numbers of weights and arithmetic.", default="fp32", choices=PRECISIONS)
    quantise: str = setting(
        "Keep the language model's layers in 4 bits, or not.", default="none", choices=QUANTISATIONS
    )
    features_gb: float = setting("Keep so many GB of picture features on disk, in the cache.", default=50.0)
    threads: int = setting("Processor threads.", default=1)

    def __post_init__(self) -> None:
        for name in ("split", "blind", "engine", "precision", "quantise"):
            if getattr(self, name) not in choices(type(self), name):
                raise SettingsError(name, getattr(self, name), f"one of {', '.join(choices(type(self), name))}")
        if self.image_layout and self.image_layout not in LAYOUTS:
            raise SettingsError("image_layout", self.image_layout, f"one of {', '.join(LAYOUTS)}")
        for name in ("batch", "max_new_tokens", "threads"):
            if getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "1 or more")
        for name in ("examples", "features_gb", "temperature", "seed"):
            if not getattr(self, name) >= 0:
                raise SettingsError(name, getattr(self, name), "0 or more")
        if not 0 < self.top_p <= 1 or (self.top_p < 1 and not self.temperature):
            raise SettingsError("top_p", self.top_p, "above 0, at most 1, and 1 where temperature is 0")
        if bool(self.served) is not (self.engine == "openai"):
            raise SettingsError("served", self.served, "given where engine is openai, and only there")
        for name in ("precision", "quantise", "image_layout"):
            if self.served and getattr(self, name) != self.__dataclass_fields__[name].default:
                raise SettingsError(name, getattr(self, name), "left out: a server has its own")
        parse_shard("shard", self.shard)

    @property
    def part(self) -> tuple[int, int]:
        """Number of the shard, from 0, and how many there are."""
        return parse_shard("shard", self.shard)

    @property
    def decoding(self) -> dict[str, str | int | float]:
        """How tokens are chosen, as fingerprints have it."""
        if self.temperature == 0:
            return {"strategy": "greedy", "max_new_tokens": self.max_new_tokens}
        drawn = {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed}
        return {"strategy": "sample", "max_new_tokens": self.max_new_tokens, **drawn}
