"""Thumbnails inside the page: each picture once, however often it is shown, and all of them within a budget."""

import base64
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from cloze.data.images import ImageFolder, open_images
from cloze.errors import UserError


class Grade(NamedTuple):
    """How large a thumbnail is: its longest side in pixels, and the quality of its WebP (0 to 100)."""

    longest_side: int
    quality: int


# At the first, lettering is legible in a strip of five on a wide screen; at the last, scene and figures still are.
GRADES = (Grade(320, 72), Grade(288, 60), Grade(256, 48), Grade(224, 38), Grade(192, 30), Grade(160, 25))
BUDGET = 20_000_000  # bytes of all pictures of a gallery as they stand in the page

_FEW = 200  # pictures that are within the budget at any grade
_PROBES = 60  # pictures that tell how large the others will be


@dataclass(frozen=True)
class Thumbnail:
    """A picture in the page. Several places may show it by its id."""

    id: str
    width: int
    height: int
    data: str

    @property
    def data_uri(self) -> str:
        """The picture as an address."""
        return f"data:image/webp;base64,{self.data}"


@dataclass(frozen=True)
class Gap:
    """Why there is no picture: in a few words, and in full."""

    reason: str
    detail: str = ""


class Gallery:
    """The thumbnails of one image root, made as they are asked for.

    Args:
        uri: the image root; empty where the tables name none.
        cache: where a drawn sample lies or is drawn.
        prefix: makes the ids unique among the galleries of a page.
        names: what will be asked for, where that may be much: the more there is, the smaller each picture.
    """

    def __init__(self, uri: str, cache: Path, prefix: str, names: Collection[str] = ()) -> None:
        self._prefix = prefix
        self._shown: dict[str, Thumbnail | Gap] = {}
        self._made: dict[str, Thumbnail] = {}  # by its data
        self._folder: ImageFolder | None = None
        self.problem = "" if uri else "the sequences table names no image root"
        if uri:
            try:
                self._folder = open_images(uri, cache)
            except UserError as error:
                self.problem = str(error)
        self.grade = self._affordable(sorted(set(names)))

    @property
    def thumbnails(self) -> list[Thumbnail]:
        """All pictures that were asked for and are there; those of a reprint that are the same are one."""
        return list(self._made.values())

    @property
    def n_gaps(self) -> int:
        """How many different pictures were asked for and could not be read."""
        return sum(isinstance(shown, Gap) for shown in self._shown.values())

    def show(self, name: str | None) -> Thumbnail | Gap:
        """The thumbnail of a picture, or why there is none."""
        if name is None:
            return Gap("no picture of this panel")
        if name not in self._shown:
            self._shown[name] = self._make(name)
        return self._shown[name]

    def _make(self, name: str) -> Thumbnail | Gap:
        if self._folder is None:
            return Gap("picture not at hand", self.problem)
        try:
            image = self._folder.load(name)
        except UserError as error:
            return Gap("picture cannot be read", str(error))
        width, height, data = _encode(image, self.grade)
        return self._made.setdefault(data, Thumbnail(f"{self._prefix}{len(self._made)}", width, height, data))

    def _affordable(self, names: list[str]) -> Grade:
        """The best grade at which all of these pictures are within the budget, as some of them tell; else the last."""
        if self._folder is None or len(names) <= _FEW:
            return GRADES[0]
        images = [image for name in names[:: len(names) // _PROBES] if (image := self._load(name))]
        for grade in GRADES:
            n_bytes = sum(len(_encode(image, grade)[2]) for image in images)
            if n_bytes * len(names) <= BUDGET * len(images):
                return grade
        return GRADES[-1]

    def _load(self, name: str) -> Image.Image | None:
        try:
            return self._folder.load(name) if self._folder else None
        except UserError:
            return None  # told where it is shown


def _encode(image: Image.Image, grade: Grade) -> tuple[int, int, str]:
    """Width, height and base64 of a picture made small."""
    small = image.copy()
    small.thumbnail((grade.longest_side, grade.longest_side))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=grade.quality, method=4)
    return small.width, small.height, base64.b64encode(buffer.getvalue()).decode()
