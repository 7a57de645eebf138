"""The `render` step: predictions drawn as the sixth panel, lettered, and laid out beside what was really there."""

import hashlib
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.rendering.render_settings import AUTO, RenderSettings
from cloze.stage import Workspace

if TYPE_CHECKING:
    from PIL import Image

    from cloze.data.images import ImageFolder
    from cloze.rendering.diffusion import Drawing, How, Painter
    from cloze.rendering.prompt import Compiled

logger = logging.getLogger(__name__)

_ON_SHEET = 48
_GUIDANCE, _GUIDANCE_OF_MINIATURE = 7.5, 2.0
_NEGATIVE = "text, letters, speech balloon, watermark"


@dataclass(frozen=True)
class Wanted:
    """One picture that is to be drawn, with its row of the sequences."""

    sequence_id: str
    prediction: str
    compiled: "Compiled"
    seed: int
    row: dict[str, Any]


@dataclass(frozen=True)
class Panels:
    """Panel 5 and the true panel 6 of what is drawn; None where a picture is missing or unreadable."""

    before: "Sequence[Image.Image | None]"
    true: "Sequence[Image.Image | None]"


def render(settings: RenderSettings, workspace: Workspace) -> dict[str, float]:
    """Draw predictions, and judge how near they come to the true panel.

    Leaves `renders.parquet`, `panels/` (PNG, lettered where asked for), `drawn/` (the same without lettering),
    `contact_sheet.png` and `prompts.json` (what was left out of each prompt). A picture that was drawn before by the
    same weights from the same prompt, seed and settings is taken from the cache, so a run that was stopped goes on.

    Returns:
        Counts of what was drawn and what could not be (predictions in which nothing can be seen, black pictures,
        numbers that are not finite, what the base's own checker withheld), and of tokens left out of prompts; by
        measure the mean similarity to the true panel with its floors, lift and intervals (docs/rendering.md).

    Raises:
        MissingInputError: the base or the encoder is not there.
        DataError: a table that does not belong to the others; a LoRA of another base.
    """
    import torch

    from cloze.data.images import open_images
    from cloze.rendering.diffusion import load_painter
    from cloze.tables import images_uri, read_table, table, with_images, write_table

    torch.set_num_threads(settings.threads)
    sequences = read_table(settings.sequences, "sequences")
    lora = Path(settings.lora) if settings.lora else None
    painter = load_painter(settings.base_sd, lora=lora, precision=settings.precision, memory=settings.memory)
    wanted, counts = _wanted(settings, sequences.to_pylist(), painter)
    how = _how(settings, painter)
    images = open_images(images_uri(sequences), workspace.cache)
    panels = Panels(*([_panel(images, name) for name in names] for names in _names(wanted)))
    drawings = _draw_all(painter, wanted, how, settings, panels.before, workspace.cache)
    plain = None
    if lora and settings.base_floor:
        base = load_painter(settings.base_sd, lora=None, precision=settings.precision, memory=settings.memory)
        plain = _draw_all(base, wanted, how, settings, panels.before, workspace.cache)
    counts |= {f"pictures_{state}": n for state, n in Counter(each.state for each in drawings).items()}
    metrics, judged = _judge(settings, wanted, drawings, plain, panels)
    rows = [
        _keep(each, drawing.picture, settings, workspace.out) | {"metrics": found}
        for each, drawing, found in zip(wanted, drawings, metrics, strict=True)
        if drawing.picture is not None
    ]
    write_table(with_images(table("renders", rows), images_uri(sequences)), workspace.out / "renders.parquet")
    prompts = {each.sequence_id: asdict(each.compiled) for each in wanted}
    (workspace.out / "prompts.json").write_text(json.dumps(prompts, indent=1), encoding="utf-8")
    _sheet(wanted, drawings, panels, workspace.out)
    return {"renders": len(rows), **counts, **judged}


def _how(settings: RenderSettings, painter: "Painter") -> "How":
    """How pictures are drawn, with what the base draws best where nothing else was asked for."""
    from cloze.rendering.diffusion import How

    guidance = settings.guidance or (_GUIDANCE_OF_MINIATURE if painter.is_miniature else _GUIDANCE)
    usual = "" if painter.is_miniature else _NEGATIVE
    negative = usual if settings.negative == AUTO else settings.negative
    return How(settings.steps, guidance, negative, settings.size or painter.size, settings.strength)


