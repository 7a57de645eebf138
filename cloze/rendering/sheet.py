"""The contact sheet: what was predicted, what was drawn and what is really there, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_TILE = 256  # pixels of the square that each picture and text gets
_GAP, _HEAD = 12, 30
_LETTERS = 14
_INK, _SOFT, _PAPER, _EMPTY = (25, 28, 32), (105, 112, 120), (255, 255, 255), (235, 237, 240)


@dataclass(frozen=True)
class Shown:
    """One row of the sheet; no picture where there is none."""

    sequence_id: str
    prediction: str
    panel5: Image.Image | None
    drawn: Image.Image | None
    panel6: Image.Image | None


def contact_sheet(shown: Sequence[Shown]) -> Image.Image:
    """A picture with one row for each: the text, panel 5, the drawn panel and the true one; two rows beside another.

    Raises:
        ValueError: there is nothing to show.
    """
    if not shown:
        raise ValueError("a contact sheet of nothing")
    n_beside = min(2, len(shown))
    wide, high = 4 * (_TILE + _GAP) + _GAP, _TILE + _GAP
    n_rows = -(-len(shown) // n_beside)
    sheet = Image.new("RGB", (n_beside * wide + _GAP, _HEAD + n_rows * high + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), _font(_LETTERS)
    for i, one in enumerate(shown):
        left, top = _GAP + i % n_beside * wide, _HEAD + i // n_beside * high
        pictures = {"prediction": None, "panel 5": one.panel5, "drawn": one.drawn, "panel 6": one.panel6}
        for place, (title, picture) in enumerate(pictures.items()):
            x = left + place * (_TILE + _GAP)
            if i < n_beside:
                draw.text((x, _HEAD - _LETTERS - 8), title, fill=_SOFT, font=font)
            if not place:
                _write(draw, (x, top), one.sequence_id, one.prediction, font)
            elif picture is None:
                draw.rectangle((x, top, x + _TILE, top + _TILE), fill=_EMPTY)
                draw.text((x + _TILE / 2, top + _TILE / 2), "no picture", fill=_SOFT, font=font, anchor="mm")
            else:
                sheet.paste(_fitted(picture), (x, top))
    return sheet


def _write(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], title: str, text: str, font: ImageFont.FreeTypeFont
) -> None:
    step = _LETTERS + 4
    rows = [title, *_rows(text or "(nothing was predicted)", font)]
    if len(rows) > (n_rows := _TILE // step):
        rows = [*rows[: n_rows - 1], f"{rows[n_rows - 1][:-2]} …"]
    for i, row in enumerate(rows):
        draw.text((corner[0], corner[1] + i * step), row, fill=_INK if i else _SOFT, font=font)


def _rows(text: str, font: ImageFont.FreeTypeFont) -> Iterator[str]:
    """Rows no wider than a tile; a word of more than 24 letters is cut up."""
    row = ""
    for word in (whole[at : at + 24] for whole in text.split() for at in range(0, len(whole), 24)):
        longer = f"{row} {word}".strip()
        if row and font.getlength(longer) > _TILE:
            yield row
            longer = word
        row = longer
    yield row


def _fitted(picture: Image.Image) -> Image.Image:
    """A picture as large as fits a tile."""
    scale = _TILE / max(picture.size)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has most letters there are."""
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
