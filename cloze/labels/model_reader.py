"""Reads lettering by asking a vision-language model, one question a panel, by way of the ledger that labels share.

The model answers with every balloon and caption in reading order, each with its kind and, where it can tell, its box.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from cloze.data.images import ImageFolder
from cloze.labels.answers import Answer, State
from cloze.labels.balloons import Balloon, Box
from cloze.labels.cost import picture_tokens, text_tokens
from cloze.labels.inquiry import Inquiry, ModelSettings, PicturePart
from cloze.labels.ledger_rows import Planned
from cloze.labels.prompts import READING, READING_DIGEST
from cloze.labels.reader import Reading, Unread
from cloze.labels.requests import Asking, generation_config, user_turn

SAID = ("dialogue", "narration", "sound_effect", "sign")
# A root object and every field required, as OpenAI's strict mode has it; flat enough for Gemini's.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "balloons": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"type": "string", "enum": list(SAID)},
                    "text": {"type": "string"},
                    "box_2d": {"type": ["array", "null"], "items": {"type": "integer"}, "minItems": 4, "maxItems": 4},
                },
                "required": ["kind", "text", "box_2d"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["balloons"],
    "additionalProperties": False,
}
_GRID = 1000  # edges of boxes are told in thousandths of the picture's side
OUTPUT_TOKENS = 120  # of a panel with two balloons


class ModelReader:
    """A `Reader` that asks a model; what was paid for outlives it in the ledger in `folder`.

    Args:
        images: where the panels' pictures lie, if that says which pictures these are; else empty.
        out: where the request template, or the whole of a dry run, is written.
    """

    def __init__(self, way: str, settings: ModelSettings, images: str, folder: Path, out: Path) -> None:
        self._way, self._settings, self._uri, self._folder, self._out = way, settings, images, folder, out
        self.figures: dict[str, float] = {}

    def __call__(self, panels: Sequence[Unread], images: ImageFolder) -> Iterator[Reading]:
        """Read the panels in the order of their ids; nothing in a dry run.

        Raises:
            DataError: a picture cannot be sent.
            SettingsError: the budget does not reach, or another model answers.
        """
        if not panels:
            return
        questions = _Panels(panels, self._settings, self._uri)
        by_id = {panel.panel_id: panel for panel in panels}
        with Inquiry(questions, self._settings, self._way, images, self._folder, self._out) as asked:
            figures = asked.run()
            self.figures = {name: value for name, value in figures.items() if name not in list(State)}
            self.figures["panels_kept"] = len(panels) - figures["estimate/requests"]
            if self._settings.dry_run:
                return
            for row in asked.ledger.rows():
                yield _reading(by_id[row["subject"]], row, images)


class _Panels:
    """A question about each panel (`cloze.labels.inquiry.Questions`)."""

    def __init__(self, panels: Sequence[Unread], settings: ModelSettings, images: str) -> None:
        self._panels = panels
        self._asking = Asking(
            paradigm="ocr",
            form="balloons",
            model=settings.model_name,
            resolution=settings.resolution,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_output_tokens=settings.max_output_tokens,
            images=images,
        )

    def pictures(self) -> list[str]:
        return [panel.image for panel in self._panels]

    def plan(self, sides: tuple[int, int]) -> Iterator[Planned]:
        asking = self._asking
        common = json.dumps([asdict(asking), READING_DIGEST, SCHEMA], sort_keys=True)
        per_panel = picture_tokens(asking.model, asking.resolution, *sides) + text_tokens(len(READING))
        for panel in self._panels:
            digest = hashlib.sha256(f"{common}\0{panel.image}".encode()).hexdigest()[:16]
            yield Planned(
                key=f"ocr/{panel.panel_id}/{digest}",
                subject=panel.panel_id,
                paradigm=asking.paradigm,
                prompt_digest=READING_DIGEST,
                model=asking.model,
                request_digest=digest,
                est_input_tokens=per_panel,
                est_output_tokens=min(OUTPUT_TOKENS, asking.max_output_tokens),
            )

    def rows(self, positions: Sequence[int]) -> list[Unread]:
        return [self._panels[position] for position in positions]

    def shown(self, row: Unread) -> list[str]:
        return [row.image]

    def body(self, row: Unread, attempt: int, picture: PicturePart) -> dict[str, Any]:
        return user_turn([picture(row.image), {"text": READING}], generation_config(self._asking, attempt, SCHEMA))

    def parse(self, answer: Answer) -> Answer:
        return parse_balloons(answer)


def parse_balloons(answer: Answer) -> Answer:
    """An `OK` answer as JSON rows `[kind, text, box or null]`, blank ones left out, or an `UNPARSABLE` one.

    A box is `[x1, y1, x2, y2]` in thousandths of the picture's sides.
    """
    try:
        found = json.loads(answer.text or "")["balloons"]
        if not isinstance(found, list):
            raise ValueError(f"balloons are {found!r}")
        rows = [_row(balloon) for balloon in found]
    except (ValueError, TypeError, KeyError) as error:
        reason = f"not the balloons that were asked for: {type(error).__name__}: {error}"
        return replace(answer, state=State.UNPARSABLE, text=None, reason=reason)
    return replace(answer, text=json.dumps([row for row in rows if row[1]], ensure_ascii=False))


def _row(balloon: Mapping[str, Any]) -> tuple[str, str, list[float] | None]:
    kind, text, box = balloon["kind"], balloon["text"], balloon["box_2d"]
    if kind not in SAID or not isinstance(text, str):
        raise ValueError(f"kind {kind!r}, text {text!r}")
    return kind, " ".join(text.split()), None if box is None else _edges(box)


def _edges(box: Any) -> list[float]:
    """Gemini's order is top, left, bottom, right."""
    top, left, bottom, right = (float(edge) for edge in box)
    if not (0 <= top < bottom <= _GRID and 0 <= left < right <= _GRID):
        raise ValueError(f"box_2d {box} is no box of 0 to {_GRID}")
    return [left, top, right, bottom]


def _reading(panel: Unread, row: Mapping[str, Any], images: ImageFolder) -> Reading:
    state = State(row["state"])
    if state is not State.OK:
        # An empty answer is no word about the panel; `EMPTY` would say that it was read.
        return Reading(panel, State.FAILED if state is State.EMPTY else state, reason=row["reason"] or "empty answer")
    balloons = tuple(_balloons(json.loads(row["text"]), panel, images))
    return Reading(panel, State.OK if balloons else State.EMPTY, balloons)


def _balloons(rows: Sequence[Sequence[Any]], panel: Unread, images: ImageFolder) -> Iterator[Balloon]:
    """Balloons with their boxes in pixels of the picture as it lies there, however small it was sent."""
    from PIL import Image

    if not rows:
        return
    with Image.open(BytesIO(images.read(panel.image))) as picture:
        width, height = picture.size
    for kind, text, edges in rows:
        box = edges and Box(*(edge * side / _GRID for edge, side in zip(edges, (width, height) * 2, strict=True)))
        yield Balloon(kind, text, box)
