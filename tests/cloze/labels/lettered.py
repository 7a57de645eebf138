"""Small panels with lettering in them, for the tests of readers."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cloze.labels.balloons import Box, Line

SAYS = {"A": "STOP THAT TRAIN!", "B": "HE HAS A LANTERN", "C": "WHO GOES THERE?", "D": "NOBODY KNOWS"}


def picture(*lettering: tuple[str, int, int], size: tuple[int, int] = (320, 200)) -> bytes:
    """A PNG with each text in a white balloon whose upper left corner is given."""
    panel = Image.new("RGB", size, (120, 170, 200))
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(16)
    for text, x, y in lettering:
        box = draw.textbbox((x + 8, y + 6), text, font=font)
        draw.rounded_rectangle((x, y, box[2] + 8, box[3] + 8), 8, fill="white", outline="black", width=2)
        draw.text((x + 8, y + 6), text, fill="black", font=font)
    stream = BytesIO()
    panel.save(stream, "PNG")
    return stream.getvalue()


def write_comics(folder: Path, pictures: Mapping[str, bytes]) -> Path:
    """A folder of comics without an OCR table; pictures by panel id, all PNG."""
    for panel_id, content in pictures.items():
        path = folder / "raw_panel_images" / f"{panel_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def line(text: str, x1: float, y1: float, width: float = 80, height: float = 16, confidence: float = 0.9) -> Line:
    """A line of lettering by its upper left corner."""
    return Line(text, confidence, Box(x1, y1, x1 + width, y1 + height))
