"""What a user may set when the LoRA of a Stable Diffusion is trained."""

from dataclasses import dataclass

from cloze.errors import SettingsError
from cloze.settings import choices, setting, table_input

PRECISIONS = ("fp32", "bf16")  # in fp16 small gradients would be nothing


@dataclass(frozen=True, kw_only=True)
class FinetuneSdSettings:
    """What a user may set when the LoRA of a Stable Diffusion is trained."""

    sequences: str = table_input(
        "Sequences whose panels are learnt from.", made_by="sequences", artifact="sequences.parquet", inherited=True
    )
    labels: str = table_input(
        "Descriptions of these panels.",
        made_by="label",
        artifact="labels.parquet",
        passes=("sequences", "paradigm:descp"),
    )
    base_sd: str = setting("Stable Diffusion: sample, a folder or an id on the hub.", default="sample")
    examples: int = setting("Learn from at most so many panels, the same ones in every run; 0 is all.", default=0)
    steps: int = setting("Steps.", default=500)
    resolution: int = setting("Root of the area that panels are brought to, in pixels; 0 is the base's own.", default=0)
    rank: int = setting("Rank of the LoRA.", default=16)
    alpha: int = setting("Its scale times the rank.", default=16)
    targets: str = setting("Layers of the U-Net that get one.", default="to_k,to_q,to_v,to_out.0")
    batch: int = setting("Panels of a step.", default=4)
    lr: float = setting("Learning rate, after a warm-up falling to 0 as half a cosine.", default=1e-4)
    style: str = setting("Words that every caption begins with.", default="")
    no_caption: float = setting("Share of panels that are shown without caption.", default=0.1)
    snr: float = setting("Highest weight of a noise level (min-SNR); 0 weighs all levels alike.", default=5.0)
    validate: int = setting("Draw validation pictures every so many steps; 0 is never.", default=100)
    save_minutes: float = setting("Write a checkpoint so often.", default=10.0)
    seed: int = setting("Decides order, noise and first weights.", default=42)
    precision: str = setting("Numbers of the base; bf16 needs a GPU.", default="fp32", choices=PRECISIONS)
    threads: int = setting("Processor threads.", default=1)

    def __post_init__(self) -> None:
        if self.precision not in choices(type(self), "precision"):
            raise SettingsError("precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        for name, least in (
            ("examples", 0), ("steps", 1), ("resolution", 0), ("rank", 1), ("alpha", 1), ("batch", 1), ("snr", 0),
            ("validate", 0), ("save_minutes", 0), ("seed", 0), ("threads", 1),
        ):  # fmt: skip
            if not getattr(self, name) >= least:
                raise SettingsError(name, getattr(self, name), f"{least} or more")
        if not self.lr > 0:
            raise SettingsError("lr", self.lr, "more than 0")
        if not 0 <= self.no_caption < 1:
            raise SettingsError("no_caption", self.no_caption, "0 or more, below 1")
        if not all(self.target_names):
            raise SettingsError("targets", self.targets, "names separated by commas, such as to_k,to_v")

    @property
    def target_names(self) -> list[str]:
        """The names in `targets`."""
        return [name.strip() for name in self.targets.split(",")]
