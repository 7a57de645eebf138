"""Making the sample base: a miniature LLaVA-OneVision that can describe one panel, and nothing more.

It learns from single-panel captions of drawn worlds other than the sample, in three stages: its vision tower learns to
name what a caption tells; the whole model learns to caption a panel; then to caption each of five panels that it is
shown together, one turn a panel. No answer ever tells of a panel that is not shown, and none continues a story.
"""

import logging
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.errors import SettingsError
from cloze.settings import setting
from cloze.stage import Workspace

if TYPE_CHECKING:
    from cloze.model.base import Base
    from cloze.model.conversation import Chat, Example
    from cloze.model.features import Features
    from cloze.model.loop import Step

logger = logging.getLogger(__name__)

_SIGHT_BATCH, _CAPTION_BATCH, _CONTEXT_BATCH = 32, 32, 8
_CONTEXT = 5


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """What a user may set when the miniature base is made."""

    worlds: str = setting(
        "Seeds of the drawn worlds to learn from; none may be the sample's.", default="1001,1002,1003"
    )
    sight_steps: int = setting("Steps in which the vision tower learns to name what is shown.", default=800)
    caption_steps: int = setting("Steps of captioning one panel.", default=300)
    context_steps: int = setting("Steps of captioning each of five panels.", default=300)
    lr: float = setting("Highest learning rate of captioning one panel; half of it afterwards.", default=2e-3)
    seed: int = setting("Decides first weights and order.", default=0)
    threads: int = setting("Processor threads.", default=1)

    def __post_init__(self) -> None:
        try:
            seeds = self.world_seeds
        except ValueError:
            raise SettingsError("worlds", self.worlds, "seeds separated by commas, such as 1001,1002") from None
        if 42 in seeds:
            raise SettingsError("worlds", self.worlds, "without 42, the sample that the base is judged on")
        for name in ("sight_steps", "caption_steps", "context_steps", "threads"):
            if getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "1 or more")

    @property
    def world_seeds(self) -> list[int]:
        """The seeds in `worlds`."""
        return [int(seed) for seed in self.worlds.split(",")]


@dataclass(frozen=True)
class Captioned:
    """One drawn panel: picture, lettering, caption, and the caption's facts."""

    panel_id: str
    picture: str
    text: str
    caption: str
    facts: dict[str, str]
    starts_story: bool


def pretrain(settings: PretrainSettings, workspace: Workspace) -> dict[str, float]:
    """Leave the base in `base/`, laid out as on the hub, with 16-bit weights."""
    import torch

    from cloze.model.base import Base
    from cloze.model.conversation import Chat
    from cloze.model.features import Features
    from cloze.model.miniature import make_model, make_processor

    torch.set_num_threads(settings.threads)
    worlds = [read_world(seed, workspace.cache) for seed in settings.world_seeds]
    panels = [panel for world in worlds for panel in world]
    processor = make_processor(_texts(panels))
    chat = Chat(processor)
    base = Base("pretraining", "", make_model(processor, settings.seed), chat)
    log = _CurveLog(workspace)
    _learn_to_see(base, panels, settings, log)
    features = Features(base, _open, is_frozen=False)
    single = [_one_panel(panel, chat) for panel in panels]
    _learn_to_tell(base, single, features, (settings.caption_steps, _CAPTION_BATCH, settings.lr), log)
    contexts = [_five_panels(shown, chat) for world in worlds for shown in _windows(world)]
    _learn_to_tell(base, contexts, features, (settings.context_steps, _CONTEXT_BATCH, settings.lr / 2), log)
    base.model.half().save_pretrained(workspace.out / "base")
    processor.save_pretrained(workspace.out / "base")
    n_parameters = sum(parameter.numel() for parameter in base.model.parameters())
    return {"panels": len(panels), "contexts": len(contexts), "parameters": n_parameters, **log.last}


def read_world(seed: int, cache: Path) -> list[Captioned]:
    """All story panels of the world drawn from a seed; it is drawn into the cache when absent."""
    from cloze.sample.captions import captions, lettering
    from cloze.sample.grammar import facts
    from cloze.sample.world import sample_folder, story_panels

    folder = sample_folder(cache, seed) / "raw_panel_images"
    told = story_panels(seed)
    found = []
    for panel_id, name, caption in captions(seed):
        panel, path = told[panel_id], folder / name
        starts = any(bubble.kind == "title" for bubble in panel.bubbles)
        found.append(Captioned(panel_id, str(path), lettering(panel), caption, facts(panel), starts))
    return [panel for panel in found if _is_readable(panel.picture)]


def _is_readable(path: str) -> bool:
    """Drawn worlds hold a missing and a truncated picture on purpose."""
    from cloze.data.pictures import problem_of

    return Path(path).is_file() and not problem_of(Path(path).read_bytes())


def _open(path: str) -> Any:
    from PIL import Image

    with Image.open(path) as picture:
        return picture.convert("RGB")


def _texts(panels: Sequence[Captioned]) -> Iterator[str]:
    """What the vocabulary is learned from: captions, lettering, and the words of prompts."""
    from cloze.labels.prompts import Words, lettering, model_prompt

    prompt = "".join(part.text for part in model_prompt(["A"] * _CONTEXT) if isinstance(part, Words))
    for panel in panels:
        yield panel.caption
        yield lettering(panel.text)
        yield f"{prompt} {_ask(1)}"


