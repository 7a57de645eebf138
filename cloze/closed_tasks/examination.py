"""A closed task from its file to its accuracy."""

import hashlib
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cloze.errors import DataError, SettingsError
from cloze.model.finetune_settings import LAYOUTS, PRECISIONS
from cloze.settings import choices, setting

if TYPE_CHECKING:
    from cloze.closed_tasks.items import Item
    from cloze.data.images import ImageFolder

logger = logging.getLogger(__name__)

TASKS = ("text-cloze", "character-coherence")  # as cloze.closed_tasks.items has them; --help waits for no reader
SCORERS = ("idf", "encoder", "model")
_AGREE = 0.9  # share of answers that are the printed order, below which the reader of the figure is warned


@dataclass(frozen=True, kw_only=True)
class ClosedTaskSettings:
    """What a user may set when a closed task is examined."""

    scorer: str = setting(
        "idf: shared words, the rare ones more; encoder: a sentence encoder's cosine; model: a vision-language model's "
        "likelihood.",
        default="idf",
        choices=SCORERS,
    )
    limit: int = setting("Examine so many items at most, the same ones for the same seed; 0 is all.", default=0)
    seed: int = setting("Seed of the items drawn by limit, and of the bootstrap.", default=42)
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
    comics: str = setting("model: folder of comics, with raw_panel_images/BOOK/PAGE_PANEL.jpg.", default="")
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
        for name in ("scorer", "truth", "blind", "normalise", "precision"):
            if getattr(self, name) not in choices(type(self), name):
                raise SettingsError(name, getattr(self, name), f"one of {', '.join(choices(type(self), name))}")
        if self.image_layout not in ("", *LAYOUTS):
            raise SettingsError("image_layout", self.image_layout, f"one of {', '.join(LAYOUTS)}, or empty")
        for name, least in (("limit", 0), ("seed", 0), ("resamples", 100), ("batch", 1), ("features_gb", 0)):
            if not getattr(self, name) >= least:
                raise SettingsError(name, getattr(self, name), f"{least} or more")
        if self.scorer == "model" and bool(self.comics) == (self.blind == "images"):
            raise SettingsError("comics", self.comics, "the folder of pictures; or leave it empty with blind=images")


class Examined(NamedTuple):
    """The accuracy with all that belongs to it, and one record for each item."""

    summary: dict[str, Any]
    rows: list[dict[str, Any]]


class _Scored(NamedTuple):
    scores: dict[str, list[list[float]]]  # by way of normalisation
    chosen_by: str
    signature: str
    details: dict[str, Any]


def examine(task: str, path: Path, settings: ClosedTaskSettings, cache: Path) -> Examined:
    """Score every candidate of every item; the best one is the choice.

    Args:
        cache: folder where picture features are kept.

    Raises:
        DataError: a fold that is not one (`read_fold`), or pictures that are not there.
        SettingsError: a setting that does not go with the task.
        MissingInputError: an encoder, base or adapter that is not there.
    """
    from cloze.closed_tasks.items import read_fold
    from cloze.closed_tasks.overlap import words
    from cloze.closed_tasks.result import accuracy, choose, controls, items_digest, rows

    all_items = read_fold(path, task)
    items, told = _with_truth(task, path, all_items, settings.truth)
    items = _drawn(items, settings)
    scored = {"idf": _by_overlap, "encoder": _by_encoder, "model": _by_model}[settings.scorer](
        task, items, all_items, settings, cache
    )
    choices_ = choose(items, scored.scores[scored.chosen_by])
    summary = {
        "task": task,
        "items": path.name,
        "items_digest": items_digest(items),
        "scorer": settings.scorer,
        "signature": scored.signature,
        **accuracy(items, choices_, settings.resamples, settings.seed),
        "controls": controls(items),
        "contexts_without_words": sum(not words(item.context_text) for item in items),
        "candidates_without_words": sum(not words(" ".join(some)) for item in items for some in item.candidates),
        "items_with_equal_candidates": sum(len(set(item.candidates)) < len(item.candidates) for item in items),
        **told,
        **scored.details,
    }
    if len(scored.scores) > 1:
        summary["accuracy_by"] = {
            name: float(choose(items, found).credit.mean()) for name, found in scored.scores.items()
        }
    return Examined(summary, rows(items, scored.scores, scored.chosen_by))


