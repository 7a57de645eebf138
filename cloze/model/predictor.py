"""An adapter that answers requests: pictures and lettering of a few panels in, what happens in the next one out.

It is `predict` for sequences that come from outside: the same tokens, picture features and decoding. What comes from
outside is checked: how many panels, that each picture is a JPEG or PNG of a panel's size, and that a path stays below
the one folder that may be read.
"""

import base64
import binascii
import hashlib
import threading
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from cloze.data.images import SUFFIXES, open_images, stays_below
from cloze.data.pictures import problem_of, to_rgb
from cloze.errors import DataError
from cloze.model.adapter import adapter_base, adapter_layout, adapter_origin, load_adapter
from cloze.model.answers import Answer
from cloze.model.base import load_base
from cloze.model.engine import predictor_settings
from cloze.model.features import Features
from cloze.model.generation import Decoding, by_length, generate
from cloze.tables import images_uri, read_table

MAX_ROWS = 64  # of one request
MAX_PICTURE_BYTES = 8 << 20
BATCH = 16
_EXAMPLE_SIDE = 160  # pixels: five pictures of an example request are a few tens of kilobytes


class Predictor:
    """A loaded adapter with its base.

    Args:
        adapter: the adapter's folder.
        base: where the base lies; empty is where it was when the adapter was trained.
        precision: `fp32` or `bf16`.
        max_new_tokens: longest answer, in tokens.
        n_panels: panels of a sequence's context, as in training.
        image_root: folder below which requests may name pictures by path; empty allows no path.

    Attributes:
        settings: what decides the text for a given request.

    Raises:
        MissingInputError: the base is not there.
        DataError: it is another base than the one the adapter was trained on.
    """

    def __init__(
        self, adapter: Path, *, base: str, precision: str, max_new_tokens: int, n_panels: int, image_root: str
    ) -> None:
        self._sent = _Sent()
        loaded = load_base(base or adapter_base(adapter), precision, adapter_layout(adapter), self._sent.size)
        greedy = {"strategy": "greedy", "max_new_tokens": max_new_tokens}
        self.settings = predictor_settings(loaded, adapter, greedy)
        self._model = load_adapter(loaded, adapter)
        self._chat = loaded.chat
        self._decoding = Decoding(max_new_tokens, on_answers=adapter_origin(adapter)["adapted"] == "answer")
        self._n_panels = n_panels
        self._image_root = image_root
        self._features = Features(loaded, self._sent, is_frozen=True)
        self._lock = threading.Lock()

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Answer requests, each with `images` (base64 of a JPEG or PNG, or a path) and `texts` (the lettering).

        Raises:
            DataError: a request that cannot be answered; the text names the row and the panel.
        """
        if not 1 <= len(rows) <= MAX_ROWS:
            raise DataError("the request", f"{len(rows)} rows; 1 to {MAX_ROWS} were expected")
        contents: dict[str, bytes] = {}
        sequences = [self._sequence(row, f"row {n}", contents) for n, row in enumerate(rows)]
        with self._lock:  # a server answers in many threads; model and features are for one at a time
            self._sent.contents = contents
            prompts = [self._chat.encode(sequence) for sequence in sequences]
            batches = by_length(prompts, BATCH)
            answers: dict[int, Answer] = {}
            for some in generate(self._model, self._chat, prompts, self._features, batches, self._decoding):
                answers |= some
            return [answers[index] for index in range(len(prompts))]

    def _sequence(self, row: Mapping[str, Any], where: str, contents: dict[str, bytes]) -> dict[str, Any]:
        """A row of the sequences table for a request; its pictures, named by their digests, go to `contents`."""
        images, texts = list(row["images"]), list(row["texts"])
        for name, found in (("images", images), ("texts", texts)):
            if len(found) != self._n_panels:
                raise DataError(where, f"{len(found)} {name}; {self._n_panels} were expected, one for each panel")
            if not all(isinstance(word, str) for word in found):
                raise DataError(where, f"{name} must all be strings")
        context = []
        for number, (image, text) in enumerate(zip(images, texts, strict=True), start=1):
            content = self._picture(image, f"{where}, panel {number}")
            digest = hashlib.sha256(content).hexdigest()
            contents[digest] = content
            context.append({"panel_id": str(number), "image": digest, "text": text})
        return {"sequence_id": where, "context": context}

    def _picture(self, word: str, where: str) -> bytes:
        is_path = word.lower().endswith(SUFFIXES)  # base64 has no full stop
        content = self._read(word, where) if is_path else _decode(word, where)
        if len(content) > MAX_PICTURE_BYTES:
            raise DataError(where, f"the picture is too large; {MAX_PICTURE_BYTES >> 20} MiB are allowed")
        if problem := problem_of(content):
            raise DataError(where, f"the picture is {problem}; a whole JPEG or PNG of a panel's size was expected")
        return content

    def _read(self, name: str, where: str) -> bytes:
        if not self._image_root:
            raise DataError(where, "paths are not allowed here; send the picture itself, as base64")
        stays_below(name, where)
        root = Path(self._image_root).resolve()
        path = (root / name).resolve()  # a link could lead out of the root
        if not path.is_relative_to(root) or not path.is_file():
            raise DataError(where, f"no picture {name} in the folder that requests may read")
        with path.open("rb") as stream:
            return stream.read(MAX_PICTURE_BYTES + 1)


class _Sent:
    """The pictures of a request by their digests (`cloze.model.features.PictureSource`)."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def read(self, name: str) -> bytes:
        return self.contents[name]

    def decode(self, name: str, content: bytes) -> Image.Image:
        return to_rgb(content)

    def size(self, name: str) -> tuple[int, int]:
        """Height and width in pixels."""
        picture = to_rgb(self.contents[name])
        return picture.height, picture.width


def example_request(sequences: Path, cache: Path) -> dict[str, list[str]]:
    """A request like those that an adapter was trained to answer: the first sequence, its pictures made small."""
    table = read_table(sequences, "sequences")
    row = next(row for row in table.to_pylist() if all(panel["image"] for panel in row["context"]))
    images = open_images(images_uri(table), cache)
    return {
        "images": [_small(images.load(panel["image"])) for panel in row["context"]],
        "texts": [panel["text"] for panel in row["context"]],
    }


def _small(picture: Any) -> str:
    picture.thumbnail((_EXAMPLE_SIDE, _EXAMPLE_SIDE))
    written = BytesIO()
    picture.save(written, "JPEG", quality=80)
    return base64.b64encode(written.getvalue()).decode()


def _decode(word: str, where: str) -> bytes:
    if len(word) > MAX_PICTURE_BYTES * 4 // 3 + 4:
        raise DataError(where, f"the picture is too large; {MAX_PICTURE_BYTES >> 20} MiB are allowed")
    try:
        return base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError) as error:
        expected = f"base64 of a JPEG or PNG, or a path that ends in {', '.join(SUFFIXES)}"
        raise DataError(where, f"not {expected} ({error})") from error