def _wanted(
    settings: RenderSettings, sequences: Sequence[dict[str, Any]], painter: "Painter"
) -> tuple[list[Wanted], dict[str, float]]:
    """What is to be drawn, and what was counted on the way."""
    from cloze.digests import drawn
    from cloze.errors import DataError
    from cloze.rendering.prompt import compile_prompt
    from cloze.tables import read_table

    rows = {row["sequence_id"]: row for row in sequences}
    predicted = read_table(settings.predictions, "predictions", ["sequence_id", "prediction"]).to_pylist()
    keys = [row["sequence_id"] for row in predicted]
    for key in keys:
        if key not in rows:
            raise DataError(settings.predictions, f"{key} is not a sequence of {settings.sequences}")
    chosen = [predicted[place] for place in drawn(keys, settings.examples or len(keys))]
    wanted, n_unseen = [], 0
    for row in chosen:
        compiled = compile_prompt(row["prediction"], painter.count, painter.window, settings.style)
        if not compiled.text:
            n_unseen += 1
            continue
        seed = int.from_bytes(hashlib.sha256(f"{settings.seed} {row['sequence_id']}".encode()).digest()[:6])
        wanted.append(Wanted(row["sequence_id"], row["prediction"], compiled, seed, rows[row["sequence_id"]]))
    cut = [each.compiled.cut for each in wanted]
    counts: dict[str, float] = {"predictions_unseen": n_unseen, "prompts_cut": sum(n > 0 for n in cut)}
    return wanted, counts | {"tokens_cut": sum(cut), "tokens": sum(each.compiled.tokens for each in wanted)}


def _draw_all(
    painter: "Painter",
    wanted: Sequence[Wanted],
    how: "How",
    settings: RenderSettings,
    before: "Sequence[Image.Image | None]",
    cache: Path,
) -> "list[Drawing]":
    """Draw batch by batch; the pictures of one are in the cache, all or none, before the next begins.

    Raises:
        DataError: it starts from panel 5, and one is not there.
    """
    from cloze.progress import progress
    from cloze.rendering.diffusion import draw, seconds_of_a_picture

    batches = [wanted[start : start + settings.batch] for start in range(0, len(wanted), settings.batch)]
    weights = [painter.digest, painter.lora_digest, settings.precision]
    places = [cache / "renders" / _key(batch, how, weights) for batch in batches]
    left = sum(len(batch) for batch, place in zip(batches, places, strict=True) if not place.is_dir())
    if left and painter.is_slow:
        each_s = seconds_of_a_picture(painter, how, settings.batch)
        logger.info("%d pictures, %.0f s each on this processor: about %.1f h", left, each_s, left * each_s / 3600)
    found: list[Drawing] = []
    with progress(len(wanted), "picture") as tell:
        for batch, place in zip(batches, places, strict=True):
            if not place.is_dir():
                starts = _starts(batch, before[len(found) :]) if settings.strength else ()
                prompts, seeds = [each.compiled.text for each in batch], [each.seed for each in batch]
                _write(draw(painter, prompts, seeds, how, starts), place)
            found += _read(place, len(batch))
            tell(len(batch))
    return found


def _starts(batch: Sequence[Wanted], before: "Sequence[Image.Image | None]") -> "list[Image.Image]":
    from cloze.errors import DataError

    pictures = []
    for each, picture in zip(batch, before, strict=False):
        if picture is None:
            raise DataError(each.sequence_id, "has no panel 5 to start from", "draw from noise: strength=0")
        pictures.append(picture)
    return pictures


def _write(drawings: "Sequence[Drawing]", place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".partial-") as folder:
        made = Path(folder) / "made"
        made.mkdir()
        for number, drawing in enumerate(drawings):
            if drawing.picture is None:
                (made / f"{number}.txt").write_text(drawing.state, encoding="utf-8")
            else:
                drawing.picture.save(made / f"{number}.png", format="png")
        if not place.exists():  # another process may have been faster
            made.rename(place)


