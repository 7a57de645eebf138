"""What a user may set when a closed task is examined; light, so that `--help` waits for no reader."""

from dataclasses import dataclass

from cloze.errors import SettingsError
from cloze.model.finetune_settings import LAYOUTS, PRECISIONS
from cloze.settings import choices, setting

TASKS = ("text-cloze", "character-coherence")
SCORERS = ("idf", "encoder", "model")


@dataclass(frozen=True, kw_only=True)
class ClosedTaskSettings:
    """What a user may set when a closed task is examined."""

    scorer: str = setting(
        "idf: shared words, the rare ones more; encoder: a sentence encoder's cosine; model: a vision-language model's "
        "likelihood.",
        default="idf",
        choices=SCORERS,
    )
    difficulty: str = setting(
        "Items of a sequences table: easy, wrong candidates from other books; hard, from the pages around.",
        default="easy",
        choices=("easy", "hard"),
    )
    split: str = setting(
        "Items of a sequences table: which sequences.", default="test", choices=("train", "val", "test", "all")
    )
    limit: int = setting("Examine so many items at most, the same ones for the same seed; 0 is all.", default=0)
    seed: int = setting("Seed of the items drawn by limit or from sequences, and of the bootstrap.", default=42)
    resamples: int = setting("Bootstrap samples behind the interval.", default=10_000)
    truth: str = setting(
        "Which candidate is right: file, as correct_answer says; printed, the order of the boxes where the fold prints "
        "them as context (character-coherence).",
        default="file",
        choices=("file", "printed"),
    )
    idf_from: str = setting("idf: a fold whose contexts say how rare words are; empty is the one examined.", default="")
    encoder: str = setting("encoder: `minilm`, a folder, or a hub id.", default="minilm")
    base: str = setting("model: sample, a folder or a hub id; empty is the adapter's own, else sample.", default="")
    adapter: str = setting("model: folder of an adapter; empty is none.", default="")
    comics: str = setting("model: folder of the fold's comics, with raw_panel_images/BOOK/PAGE_PANEL.jpg.", default="")
    blind: str = setting("model: images shows blank pictures.", default="none", choices=("none", "images"))
    normalise: str = setting(
        "model: the log-probability that decides: mean per token, total, or pmi, the total less that without context.",
        default="mean",
        choices=("mean", "total", "pmi"),
    )
    precision: str = setting("model: numbers of weights and arithmetic.", default="fp32", choices=PRECISIONS)
    image_layout: str = setting(f"model: {' or '.join(LAYOUTS)}; empty is the adapter's own, else multi.", default="")
    batch: int = setting("Texts (encoder) or items (model) read at once.", default=16)
    features_gb: float = setting("model: keep so many GB of picture features on disk, in the cache.", default=50.0)

    def __post_init__(self) -> None:
        for name in ("scorer", "difficulty", "split", "truth", "blind", "normalise", "precision"):
            if getattr(self, name) not in choices(type(self), name):
                raise SettingsError(name, getattr(self, name), f"one of {', '.join(choices(type(self), name))}")
        if self.image_layout not in ("", *LAYOUTS):
            raise SettingsError("image_layout", self.image_layout, f"one of {', '.join(LAYOUTS)}, or empty")
        for name, least in (("limit", 0), ("seed", 0), ("resamples", 100), ("batch", 1), ("features_gb", 0)):
            if not getattr(self, name) >= least:
                raise SettingsError(name, getattr(self, name), f"{least} or more")