def _learn_to_see(base: "Base", panels: Sequence[Captioned], settings: PretrainSettings, log: "_CurveLog") -> None:
    """Teach the vision tower, through one linear head a fact, to name what captions tell of pictures."""
    import torch
    from torch.nn import functional

    from cloze.model.base import pixels
    from cloze.sample.vocabulary import VALUES

    values = {fact: [*known, None] for fact, known in VALUES.items()}
    shown = torch.cat(
        [pixels(base.chat, [_open(p.picture) for p in panels[i : i + 64]]) for i in range(0, len(panels), 64)]
    )
    named = torch.tensor([[known.index(p.facts.get(fact)) for fact, known in values.items()] for p in panels])
    tower = base.model.model.vision_tower
    torch.manual_seed(settings.seed)
    n_features = tower(pixel_values=shown[:1]).last_hidden_state[0].numel()
    heads = torch.nn.ModuleList(torch.nn.Linear(n_features, len(known)) for known in values.values())
    optimizer = torch.optim.AdamW([*tower.parameters(), *heads.parameters()], lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-3, total_steps=settings.sight_steps, pct_start=0.05
    )
    generator = torch.Generator().manual_seed(settings.seed)
    for step in range(settings.sight_steps):
        rows = torch.randint(len(panels), (_SIGHT_BATCH,), generator=generator)
        seen = tower(pixel_values=shown[rows]).last_hidden_state.flatten(1)
        loss = sum(
            (functional.cross_entropy(head(seen), named[rows, i]) for i, head in enumerate(heads)), torch.zeros(())
        )
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        log("sight", step + 1, settings.sight_steps, loss.item())


def _learn_to_tell(
    base: "Base", examples: Sequence["Example"], features: "Features", plan: tuple[int, int, float], log: "_CurveLog"
) -> None:
    """Train the whole model; `plan` is steps, examples per step, and the highest learning rate."""
    from cloze.model.loop import Schedule, train

    steps, batch, lr = plan
    schedule = Schedule(epochs=steps * batch / len(examples), batch=batch, accumulate=1, lr=lr, warmup=0.05, seed=steps)
    base.model.requires_grad_(True).train()

    def after_step(step: "Step") -> None:
        log("caption" if batch == _CAPTION_BATCH else "context", step.number, step.n_steps, step.loss)

    train(base.model, examples, features, schedule, after_step, base.chat.pad_id)


def _one_panel(panel: Captioned, chat: "Chat") -> "Example":
    from cloze.model.conversation import Example

    turns = [_turn("user", _shown(0, panel.text), _ask(1)), _turn("assistant", [], panel.caption)]
    return Example(panel.panel_id, *chat.tokens(turns), (panel.picture,))


def _five_panels(panels: Sequence[Captioned], chat: "Chat") -> "Example":
    """Five panels as in prediction, then one turn for each of them, in an order of their own."""
    from cloze.labels.prompts import model_prompt
    from cloze.model.conversation import Example, to_messages

    content = to_messages(model_prompt([panel.text for panel in panels])[:-1], None)[0]["content"]
    order = list(range(len(panels)))
    random.Random(panels[-1].panel_id).shuffle(order)  # noqa: S311
    turns = []
    for place, index in enumerate(order):
        turns.append(_turn("user", [] if place else content, _ask(index + 1)))
        turns.append(_turn("assistant", [], panels[index].caption))
    return Example(panels[-1].panel_id, *chat.tokens(turns), tuple(panel.picture for panel in panels))


def _shown(index: int, text: str) -> list[dict[str, str]]:
    """One panel in the words that five panels are shown in."""
    from cloze.labels.prompts import model_prompt
    from cloze.model.conversation import to_messages

    content: list[dict[str, str]] = to_messages(model_prompt([text]), None)[0]["content"]
    return content[1:-1]


def _ask(number: int) -> str:
    return f"Describe Panel {number}."


def _turn(role: str, content: list[dict[str, str]], text: str) -> dict[str, Any]:
    return {"role": role, "content": [*content, {"type": "text", "text": text}]}


def _windows(panels: Sequence[Captioned]) -> Iterator[Sequence[Captioned]]:
    """Five panels of one story in a row."""
    for start in range(len(panels) - _CONTEXT + 1):
        window = panels[start : start + _CONTEXT]
        if not any(panel.starts_story for panel in window[1:]):
            yield window


class _CurveLog:
    """Logs each stage's loss by step, and now and then a line."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._started = time.process_time()
        self.last: dict[str, float] = {}

    def __call__(self, stage: str, step: int, steps: int, loss: float) -> None:
        if step % 10 == 0 or step == steps:
            self._workspace.log_metrics({f"train/loss_{stage}": loss}, step)
            self.last[f"train/loss_{stage}_final"] = loss
        if step % 50 == 0 or step == steps:
            logger.info("%s %d/%d loss %.3f, %.0f CPU-s", stage, step, steps, loss, time.process_time() - self._started)
