"""Reads lettering on this machine: RapidOCR with the PP-OCRv6 models that its wheel carries.

Nothing is downloaded: the models are named by their path, which the library then never compares with a server's.
The lines that it found are kept per picture, so that a run goes on where another was killed, and other rules for
balloons or another `min_confidence` cost no reading.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from cloze.data.images import ImageFolder
from cloze.data.pictures import problem_of
from cloze.digests import file_digest
from cloze.errors import DataError
from cloze.labels.answers import State
from cloze.labels.balloons import Balloon, Box, Line, join_lines
from cloze.labels.reader import Reading, Unread

KEPT_FILE = "lettering.sqlite"

_PACKAGES = ("rapidocr", "onnxruntime", "opencv-python-headless")
_MODELS = {"Det": "PP-OCRv6_det_small.onnx", "Rec": "PP-OCRv6_rec_small.onnx"}
_OPTIONS = {
    "Global.log_level": "error",
    "Global.use_cls": False,  # lettering does not stand on its head
    "Global.text_score": 0.0,  # lines of any confidence are kept
    # The shorter side that a smaller picture is enlarged to. The library's 736 reads no better and takes twice as long.
    "Det.limit_side_len": 480,
}
_SHORTEST, _SLIMMEST = 32, 8  # pixels of the shorter side, and its share of the longer, that paper is added up to
_COLUMNS = "picture text, reader text, width integer, height integer, lines text, seconds real"


class LocalReader:
    """A `Reader` that keeps what it has read in `folder`."""

    def __init__(self, folder: Path, min_confidence: float) -> None:
        self._folder = folder
        self._min_confidence = min_confidence
        self.figures: dict[str, float] = {}

    def __call__(self, panels: Sequence[Unread], images: ImageFolder) -> Iterator[Reading]:
        """Read the panels in their order."""
        with _Kept(self._folder / KEPT_FILE) as kept:
            engine = Engine()
            for panel in panels:
                try:
                    content = images.read(panel.image)
                except (DataError, OSError) as error:  # gone since it was listed, or the disk or bucket does not answer
                    yield Reading(panel, State.FAILED, reason=str(error))
                    continue
                yield self._read(panel, content, engine, kept)

    def _read(self, panel: Unread, content: bytes, engine: "Engine", kept: "_Kept") -> Reading:
        key = hashlib.sha256(content).hexdigest()
        found = kept.get(key)
        is_kept = found is not None
        if found is None:
            if problem := problem_of(content):
                return Reading(panel, State.FAILED, reason=f"the picture is {problem}")
            found = engine.read(content)
            kept.put(key, found)
        balloons = tuple(found.balloons(self._min_confidence))
        state = State.OK if balloons else State.EMPTY
        return Reading(panel, state, balloons, seconds=found.seconds, is_kept=is_kept)


@cache
def reader_version() -> str:
    """Twelve hex digits that change whenever what is read could: packages, models or options."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    models = {part: file_digest(Path(path)) for part, path in _model_paths().items()}
    parts = json.dumps([versions, models, _OPTIONS, _SHORTEST, _SLIMMEST], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:12]


class Found(NamedTuple):
    """All lines found in a picture of `size`, and the seconds that took."""

    size: tuple[int, int]
    lines: list[Line]
    seconds: float

    def balloons(self, min_confidence: float) -> list[Balloon]:
        """Balloons and captions in reading order, of the lines that are sure enough."""
        return join_lines([line for line in self.lines if line.confidence >= min_confidence], self.size)


class Engine:
    """The library; its models are loaded (half a second) when the first picture is read."""

    def read(self, content: bytes) -> Found:
        """Lines of a whole picture, the library's failures to find any among the answers."""
        import numpy as np
        from PIL import Image

        started = time.monotonic()
        with Image.open(BytesIO(content)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        height, width = pixels.shape[:2]
        # The library enlarges by the shorter side: a sliver of 3 x 900 would take minutes, a longer one an error.
        side = max(_SHORTEST, max(width, height) // _SLIMMEST)
        paper = ((0, max(0, side - height)), (0, max(0, side - width)), (0, 0))
        padded = np.pad(pixels, paper, constant_values=255)
        found = self._engine(np.ascontiguousarray(padded[:, :, ::-1]))  # OpenCV's order of colours
        lines = [] if found.txts is None else zip(found.txts, found.scores, found.boxes, strict=True)
        return Found(
            (width, height),
            [Line(text, float(score), _upright(corners)) for text, score, corners in lines],
            time.monotonic() - started,
        )

    @cached_property
    def _engine(self) -> Any:
        from rapidocr import RapidOCR

        paths = {f"{part}.model_path": path for part, path in _model_paths().items()}
        return RapidOCR(params={**_OPTIONS, **paths})


def _model_paths() -> Mapping[str, str]:
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("rapidocr")
    folder = Path(spec.origin).parent / "models"
    return {part: str(folder / name) for part, name in _MODELS.items()}


def _upright(corners: Any) -> Box:
    """The upright box around four corners (4, 2) of a perhaps tilted one; whole tenths of a pixel."""
    x1, y1 = corners.min(axis=0)
    x2, y2 = corners.max(axis=0)
    return Box(*(round(float(edge), 1) for edge in (x1, y1, x2, y2)))


class _Kept:
    """What this version of the reader found in pictures, by their contents; each is on the disk at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = normal")
        self._database.execute(f"create table if not exists found ({_COLUMNS}, primary key (picture, reader))")

    def __enter__(self) -> "_Kept":
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def get(self, picture: str) -> Found | None:
        """What was found in a picture, if it was read."""
        row = self._database.execute(
            "select width, height, lines, seconds from found where picture = ? and reader = ?",
            (picture, reader_version()),
        ).fetchone()
        if row is None:
            return None
        width, height, lines, seconds = row
        return Found((width, height), [Line(text, sure, Box(*box)) for text, sure, box in json.loads(lines)], seconds)

    def put(self, picture: str, found: Found) -> None:
        """Keep what was found in a picture."""
        lines = json.dumps([(line.text, line.confidence, line.box) for line in found.lines], ensure_ascii=False)
        self._database.execute(
            "insert or replace into found values (?, ?, ?, ?, ?, ?)",
            (picture, reader_version(), *found.size, lines, found.seconds),
        )
