"""Thumbnails inside the page: each picture once, however often it is shown."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from cloze.data.images import ImageFolder, open_images
from cloze.errors import UserError

LONGEST_SIDE = 320  # pixels: lettering is legible in a strip of five on a wide screen

_QUALITY = 72


@dataclass(frozen=True)
class Thumbnail:
    """A picture in the page. Several places may show it by its id."""

    id: str
    width: int
    height: int
    data_uri: str


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
    """

    def __init__(self, uri: str, cache: Path, prefix: str) -> None:
        self._prefix = prefix
        self._shown: dict[str, Thumbnail | Gap] = {}
        self._folder: ImageFolder | None = None
        self.problem = "" if uri else "the sequences table names no image root"
        if uri:
            try:
                self._folder = open_images(uri, cache)
            except UserError as error:
                self.problem = str(error)

    @property
    def thumbnails(self) -> list[Thumbnail]:
        """All pictures that were asked for and are there."""
        return [shown for shown in self._shown.values() if isinstance(shown, Thumbnail)]

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
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=_QUALITY, method=4)
        encoded = base64.b64encode(buffer.getvalue()).decode()
        return Thumbnail(
            f"{self._prefix}{len(self._shown)}", image.width, image.height, f"data:image/webp;base64,{encoded}"
        )
