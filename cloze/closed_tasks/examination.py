"""A closed task from its file to its accuracy."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cloze.closed_tasks.settings import ClosedTaskSettings
from cloze.errors import SettingsError

if TYPE_CHECKING:
    from cloze.closed_tasks.sources import Source
    from cloze.data.images import ImageFolder


class Examined(NamedTuple):
    """The accuracy with all that belongs to it, and one record for each item."""

    summary: dict[str, Any]
    rows: list[dict[str, Any]]


class _Scored(NamedTuple):
    scores: dict[str, list[list[float]]]  # by way of normalisation
    chosen_by: str
    signature: str


def examine(task: str, path: Path, settings: ClosedTaskSettings, cache: Path) -> Examined:
    """Score every candidate of every item; the best one is the choice.

    Args:
        cache: folder where picture features are kept.

    Raises:
        DataError: a file that is none (`read_source`), or pictures that are not there.
        SettingsError: a setting that does not go with the task.
        MissingInputError: an encoder, base or adapter that is not there.
    """
    from cloze.closed_tasks.overlap import words
    from cloze.closed_tasks.result import accuracy, choose, controls, items_digest, rows
    from cloze.closed_tasks.sources import read_source

    source = read_source(task, path, settings)
    items = source.items
    scored = {"idf": _by_overlap, "encoder": _by_encoder, "model": _by_model}[settings.scorer](source, settings, cache)
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
        **source.counts,
    }
    if len(scored.scores) > 1:
        summary["accuracy_by"] = {
            name: float(choose(items, found).credit.mean()) for name, found in scored.scores.items()
        }
    return Examined(summary, rows(items, scored.scores, scored.chosen_by))


def _by_overlap(source: "Source", settings: ClosedTaskSettings, cache: Path) -> _Scored:
    from cloze.closed_tasks.overlap import overlap_scores

    scores = overlap_scores(source.items, source.documents)
    digest = hashlib.sha256(json.dumps(source.documents).encode()).hexdigest()[:12]
    contexts = f"contexts of {Path(settings.idf_from).name}" if settings.idf_from else "its own contexts"
    return _Scored({"cosine": scores}, "cosine", f"tf-idf cosine|binary|smooth idf|{contexts}|{digest}")


def _by_encoder(source: "Source", settings: ClosedTaskSettings, cache: Path) -> _Scored:
    from cloze.closed_tasks.similarity import Encoder, similarity_scores

    encoder = Encoder(settings.encoder, settings.batch)
    return _Scored({"cosine": similarity_scores(source.items, encoder)}, "cosine", encoder.signature)


def _by_model(source: "Source", settings: ClosedTaskSettings, cache: Path) -> _Scored:
    from cloze.closed_tasks.likelihood import Reader, check_pictures
    from cloze.digests import folder_digest

    is_blind = settings.blind == "images"
    images = _images(source, settings, cache)
    if not is_blind:
        check_pictures(source.items, images)
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
    scores = reader(source.items, blind=is_blind, pmi=settings.normalise == "pmi")
    adapter = f"adapter:{folder_digest(Path(settings.adapter))[:20]}" if settings.adapter else "no adapter"
    signature = f"log-probability:{settings.normalise}|{reader.signature}|{adapter}|blind:{settings.blind}"
    return _Scored(scores, settings.normalise, signature)


def _images(source: "Source", settings: ClosedTaskSettings, cache: Path) -> "ImageFolder":
    from cloze.data.comics import find_pictures
    from cloze.data.images import ImageFolder, open_images

    if settings.blind == "images" and not settings.comics:
        return ImageFolder("", "")
    if settings.blind == "images" or not (settings.comics or source.images):
        raise SettingsError("comics", settings.comics, "the folder of pictures; or leave it empty with blind=images")
    if not settings.comics:
        return open_images(source.images, cache)
    with tempfile.TemporaryDirectory(prefix="cloze-") as scratch:
        return find_pictures(settings.comics, Path(scratch), copy_ocr=False, need_pictures=True)[1]
