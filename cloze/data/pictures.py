"""Which pictures can be used: a whole JPEG or PNG of a panel's size."""

import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from cloze.data.images import ImageFolder

MAX_BYTES = 64 * 2**20
MAX_SIDE = 10_000
MAX_PIXELS = 50_000_000  # whole pages are scanned at 5-10 million
PROBLEMS = ("missing", "empty", "not a picture", "too large", "damaged")
OPENING = ("decode", "headers")  # checks that open every picture
CHECKS = (*OPENING, "listed", "assumed")

_ENDS_BYTES = 2**16  # a comment or a thumbnail may come before a JPEG's size
_LAST = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND\xaeB`\x82"}  # by the first two bytes: JPEG, PNG
_BATCH = 256


def find_problems(folder: "ImageFolder", names: Sequence[str], check: str) -> dict[str, str]:
    """Names of the pictures that cannot be used, each with what is wrong with it (one of `PROBLEMS`).

    Args:
        folder: where they lie.
        names: of pictures that are there.
        check: `decode` reads and decodes each (at an eighth of its size); `headers` reads 64 KiB at either end and
            looks at size and end mark; anything else opens none.
    """
    if check not in OPENING:
        return {}
    problem: Callable[[str], str] = _decoded(folder) if check == "decode" else _headers(folder)

    def problems(start: int) -> list[tuple[str, str]]:
        return [(name, found) for name in names[start : start + _BATCH] if (found := problem(name))]

    # Pillow lets go of the interpreter while it decodes, and a network disk answers many at once.
    with ThreadPoolExecutor(4 * (os.cpu_count() or 1)) as threads:
        return dict(pair for batch in threads.map(problems, range(0, len(names), _BATCH)) for pair in batch)


def problem_of(content: bytes, *, whole: bool = True) -> str:
    """What is wrong with a picture; empty where it can be used.

    Args:
        content: the file, or its beginning.
        whole: also decode it; the only way to see damage in the middle.
    """
    from PIL import Image, UnidentifiedImageError

    if not content:
        return "empty"
    if len(content) > MAX_BYTES:
        return "too large"
    try:
        with Image.open(BytesIO(content), formats=("JPEG", "PNG")) as picture:
            if max(picture.size) > MAX_SIDE or picture.width * picture.height > MAX_PIXELS:
                return "too large"
            if whole:
                # All of a JPEG's data is still read at an eighth of its size, in a third of the time.
                picture.draft("L", (picture.width // 8, picture.height // 8))
                picture.load()
    except UnidentifiedImageError:
        return "not a picture"
    except Image.DecompressionBombError:
        return "too large"
    except (OSError, SyntaxError, ValueError, EOFError, struct.error):  # what Pillow raises on broken files
        return "damaged"
    return ""


def to_rgb(content: bytes) -> "Image":
    """A picture that has no problem, as the model is given it."""
    from PIL import Image

    with Image.open(BytesIO(content), formats=("JPEG", "PNG")) as picture:
        return picture.convert("RGB")


def _decoded(folder: "ImageFolder") -> Callable[[str], str]:
    return lambda name: problem_of(folder.read(name))


def _headers(folder: "ImageFolder") -> Callable[[str], str]:
    def problem(name: str) -> str:
        head, tail = folder.ends(name, _ENDS_BYTES)
        found = problem_of(head, whole=False)
        return found or ("" if _LAST[head[:2]] in tail else "damaged")

    return problem