def _read(place: Path, n: int) -> "list[Drawing]":
    from PIL import Image

    from cloze.rendering.diffusion import Drawing

    found = []
    for number in range(n):
        picture, reason = place / f"{number}.png", place / f"{number}.txt"
        if reason.exists():
            found.append(Drawing(None, reason.read_text(encoding="utf-8")))
            continue
        with Image.open(picture) as kept:
            found.append(Drawing(kept.convert("RGB")))
    return found


def _keep(wanted: Wanted, picture: "Image.Image", settings: RenderSettings, out: Path) -> dict[str, Any]:
    """Write a picture, and its row of the table."""
    from cloze.rendering.lettering import letter

    name = f"{wanted.sequence_id}.png"
    lettered = letter(picture, wanted.compiled.speech) if settings.lettering else picture
    for folder, shown in (("drawn", picture), ("panels", lettered)):
        place = out / folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shown.save(place, format="png")
    return {
        "sequence_id": wanted.sequence_id,
        "image": f"panels/{name}",
        "prompt": wanted.compiled.text,
        "seed": wanted.seed,
    }


def _key(batch: Sequence[Wanted], how: "How", weights: Sequence[object]) -> str:
    """Digest of everything that decides the pictures of a batch; company counts, by the last bit of a number."""
    starts = [each.row["context"][-1]["image"] if how.strength else None for each in batch]
    parts = [[each.compiled.text, each.seed, start] for each, start in zip(batch, starts, strict=True)]
    return hashlib.sha256(json.dumps([parts, asdict(how), *weights], sort_keys=True).encode()).hexdigest()


def _names(wanted: Sequence[Wanted]) -> tuple[list[str | None], list[str | None]]:
    """Names of the pictures of panel 5, and of panel 6."""
    return [each.row["context"][-1]["image"] for each in wanted], [each.row["target"]["image"] for each in wanted]


def _panel(images: "ImageFolder", name: str | None) -> "Image.Image | None":
    """A picture; one that is missing or cannot be read is warned of, and what needs it is unknown."""
    from cloze.errors import DataError

    try:
        return images.load(name) if name else None
    except DataError as error:
        logger.warning("%s", error)
        return None


def _judge(
    settings: RenderSettings,
    wanted: Sequence[Wanted],
    drawings: "Sequence[Drawing]",
    plain: "Sequence[Drawing] | None",
    panels: Panels,
) -> tuple[list[list[dict[str, Any]]], dict[str, float]]:
    """Similarities of each drawing and of its floors to the true panel, and their means."""
    import numpy as np

    from cloze.rendering.judged import judge, judged_summary, metrics_of_rows, warn_of_copies
    from cloze.rendering.similarity import encoder_similarity

    if not any(drawing.picture for drawing in drawings):
        return [[] for _ in wanted], {}
    ids = [each.sequence_id for each in wanted]
    groups = np.array([each.row["group"] for each in wanted])
    columns = judge(
        [drawing.picture for drawing in drawings],
        panels.true,
        panels.before,
        ids,
        groups,
        settings.seed,
        base=None if plain is None else [drawing.picture for drawing in plain],
        encoder=encoder_similarity(Path(settings.encoder)) if settings.encoder else None,
    )
    warn_of_copies(columns, ids)
    rows = metrics_of_rows(columns) or [[] for _ in wanted]
    return rows, judged_summary(columns, groups, settings.resamples, settings.seed)


def _sheet(wanted: Sequence[Wanted], drawings: "Sequence[Drawing]", panels: Panels, out: Path) -> None:
    """Lay out what was drawn, as it is in `panels/`, beside what was there."""
    from PIL import Image

    from cloze.rendering.sheet import Shown, contact_sheet

    shown = []
    for each, drawing, before, true in zip(wanted, drawings, panels.before, panels.true, strict=True):
        place = out / "panels" / f"{each.sequence_id}.png"
        shown.append(
            Shown(each.sequence_id, each.prediction, before, Image.open(place) if drawing.picture else None, true)
        )
    if shown:
        contact_sheet(shown[:_ON_SHEET]).save(out / "contact_sheet.png", format="png")
