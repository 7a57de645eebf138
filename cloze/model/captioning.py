"""What the sample base learns from: captions of single panels of drawn worlds that no study uses.

Nothing here shows what comes next. A caption tells what one shown panel shows; where several panels are shown, each is
captioned by itself.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from cloze.labels.prompts import Words, lettering, model_prompt, one_line
from cloze.model.conversation import Chat, Example, Message, to_messages
from cloze.model.features import Features
from cloze.model.loop import lr_at

_BATCH = 32
_MIN_COUNT = 20  # a rarer word is not worth an output of its own


@dataclass(frozen=True)
class Panel:
    """A panel to learn from.

    Attributes:
        image: name of its picture, unique over all worlds.
        text: its lettering as OCR read it.
        caption: what it shows.
    """

    image: str
    text: str
    caption: str


def caption_example(panel: Panel, chat: Chat) -> Example:
    """One panel and its caption."""
    return context_example([panel], [0], chat)


def context_example(panels: Sequence[Panel], order: Sequence[int], chat: Chat) -> Example:
    """Panels in a row, shown as in the prompt of a study, and the caption of each, asked for one after another.

    Args:
        panels: the panels as shown.
        order: indices of the panels in the order in which they are asked for.
    """
    *shown, _ = model_prompt([panel.text for panel in panels])  # the last part asks for a prediction
    asked = [Words(f"Describe what happens in Panel {index + 1}.") for index in order]
    conversation: list[Message] = []
    for turn, index in enumerate(order):
        question = [*shown, asked[turn]] if turn == 0 else [asked[turn]]
        conversation += to_messages(question, panels[index].caption)
    pictures = tuple(panel.image for panel in panels)
    ids, supervised = chat.tokens(conversation, pictures)
    return Example(panels[0].image, ids, supervised, pictures)


def all_texts(panels: Sequence[Panel]) -> list[str]:
    """Every text that the vocabulary is learned from."""
    prompt = "".join(part.text for part in model_prompt([""] * 5) if isinstance(part, Words))
    texts = [text for panel in panels for text in (one_line(panel.caption), lettering(panel.text))]
    return texts + [f"{prompt} Describe what happens in Panel 1."] * _MIN_COUNT


def seen_words(panels: Sequence[Panel]) -> tuple[list[str], torch.Tensor]:
    """Words of the captions that the lettering does not give away.

    Returns:
        The words, and (panels, words) of 1.0 where the panel's caption has the word and its lettering does not.
    """
    found = [_word_set(panel.caption) - _word_set(panel.text) for panel in panels]
    counts = Counter(word for words in found for word in words)
    words = sorted(word for word, count in counts.items() if count >= _MIN_COUNT)
    return words, torch.tensor([[float(word in of_panel) for word in words] for of_panel in found])


def learn_words(model: Any, panels: Sequence[Panel], features: Features, n_steps: int, lr: float, seed: int) -> float:
    """Train the vision tower and the projector to tell which words a panel's caption has.

    A tenth of the price of learning to see through whole captions: no language model runs.

    Returns:
        Mean loss per panel (binary cross-entropy summed over words) of the last tenth of the steps.
    """
    _, targets = seen_words(panels)
    generator = random.Random(seed)  # noqa: S311
    torch.manual_seed(seed)
    n_inputs = (features([panels[0].image])[0].shape[0] - 1) * model.config.text_config.hidden_size
    readout = torch.nn.Linear(n_inputs, targets.shape[1])
    parameters = [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters()]
    optimizer = torch.optim.AdamW([*parameters, *readout.parameters()], lr=lr, weight_decay=0.01)
    losses = []
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = lr_at(step, n_steps, lr, warmup=0.05)
        indices = generator.sample(range(len(panels)), min(_BATCH, len(panels)))
        seen = torch.stack(features([panels[index].image for index in indices]))[:, :-1]  # the last is the newline's
        logits = readout(seen.flatten(1))
        loss = functional.binary_cross_entropy_with_logits(logits, targets[indices], reduction="sum") / len(indices)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    last = losses[-max(1, n_steps // 10) :]
    return sum(last) / len(last)


def _word_set(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))
