"""Pretraining: the sample base, from nothing, on captions of single panels.

Three stages: the vision tower learns which words a panel's caption has; the whole model learns to write the caption
of one panel; then of each of five panels in a row. It never sees what comes next, nor a panel of the study's world:
the worlds that it learns from are drawn from other seeds.
"""

import logging
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.errors import SettingsError
from cloze.settings import setting
from cloze.stage import Workspace

if TYPE_CHECKING:
    from cloze.model.captioning import Panel
    from cloze.model.conversation import Example

logger = logging.getLogger(__name__)

SAMPLE_SEED = 42  # the default of `ingest`
_LOGGED_EVERY = 10
_SIGHT_LR = 1e-3


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """What a user may set when the sample base is made."""

    worlds: str = setting(
        "Seeds of the drawn worlds to learn from; none may be the sample's.", default="1001,1002,1003"
    )
    sight_steps: int = setting("Steps in which the vision tower learns to name what is shown.", default=800)
    caption_steps: int = setting("Steps of captioning one panel.", default=600)
    context_steps: int = setting("Steps of captioning each of five panels.", default=200)
    lr: float = setting("Highest learning rate of captioning.", default=2e-3)
    seed: int = setting("Decides first weights and order.", default=1001)
    threads: int = setting("Processor threads.", default=1)

    def __post_init__(self) -> None:
        try:
            seeds = self.world_seeds
        except ValueError:
            raise SettingsError("worlds", self.worlds, "seeds separated by commas, such as 1001,1002") from None
        if SAMPLE_SEED in seeds:
            expected = f"without {SAMPLE_SEED}, the sample that the base is judged on"
            raise SettingsError("worlds", self.worlds, expected)
        for name in ("sight_steps", "caption_steps", "context_steps", "threads"):
            if getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "1 or more")
        if not self.lr > 0:
            raise SettingsError("lr", self.lr, "more than 0")

    @property
    def world_seeds(self) -> list[int]:
        """The seeds in `worlds`."""
        return [int(seed) for seed in self.worlds.split(",")]


def pretrain(settings: PretrainSettings, workspace: Workspace) -> dict[str, float]:
    """Make a sample base from nothing and leave it in `base/`.

    With the defaults this is what ships in `cloze/sample/weights/base`.
    """
    import torch

    from cloze.data.images import ImageFolder
    from cloze.model.base import Base
    from cloze.model.captioning import all_texts, caption_example, context_example, learn_words
    from cloze.model.conversation import Chat
    from cloze.model.features import Features
    from cloze.model.miniature import make_model, make_processor, save_base

    torch.set_num_threads(settings.threads)
    rows = [row for seed in settings.world_seeds for row in _rows(seed, workspace)]
    panels = list({panel.image: panel for row in rows for panel in row}.values())
    processor = make_processor(all_texts(panels))
    chat, model = Chat(processor), make_model(processor, settings.seed)
    base = Base("new", "new", model, chat)

    features = Features(base, ImageFolder(str(workspace.cache), str(workspace.cache)), is_frozen=False)
    generator = random.Random(settings.seed)  # noqa: S311
    metrics = {
        "panels": len(panels),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sight/loss_final": learn_words(model, panels, features, settings.sight_steps, _SIGHT_LR, settings.seed),
    }
    logger.info("sight: loss %.3f", metrics["sight/loss_final"])
    singles = [caption_example(panel, chat) for panel in panels]
    metrics["captions/loss_final"] = _train(base, singles, features, "captions", settings, workspace)
    n_contexts = min(len(rows), settings.context_steps * _BATCHES["contexts"])
    contexts = [
        context_example(row, generator.sample(range(len(row)), len(row)), chat)
        for row in generator.sample(rows, n_contexts)
    ]
    metrics["contexts/loss_final"] = _train(base, contexts, features, "contexts", settings, workspace)
    save_base(model, processor, workspace.out / "base")
    return metrics


# Examples of a step; a context has five captions.
_BATCHES = {"captions": 32, "contexts": 8}


def _rows(seed: int, workspace: Workspace) -> "list[list[Panel]]":
    """Runs of five panels of a world, through the same steps as a study's: pictures, noisy lettering, cleaning."""
    from cloze.data.panels import IngestSettings, ingest
    from cloze.data.sequences import SequenceSettings, build_sequences
    from cloze.model.captioning import Panel
    from cloze.sample.captions import captions
    from cloze.sample.world import sample_folder
    from cloze.tables import read_table

    with tempfile.TemporaryDirectory() as folder:
        place = Workspace(Path(folder), workspace.cache, lambda metrics, step: None, workspace.state)
        ingest(IngestSettings(seed=seed), place)
        build_sequences(SequenceSettings(panels=str(place.out / "panels.parquet")), place)
        sequences = read_table(place.out / "sequences.parquet", "sequences", ["context"]).to_pylist()
    told = {panel_id: caption for panel_id, _, caption in captions(seed)}
    root = f"{sample_folder(workspace.cache, seed).name}/raw_panel_images"
    shown = [row["context"] for row in sequences if all(panel["panel_id"] in told for panel in row["context"])]
    return [[Panel(f"{root}/{p['image']}", p["text"], told[p["panel_id"]]) for p in row] for row in shown]


def _train(
    base: Any, examples: "list[Example]", features: Any, stage: str, settings: PretrainSettings, workspace: Workspace
) -> float:
    """Train all weights on the examples; returns the mean loss of the last tenth of the steps."""
    from cloze.model.loop import Schedule, train
    from cloze.model.objectives import WholeSequences
    from cloze.model.optimizers import make_optimizer

    n_steps = {"captions": settings.caption_steps, "contexts": settings.context_steps}[stage]
    batch = min(_BATCHES[stage], len(examples))
    schedule = Schedule(
        epochs=n_steps * batch / len(examples),
        batch=batch,
        accumulate=1,
        lr=settings.lr,
        warmup=0.05,
        seed=settings.seed,
    )
    losses: list[float] = []

    base.model.train()
    optimizer = make_optimizer("adamw", list(base.model.parameters()), settings.lr)
    objective = WholeSequences(base.model, features, base.chat.pad_id)
    for step in train(objective, examples, schedule, optimizer):
        losses.append(step.loss)
        if step.number % _LOGGED_EVERY == 0:
            workspace.log_metrics({f"{stage}/loss": step.loss, f"{stage}/lr": step.lr}, step.number)
            logger.info("%s: step %d of %d: loss %.3f", stage, step.number, step.n_steps, step.loss)
    base.model.eval()
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)