def _with_truth(task: str, path: Path, items: "list[Item]", truth: str) -> "tuple[list[Item], dict[str, Any]]":
    """Items with what is right, and, of character-coherence, how far the file's own answers agree with its contexts.

    Raises:
        SettingsError: the printed order is no answer to this task.
        DataError: it is printed of no item.
    """
    from cloze.closed_tasks.items import CHARACTER_COHERENCE, letter_orders

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


def _drawn(items: "list[Item]", settings: ClosedTaskSettings) -> "list[Item]":
    """The items whose ids have the smallest digests under the seed, in their order."""
    if settings.limit == 0:
        return items
    ranked = sorted(items, key=lambda item: hashlib.sha256(f"{settings.seed}/{item.item_id}".encode()).digest())
    picked = {item.item_id for item in ranked[: settings.limit]}
    return [item for item in items if item.item_id in picked]


def _by_overlap(
    task: str, items: "Sequence[Item]", all_items: "Sequence[Item]", settings: ClosedTaskSettings, cache: Path
) -> _Scored:
    from cloze.closed_tasks.items import read_fold
    from cloze.closed_tasks.overlap import overlap_scores

    source = Path(settings.idf_from)
    documents = read_fold(source, task) if settings.idf_from else all_items
    scores = overlap_scores(items, [item.context_text for item in documents])
    named = f"contexts of {source.name}" if settings.idf_from else "its own contexts"
    return _Scored({"cosine": scores}, "cosine", f"tf-idf cosine|binary|smooth idf|of {named}", {})


def _by_encoder(
    task: str, items: "Sequence[Item]", all_items: "Sequence[Item]", settings: ClosedTaskSettings, cache: Path
) -> _Scored:
    from cloze.closed_tasks.similarity import Encoder, similarity_scores

    encoder = Encoder(settings.encoder, settings.batch)
    signature = f"cosine|{settings.encoder}|sentence-transformers:{version('sentence-transformers')}"
    return _Scored({"cosine": similarity_scores(items, encoder)}, "cosine", signature, {})


def _by_model(
    task: str, items: "Sequence[Item]", all_items: "Sequence[Item]", settings: ClosedTaskSettings, cache: Path
) -> _Scored:
    from cloze.closed_tasks.likelihood import Reader, check_pictures
    from cloze.digests import folder_digest

    is_blind = settings.blind == "images"
    images = _images(settings)
    if not is_blind:
        check_pictures(items, images)
    reader = Reader(
        settings.base,
        settings.adapter,
        precision=settings.precision,
        layout=settings.image_layout,
        batch=settings.batch,
        images=images,
        cache=cache,
        features_gb=settings.features_gb,
    )
    scores = reader(items, blind=is_blind, pmi=settings.normalise == "pmi")
    adapter = f"adapter:{folder_digest(Path(settings.adapter))[:20]}" if settings.adapter else "no adapter"
    signature = f"log-probability:{settings.normalise}|{reader.signature}|{adapter}|blind:{settings.blind}"
    return _Scored(scores, settings.normalise, signature, {})


def _images(settings: ClosedTaskSettings) -> "ImageFolder":
    from cloze.data.comics import find_pictures
    from cloze.data.images import ImageFolder

    if settings.blind == "images":
        return ImageFolder("", "")
    with tempfile.TemporaryDirectory(prefix="cloze-") as scratch:
        return find_pictures(settings.comics, Path(scratch), copy_ocr=False, need_pictures=True)[1]
