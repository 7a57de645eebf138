"""The scorer `model`: which candidate does a vision-language model find likeliest as the next panel's lettering?

It sees the context, pictures and lettering, and is asked for the next panel's lettering; each candidate is read as
that answer. It does not see the next panel's picture, in which the right lettering could be read.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cloze.closed_tasks.items import Item
from cloze.data.images import ImageFolder
from cloze.errors import DataError
from cloze.labels.prompts import lettering_prompt, lettering_prompt_digest
from cloze.model.adapter import adapter_base, adapter_layout, adapter_origin, load_adapter
from cloze.model.base import SAMPLE, Base, load_base
from cloze.model.conversation import Chat, Example, to_messages
from cloze.model.features import Features, open_store
from cloze.model.likelihood import Likelihood, likelihoods

NORMALISATIONS = ("mean", "total", "pmi")


class Reader:
    """A base, with an adapter or without, that says how likely lettering is.

    Args:
        base: as `load_base` takes it; empty is the adapter's own, else the sample base.
        adapter: folder of an adapter; empty for none.
        layout: of pictures; empty is the adapter's own, else `multi`.
        images: where pictures lie.
        cache: folder where picture features are kept.
        features_gb: how many GB of them.

    Raises:
        DataError, MissingInputError: as `load_base` and `load_adapter`.
    """

    def __init__(
        self,
        base: str,
        adapter: str,
        *,
        precision: str,
        layout: str,
        batch: int,
        images: ImageFolder,
        cache: Path,
        features_gb: float,
    ) -> None:
        folder = Path(adapter)
        origin = adapter_origin(folder) if adapter else {"adapted": "all"}
        name = base or (adapter_base(folder) if adapter else SAMPLE)
        layout = adapter_layout(folder, layout) if adapter else layout or "multi"
        self._base: Base = load_base(name, precision, layout, images.size)
        self._on_answers = origin["adapted"] == "answer"
        self._model: Any = load_adapter(self._base, folder) if adapter else self._base.model
        store = open_store(self._base, cache, features_gb, adapter)
        self._features = Features(self._base, images, is_frozen=True, store=store)
        self._batch = batch

    @property
    def signature(self) -> str:
        """What decides its scores, but for the adapter."""
        base = self._base
        return f"base:{base.name}|{base.digest[:20]}|{base.precision}|{base.chat.layout}|{lettering_prompt_digest()}"

    def __call__(self, items: Sequence[Item], *, blind: bool, pmi: bool) -> dict[str, list[list[float]]]:
        """Scores of each item's candidates by way of normalisation.

        `total` is log P(candidate | context), `mean` the same per token, and `pmi` the total less log P(candidate | no
        panel at all), which takes away what makes a candidate likely anywhere (Holtzman et al. 2021, arXiv:2104.08315).

        Args:
            blind: every picture is a blank one.
            pmi: whether `pmi` is among them.
        """
        chat = self._base.chat
        answers = [[" ".join(boxes) for boxes in item.candidates] for item in items]
        read = self._likelihoods([encode(chat, item, blind=blind) for item in items], answers)
        scores = {
            "mean": [[found.mean for found in some] for some in read],
            "total": [[found.total for found in some] for some in read],
        }
        if pmi:
            bare = encode(chat, None, blind=True)
            anywhere = self._likelihoods([bare] * len(items), answers)
            scores["pmi"] = [
                [with_context.total - without.total for with_context, without in zip(some, bare_some, strict=True)]
                for some, bare_some in zip(read, anywhere, strict=True)
            ]
        return scores

    def _likelihoods(self, prompts: Sequence[Example], answers: Sequence[Sequence[str]]) -> list[list[Likelihood]]:
        return likelihoods(
            self._model, self._base.chat, prompts, answers, self._features, self._batch, on_answers=self._on_answers
        )


def encode(chat: Chat, item: Item | None, *, blind: bool) -> Example:
    """The prompt of an item, or the one without any panel, up to where the answer begins."""
    panels = item.context if item else ()
    pictures = tuple(None if blind else panel.image for panel in panels)
    conversation = to_messages(lettering_prompt([panel.text for panel in panels]), None)
    ids, supervised = chat.tokens(conversation, pictures, open_turn=True)
    return Example(item.item_id if item else "no panel", ids, supervised, pictures)


def check_pictures(items: Sequence[Item], images: ImageFolder) -> None:
    """See that every panel of the context has a picture, before a model is loaded.

    Raises:
        DataError: names the first that has none, and how many have none.
    """
    there = images.listing()
    missing = sorted(
        {panel.image or panel.panel_id for item in items for panel in item.context if panel.image not in there}
    )
    if missing:
        n_panels = len({panel.panel_id for item in items for panel in item.context})
        problem = f"no picture {missing[0]} ({len(missing)} of {n_panels} panels have none)"
        raise DataError(images.uri, problem, "give the folder that has them with comics=FOLDER, or blind=images")
