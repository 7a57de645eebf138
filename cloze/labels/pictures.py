"""How pictures travel with requests: inside them, uploaded once and named, or named where they lie in a bucket."""

import base64
import hashlib
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from cloze.data.images import ImageFolder
from cloze.errors import DataError, SettingsError

WAYS = ("auto", "inline", "upload", "gs")

_QUALITY = 85
_KEPT = 512  # shrunken pictures in memory: neighbouring sequences share theirs
_UPLOADS = 8  # at the same time
# Uploaded files live for 48 hours, and a job may wait for long: an older one is uploaded again.
_FRESH_S = 6 * 3600
_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}

Upload = Callable[[bytes, str], str]


def way_of(way: str, images: ImageFolder, *, vertex: bool, batch: bool) -> str:
    """How pictures shall travel: by the user's word, or for `auto` sent once where that can be done.

    Raises:
        SettingsError: they cannot travel that way.
    """
    in_bucket = images.uri.startswith("gs://")
    if way == "auto":
        return "gs" if vertex and in_bucket else "upload" if batch and not vertex else "inline"
    if way == "gs" and not (vertex and in_bucket):
        raise SettingsError(
            "pictures", way, f"another way: it needs service=vertex and comics in gs://, not {images.uri}"
        )
    if way == "upload" and vertex:
        raise SettingsError("pictures", way, "inline or gs: Vertex AI takes no uploaded files")
    return way


class Inline:
    """Pictures as base64 inside the request, shrunk."""

    def __init__(self, images: ImageFolder, longest_side: int) -> None:
        self._shrunk = lru_cache(_KEPT)(lambda name: shrink(images, name, longest_side))

    def prepare(self, names: Sequence[str]) -> None:
        """Nothing is sent ahead."""

    def part(self, name: str) -> Mapping[str, Any]:
        """The part of a body that carries the picture."""
        return {"inlineData": {"mimeType": "image/jpeg", "data": base64.b64encode(self._shrunk(name)).decode()}}


class InBucket:
    """Pictures named where they lie."""

    def __init__(self, images: ImageFolder) -> None:
        self._root = images.uri.rstrip("/")

    def prepare(self, names: Sequence[str]) -> None:
        """Nothing is sent ahead."""

    def part(self, name: str) -> Mapping[str, Any]:
        """The part of a body that names the picture."""
        return {"fileData": {"mimeType": _TYPES[Path(name).suffix.lower()], "fileUri": f"{self._root}/{name}"}}


class Uploaded:
    """Pictures shrunk, uploaded once however many sequences show them, and named.

    What was uploaded is remembered on disk for as long as it may be relied on.
    """

    def __init__(self, images: ImageFolder, longest_side: int, upload: Upload, memory: Path) -> None:
        self._images, self._side, self._upload = images, longest_side, upload
        self._database = sqlite3.connect(memory, isolation_level=None)
        self._database.execute("create table if not exists uploaded (digest text primary key, uri text, at real)")
        self._uris: dict[str, tuple[str, float]] = {}

    def prepare(self, names: Sequence[str]) -> None:
        """Upload those that are not there yet, several at the same time."""
        wanted = [name for name in dict.fromkeys(names) if not _is_fresh(self._uris.get(name, ("", 0.0))[1])]
        with ThreadPoolExecutor(_UPLOADS) as threads:
            shrunk = threads.map(lambda name: shrink(self._images, name, self._side), wanted)
            contents = dict(zip(wanted, shrunk, strict=True))
            digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
            known = {name: self._recall(digest) for name, digest in digests.items()}
            missing = [name for name in wanted if known[name] is None]
            uris = threads.map(lambda name: self._upload(contents[name], digests[name]), missing)
            for name, uri in zip(missing, uris, strict=True):
                known[name] = found = (uri, time.time())
                self._database.execute("insert or replace into uploaded values (?, ?, ?)", (digests[name], *found))
        self._uris |= {name: found for name, found in known.items() if found}

    def part(self, name: str) -> Mapping[str, Any]:
        """The part of a body that names the picture."""
        return {"fileData": {"mimeType": "image/jpeg", "fileUri": self._uris[name][0]}}

    def _recall(self, digest: str) -> tuple[str, float] | None:
        found = self._database.execute("select uri, at from uploaded where digest = ?", (digest,)).fetchone()
        return (found[0], found[1]) if found and _is_fresh(found[1]) else None


Pictures = Inline | InBucket | Uploaded


def shrink(images: ImageFolder, name: str, longest_side: int) -> bytes:
    """A picture as JPEG with at most so many pixels a side; a smaller one keeps its size."""
    picture = images.load(name)
    picture.thumbnail((longest_side, longest_side))
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def require_usable(images: ImageFolder, names: Sequence[str]) -> None:
    """Refuse to go on where a picture is missing or damaged: found before any money is spent.

    Raises:
        DataError: names the first few.
    """
    from cloze.data.pictures import find_problems

    listed = images.listing()
    problems = {name: "missing" for name in names if name not in listed}
    # A bucket's pictures are not all fetched twice; there the listing must do.
    present = [name for name in names if name in listed] if images.remote is None else []
    problems |= find_problems(images, present, "headers")
    if problems:
        shown = ", ".join(f"{name} ({problem})" for name, problem in sorted(problems.items())[:5])
        raise DataError(
            images.uri,
            f"{len(problems)} of {len(names)} pictures cannot be sent: {shown}",
            "run `ingest` and `sequences` again; they leave such panels out",
        )


def _is_fresh(at: float) -> bool:
    return time.time() - at < _FRESH_S
