"""A dry run of as many sequences as the original study labelled: time, memory, and what it would cost by model.

The sequences are generated; their pictures are links to one small picture, so that the preflight has as many files to
look at as the real thing. The original study reported about 30 USD.
"""

import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from cloze.labels.cost import PRICES, RESOLUTIONS, picture_tokens, price_of
from cloze.labels.cost import text_tokens as text_tokens_of
from cloze.labels.labelling import LabelSettings, label
from cloze.labels.model_reader import OUTPUT_TOKENS as READING_TOKENS
from cloze.labels.prompts import READING
from cloze.stage import Workspace
from cloze.tables import SEQUENCES, with_images, write_table

N_SEQUENCES = 249_576
N_PANELS = 420_000
CONTEXT = 5
PER_BOOK = 300  # sequences of one book
SIDES = (384, 300)
MEAN_LETTERS = 100


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        _write_sequences(folder)
        print(f"generated {N_SEQUENCES:,} sequences in {time.perf_counter() - started:.0f} s")
        text_tokens, n_out = _dry_run(folder)
    _print_prices(f"{N_SEQUENCES:,} `pred` labels", CONTEXT * N_SEQUENCES, text_tokens, n_out)
    # The original study read so many panels, for 717 million tokens in all.
    words = N_PANELS * text_tokens_of(len(READING))
    _print_prices(f"the lettering of {N_PANELS:,} panels", N_PANELS, words, N_PANELS * READING_TOKENS)


def _write_sequences(folder: Path) -> None:
    """Stride-1 windows over stories, one story a book, in the table's own form."""
    n_books = -(-N_SEQUENCES // PER_BOOK)
    n_panels = PER_BOOK + CONTEXT
    random = np.random.default_rng(0)
    letters = random.integers(ord("A"), ord("Z") + 1, n_books * n_panels + 4 * MEAN_LETTERS, dtype=np.uint8).tobytes()
    lengths = random.poisson(MEAN_LETTERS, n_books * n_panels)
    texts = [letters[i : i + n].decode() for i, n in enumerate(lengths)]
    names = [f"{book}/{panel // 6 + 1}_{panel % 6}" for book in range(n_books) for panel in range(n_panels)]
    panels = pa.table({"panel_id": names, "image": [f"{name}.jpg" for name in names], "text": texts})
    _link_pictures(folder / "comics", panels["image"].to_pylist(), n_books)
    first = (np.arange(n_books)[:, None] * n_panels + np.arange(PER_BOOK)).ravel()[:N_SEQUENCES]
    struct = panels.to_struct_array().combine_chunks()
    windows = struct.take(pa.array((first[:, None] + np.arange(CONTEXT)).ravel()))
    target = struct.take(pa.array(first + CONTEXT))
    columns = {
        "sequence_id": pc.struct_field(target, "panel_id"),
        "book": pa.array(first // n_panels, pa.int32()),
        "story": pa.array(np.zeros_like(first), pa.int32()),
        "group": pa.array(first // n_panels, pa.int32()),
        "split": pa.array(["train"] * len(first)),
        "context": pa.ListArray.from_arrays(pa.array(np.arange(len(first) + 1) * CONTEXT, pa.int32()), windows),
        "target": target,
    }
    table = pa.table(columns).cast(SEQUENCES)
    write_table(with_images(table, str(folder / "comics")), folder / "sequences.parquet")


def _link_pictures(root: Path, names: list[str], n_books: int) -> None:
    for book in range(n_books):
        (root / str(book)).mkdir(parents=True)
    Image.new("RGB", SIDES, "grey").save(root / "one.jpg")
    for name in names:
        if name.partition("/")[2] == "1_0.jpg":
            Image.new("RGB", SIDES, "grey").save(root / name)  # a file has a limited number of links
            first = root / name
        else:
            os.link(first, root / name)


def _dry_run(folder: Path) -> tuple[float, float]:
    """Print what it took; the tokens of all words, and those of all answers."""
    out = folder / "out"
    out.mkdir()
    settings = LabelSettings(sequences=str(folder / "sequences.parquet"), labeller="gemini-batch", dry_run=True)
    started = time.perf_counter()
    metrics = label(settings, Workspace(out, folder / "cache", lambda metrics, step: None, folder / "state"))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    stages = ", ".join(
        f"{name.removeprefix('seconds/')} {metrics[name]:.0f} s" for name in metrics if "seconds" in name
    )
    size = (out / "requests.jsonl.gz").stat().st_size / 1e6
    print(f"dry run in {seconds:.0f} s ({stages}, the rest writes {size:.0f} MB of requests), peak {peak:.2f} GiB")
    pictures = CONTEXT * picture_tokens(settings.model_name, settings.resolution, *SIDES) * N_SEQUENCES
    return metrics["estimate/input_tokens"] - pictures, metrics["estimate/output_tokens"]


def _print_prices(what: str, n_pictures: int, text_tokens: float, n_out: float) -> None:
    print(f"USD for {what} by the Batch API, pictures of {SIDES[0]} x {SIDES[1]} px:")
    print(f"  {'':24}" + "".join(f"{resolution:>10}" for resolution in RESOLUTIONS))
    for model in PRICES:
        price = price_of(model, "", batch=True)
        tokens = [n_pictures * picture_tokens(model, resolution, *SIDES) for resolution in RESOLUTIONS]
        print(f"  {model:24}" + "".join(f"{price.usd(text_tokens + n, n_out):>10.2f}" for n in tokens))


if __name__ == "__main__":
    main()
