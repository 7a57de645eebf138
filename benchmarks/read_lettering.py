"""Claim: joining lines to balloons takes the character error rate on real panels from 22 % to 11 %, at a second each.

    python -m benchmarks.read_lettering                  # real panels with transcripts, then 100 drawn ones
    python -m benchmarks.read_lettering --panels yes     # each panel, the worst first

The error rate of a panel is the edit distance between what was read and the transcript, over the transcript's length,
both in upper case with white space collapsed. `before` is the reader's lines in the reader's order. Transcripts of real
panels leave sound effects out and have an order of their own now and then, so not every error is a reader's; `words`
does not look at the order: it is the share of the transcript's words that were read.
The real panels lie at CLOZE_TEST_DATA (../shared/data); without them only the drawn ones are read.
"""

import argparse
import csv
import os
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from nltk import edit_distance

from cloze.labels.balloons import Balloon, Line, join_lines
from cloze.labels.local_reader import Engine
from cloze.sample.world import sample_folder, story_panels

MIN_CONFIDENCE = 0.7  # the default of `ocr`
PEPPER, SINGLES = 5000, 9000  # books from the one up to the other are Pepper&Carrot
N_DRAWN, SEED = 100, 42


class Read(NamedTuple):
    """One panel: its text before and after lines are joined, and its balloons."""

    before: str
    after: str
    balloons: list[Balloon]


def normalised(text: str) -> str:
    """Upper case, white space collapsed."""
    return " ".join(text.upper().split())


def error_rate(read: str, truth: str) -> float:
    """Edit distance over the length of the truth, which must not be blank."""
    return edit_distance(normalised(read), normalised(truth)) / len(normalised(truth))


def transcripts(comics: Path) -> dict[str, str]:
    """Text by panel_id of the real panels that have a transcript."""
    with (comics / "clean_text.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {f"{row['comic_no']}/{row['page_no']}_{row['panel_no']}": row["text"] for row in rows}


def read(engine: Engine, content: bytes) -> Read:
    """What the reader makes of a picture."""
    found = engine.read(content)
    lines: Sequence[Line] = [line for line in found.lines if line.confidence >= MIN_CONFIDENCE]
    balloons = join_lines(lines, found.size)
    return Read(" ".join(line.text for line in lines), " ".join(balloon.text for balloon in balloons), balloons)


def words_found(read: str, truth: str) -> float:
    """Share of the truth's words that were read, wherever."""
    wanted, found = (Counter(re.findall(r"[\w']+", text.upper())) for text in (truth, read))
    return (wanted & found).total() / wanted.total() if wanted else 1.0


def show(name: str, readings: Mapping[str, Read], truth: Mapping[str, str]) -> None:
    """Print one group's figures, of the panels it shares with the truth."""
    ids = [panel_id for panel_id in readings if panel_id in truth]
    lengths = [len(normalised(truth[panel_id])) for panel_id in ids]
    print(f"{name}, {len(ids)} panels, {sum(lengths)} characters")
    for which in ("before", "after"):
        texts = [getattr(readings[panel_id], which) for panel_id in ids]
        rates = [error_rate(text, truth[panel_id]) for text, panel_id in zip(texts, ids, strict=True)]
        total = sum(rate * length for rate, length in zip(rates, lengths, strict=True)) / sum(lengths)
        words = mean(words_found(text, truth[panel_id]) for text, panel_id in zip(texts, ids, strict=True))
        print(f"  {which:6}  median {median(rates):.3f}  mean {mean(rates):.3f}  total {total:.3f}  words {words:.3f}")


def drawn_panels(cache: Path) -> tuple[dict[str, bytes], dict[str, str], dict[str, dict[str, str]]]:
    """Pictures of some story panels of the sample, their text, and the kind of each of their boxes by its text."""
    folder = sample_folder(cache, SEED) / "raw_panel_images"
    panels = story_panels(SEED)
    ids = [panel_id for panel_id in sorted(panels) if (folder / f"{panel_id}.jpg").is_file()]
    chosen = random.Random(SEED).sample(ids, N_DRAWN)  # noqa: S311
    kinds = {
        panel_id: {b.text: "dialogue" if b.kind == "balloon" else "narration" for b in panels[panel_id].bubbles}
        for panel_id in chosen
    }
    texts = {panel_id: " ".join(bubble.text for bubble in panels[panel_id].bubbles) for panel_id in chosen}
    return {panel_id: (folder / f"{panel_id}.jpg").read_bytes() for panel_id in chosen}, texts, kinds


def show_kinds(readings: Mapping[str, Read], kinds: Mapping[str, Mapping[str, str]]) -> None:
    """Print how often the kind of a box is right, for boxes whose text was read well enough to know which they are."""
    pairs = []
    for panel_id, reading in readings.items():
        for balloon in reading.balloons:
            text = min(kinds[panel_id], key=lambda text: error_rate(balloon.text, text), default="")
            if text and error_rate(balloon.text, text) < 0.4:
                pairs.append((balloon.kind, kinds[panel_id][text]))
    right = sum(told == true for told, true in pairs) / len(pairs)
    commonest = Counter(true for _, true in pairs).most_common(1)[0][1] / len(pairs)
    print(f"  kinds   right {right:.3f} of {len(pairs)} boxes, against {commonest:.3f} by always saying the commonest")


def timed(engine: Engine, pictures: Mapping[str, bytes]) -> dict[str, Read]:
    """Read all; print what that took."""
    engine.read(next(iter(pictures.values())))  # loads the models
    started, cpu = time.monotonic(), time.process_time()
    readings = {panel_id: read(engine, content) for panel_id, content in pictures.items()}
    wall, cpu = time.monotonic() - started, time.process_time() - cpu
    n = len(pictures)
    print(f"read {n} panels, each in {wall / n:.2f} s and {cpu / n:.2f} CPU-seconds")
    return readings


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--panels", choices=("no", "yes"), default="no", help="print each panel")
    arguments = parser.parse_args()
    engine = Engine()
    comics = Path(os.environ.get("CLOZE_TEST_DATA", "../shared/data")) / "real_comics"
    if comics.is_dir():
        truth = transcripts(comics)
        readings = timed(engine, {name: (comics / "images" / f"{name}.jpg").read_bytes() for name in truth})
        book = {name: int(name.split("/")[0]) for name in readings}
        show("all real panels", readings, truth)
        show("Golden Age", {n: r for n, r in readings.items() if not PEPPER <= book[n] < SINGLES}, truth)
        show("Pepper&Carrot", {n: r for n, r in readings.items() if PEPPER <= book[n] < SINGLES}, truth)
        if arguments.panels == "yes":
            for rate, name in sorted(((error_rate(r.after, truth[n]), n) for n, r in readings.items()), reverse=True):
                print(f"{rate:.3f} {name}\n  {normalised(truth[name])}\n  {normalised(readings[name].after)}")
    with tempfile.TemporaryDirectory() as cache:
        pictures, texts, kinds = drawn_panels(Path(cache))
        drawn = timed(engine, pictures)
        show("drawn panels", drawn, {name: text for name, text in texts.items() if text})
        show_kinds(drawn, kinds)


if __name__ == "__main__":
    main()
