"""The drawn comic world as a whole: its URI, its ground truth, and the folder that it is drawn into."""

import hashlib
import importlib.metadata
import logging
import tempfile
from pathlib import Path

from cloze.errors import DataError
from cloze.locks import locked
from cloze.sample import vocabulary as words
from cloze.sample.books import make_books
from cloze.sample.grammar import Panel, facts

logger = logging.getLogger(__name__)

SCHEME = "sample"


def world_digest() -> str:
    """Twelve hex digits that change whenever what makes the world does: the sources in this folder, or Pillow."""
    digest = hashlib.sha256(importlib.metadata.version("pillow").encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(f"{source.name}\0".encode() + source.read_bytes())
    return digest.hexdigest()[:12]


def sample_uri(seed: int) -> str:
    """URI of the image root of the world drawn from this seed by this code."""
    return f"{SCHEME}:{seed}:{world_digest()}"


def sample_seed(uri: str, where: Path | str) -> int:
    """The seed in a sample URI.

    Args:
        uri: as `sample_uri` writes it.
        where: the file that holds it, for the error.

    Raises:
        DataError: not the URI of a sample, or of one that other code drew.
    """
    scheme, _, rest = uri.partition(":")
    seed, _, digest = rest.partition(":")
    if scheme != SCHEME or not seed.isdecimal():
        raise DataError(where, f"its pictures lie in {uri or 'no known folder'}, which is not the drawn sample")
    if digest != world_digest():
        raise DataError(
            where,
            f"made from another version of the drawn sample ({digest}, now {world_digest()})",
            "run `mlflow run . -e ingest -P comics=sample` and what follows again",
        )
    return int(seed)


def story_panels(seed: int) -> dict[str, Panel]:
    """Ground truth of every story panel by panel_id, told anew from the seed; nothing is drawn."""
    return {panel_id: panel for book in make_books(seed) for panel_id, panel in book.panels()}


def fact_rows(panels: dict[str, Panel]) -> list[dict[str, str]]:
    """Rows of the `facts` table."""
    return [
        {"panel_id": panel_id, "fact": fact, "value": value, "seen_in": words.SEEN_IN[fact]}
        for panel_id, panel in panels.items()
        for fact, value in facts(panel).items()
    ]


def sample_folder(cache: Path, seed: int) -> Path:
    """The folder of the world drawn from this seed by this code, drawn into the cache when absent (half a minute).

    A second process that wants it waits for the first.
    """
    folder = cache / f"sample-{seed}-{world_digest()}"
    if folder.is_dir():
        return folder
    with locked(cache / f".{folder.name}.lock", "the drawing of the sample", wait=True):
        if not folder.is_dir():
            from cloze.sample.files import draw_world

            logger.info("drawing the sample into %s", folder)
            with tempfile.TemporaryDirectory(prefix=".sample-", dir=cache) as scratch:
                draw_world(Path(scratch) / "world", seed)
                (Path(scratch) / "world").rename(folder)
    return folder
