"""Where items come from: a published fold, or the sequences of any comics."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cloze.closed_tasks.items import CHARACTER_COHERENCE, TEXT_CLOZE, Item, letter_orders, read_fold
from cloze.closed_tasks.sequence_items import read_sequences
from cloze.closed_tasks.settings import ClosedTaskSettings
from cloze.errors import DataError, SettingsError

logger = logging.getLogger(__name__)

_AGREE = 0.9  # share of answers that are the printed order, below which the reader of the figure is warned


@dataclass(frozen=True)
class Source:
    """Items to examine.

    Attributes:
        items: in the order of their file.
        documents: lettering of all contexts of the file, also of items that were not drawn.
        counts: what is to be told about them.
        images: URI of the image root; empty where the file has none.
    """

    items: list[Item]
    documents: list[str]
    counts: dict[str, Any]
    images: str = ""


def read_source(task: str, path: Path, settings: ClosedTaskSettings) -> Source:
    """Items of a fold (CSV) or of a sequences table (Parquet).

    Raises:
        DataError: as `read_fold` and `read_sequences`.
        SettingsError: a setting that does not go with the task.
    """
    if path.suffix == ".parquet":
        if task != TEXT_CLOZE:
            raise SettingsError("task", task, f"{TEXT_CLOZE} where items are made from sequences, which have no boxes")
        made = read_sequences(path, settings.split, settings.difficulty, settings.seed)
        items, counts, images = made.items, {"items_not_made": made.n_without}, made.images
        documents = [item.context_text for item in items]
    else:
        items, images = read_fold(path, task), ""
        documents = [item.context_text for item in items]
        items, counts = _with_truth(task, path, items, settings.truth)
    if settings.idf_from:
        documents = [item.context_text for item in read_fold(Path(settings.idf_from), task)]
    return Source(_drawn(items, settings), documents, counts, images)


def _with_truth(task: str, path: Path, items: list[Item], truth: str) -> tuple[list[Item], dict[str, Any]]:
    """Items with what is right, and, of character-coherence, how far the file's own answers agree with its contexts.

    Raises:
        SettingsError: the printed order is no answer to this task.
        DataError: it is printed of no item.
    """
    if task != CHARACTER_COHERENCE:
        if truth != "file":
            raise SettingsError("truth", truth, f"file for {task}")
        return items, {}
    orders = letter_orders(items)
    printed = [
        replace(item, answer=item.candidates.index(orders[item.item_id]))
        for item in items
        if item.candidates.count(orders.get(item.item_id, ())) == 1
    ]
    answers = {item.item_id: item.answer for item in items}
    agree = sum(item.answer == answers[item.item_id] for item in printed)
    told = {"truth": truth, "printed_order_known": len(printed), "answers_as_printed": agree}
    if printed and agree / len(printed) < _AGREE:
        logger.warning(
            "%s: correct_answer is the order in which the fold itself prints the two boxes in %d of the %d items where "
            "it prints them; half is what a coin would give (truth=printed, docs/closed-tasks.md)",
            path,
            agree,
            len(printed),
        )
    if truth == "file":
        return items, told
    if not printed:
        raise DataError(path, "prints the boxes of no item as context, so truth=printed is unknown", "use truth=file")
    return printed, told


def _drawn(items: list[Item], settings: ClosedTaskSettings) -> list[Item]:
    """The items whose ids have the smallest digests under the seed, in their order."""
    if settings.limit == 0:
        return items
    ranked = sorted(items, key=lambda item: hashlib.sha256(f"{settings.seed}/{item.item_id}".encode()).digest())
    picked = {item.item_id for item in ranked[: settings.limit]}
    return [item for item in items if item.item_id in picked]
