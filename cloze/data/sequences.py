"""From panels to the table `sequences`: leave out covers and advertisements, find stories, cut windows, split books."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cloze.data.adverts import ad_panels
from cloze.data.folds import official_split
from cloze.data.patterns import capitals
from cloze.data.reprints import reprint_groups
from cloze.data.runs import pages_of, run_lengths, run_starts, spread
from cloze.data.splits import SPLITS, parse_shares, split_books_v1, split_groups
from cloze.data.stories import story_numbers
from cloze.errors import DataError, SettingsError
from cloze.settings import setting, table_input
from cloze.stage import Workspace
from cloze.tables import SEQUENCES, images_uri, read_table, with_images, write_table

RULES = ("v2", "v1")
FOLDS = ("ours", "official")
_CHUNK = 1 << 16  # sequences built at once


@dataclass(frozen=True, kw_only=True)
class SequenceSettings:
    """What a user may set when cutting panels into stories and these into sequences."""

    panels: str = table_input("Table of panels.", made_by="ingest", artifact="panels.parquet")
    context: int = setting("Panels shown before the target panel.", default=5)
    min_story: int = setting("Panels that a story must have.", default=10)
    split: str = setting("Shares of books for train, val and test.", default="0.70,0.15,0.15")
    seed: int = setting("Seed of the split.", default=42)
    folds: str = setting("ours: split by share. official: COMICS's published folds.", default="ours", choices=FOLDS)
    rules: str = setting("How to clean: v2, or v1 as the original study did.", default="v2", choices=RULES)

    def __post_init__(self) -> None:
        for name in ("context", "min_story"):
            if getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "1 or more")
        for name, words in (("folds", FOLDS), ("rules", RULES)):
            if getattr(self, name) not in words:
                raise SettingsError(name, getattr(self, name), f"one of {', '.join(words)}")
        try:
            parse_shares(self.split)
        except ValueError:
            raise SettingsError("split", self.split, "three shares that add up to 1, such as 0.70,0.15,0.15") from None


def build_sequences(settings: SequenceSettings, workspace: Workspace) -> dict[str, float]:
    """Cut panels into `sequences.parquet`, sorted by target panel; none crosses the boundary of a story.

    Raises:
        DataError: no panels table, a panel is there twice, or no sequence is left.
    """
    source = Path(settings.panels)
    panels = read_panels(source)
    stories, counts = find_stories(panels, settings.rules, settings.min_story)
    targets, n_windows = windows(stories.starts, stories.has_image, settings.context)
    counts |= {"windows": n_windows, "windows_without_picture": n_windows - len(targets), "sequences": len(targets)}
    if not len(targets):
        raise DataError(source, _why_none(counts), "see docs/cleaning.md; min_story and context can be smaller")
    with ThreadPoolExecutor(1) as beside:  # Arrow and DuckDB let go of the interpreter
        groups = beside.submit(_groups, settings, panels, stories, workspace.cache)
        cut = _cut(panels, stories, targets, settings.context)
    book = cut["book"].to_numpy()
    group = groups.result()[targets]
    split = _splits(settings, book, group)
    columns = {name: cut[name] for name in cut.column_names} | {"group": pa.array(group), "split": pa.array(split)}
    sequences = pa.table([columns[name] for name in SEQUENCES.names], schema=SEQUENCES)
    write_table(with_images(sequences, images_uri(panels)), workspace.out / "sequences.parquet")
    n_books = len(np.unique(panels["book"].to_numpy()))
    return counts | _split_counts(n_books, book, group, split)


def read_panels(path: Path) -> pa.Table:
    """Panels in the order of book, page and panel, without their bubbles.

    Raises:
        DataError: not a panels table, or the same panel twice.
    """
    columns = ["panel_id", "book", "page", "panel", "image", "text", "is_cover", "is_ad"]
    panels = read_table(path, "panels", columns)
    panels = panels.sort_by([(name, "ascending") for name in ("book", "page", "panel")]).combine_chunks()
    starts = run_starts(*(panels[name].to_numpy() for name in ("book", "page", "panel")))
    twice = starts[run_lengths(starts, panels.num_rows) > 1]
    if len(twice):
        raise DataError(path, f"panel {panels['panel_id'][int(twice[0])]} is there twice", "leave one of them out")
    return panels


class Stories(NamedTuple):
    """The panels of all stories that are long enough.

    Attributes:
        rows: (n,) their rows in the table of panels.
        numbers: (n,) int32, each one's story in its book; counted before short stories went, so some are missing.
        starts: (n,) position, among these, of the first panel of each one's story.
        has_image: (n,) whether its picture can be used.
    """

    rows: np.ndarray
    numbers: np.ndarray
    starts: np.ndarray
    has_image: np.ndarray


def find_stories(panels: pa.Table, rules: str, min_story: int) -> tuple[Stories, dict[str, float]]:
    """Leave out covers, advertisements and short stories, and count what went."""
    is_cover = panels["is_cover"].to_numpy()
    inside = np.flatnonzero(~is_cover)
    book, page, on_ad_page = (panels[name].to_numpy()[inside] for name in ("book", "page", "is_ad"))
    texts = panels["text"].combine_chunks().take(pa.array(inside))
    spoken = capitals(texts)
    is_ad = ad_panels(rules, spoken, on_ad_page, pages_of(book, page))
    left = np.flatnonzero(~is_ad)
    pages = pages_of(book[left], page[left])
    page_story = story_numbers(rules, pages, texts.take(pa.array(left)), spoken.take(pa.array(left)))
    story = spread(page_story, pages.starts, len(left))
    starts = run_starts(book[left], story)
    lengths = run_lengths(starts, len(left))
    is_long = lengths >= min_story
    kept = spread(is_long, starts, len(left))
    counts = {
        "panels": panels.num_rows,
        "covers_dropped": is_cover.sum(),
        "ad_panels_dropped": is_ad.sum(),
        "stories": len(starts),
        "short_stories_dropped": (~is_long).sum(),
        "short_story_panels_dropped": (~kept).sum(),
        "panels_kept": kept.sum(),
    }
    rows = inside[left[kept]]
    has_image = panels["image"].is_valid().to_numpy()[rows]
    kept_lengths = lengths[is_long]
    first = np.repeat(np.cumsum(kept_lengths) - kept_lengths, kept_lengths)
    return Stories(rows, story[kept], first, has_image), {name: float(n) for name, n in counts.items()}


def windows(starts: np.ndarray, has_image: np.ndarray, context: int) -> tuple[np.ndarray, int]:
    """Targets of all windows of `context` + 1 panels inside one story whose pictures are all there.

    Args:
        starts: (n,) position of the first panel of each panel's story.
        has_image: (n,) whether a panel has a picture.
        context: panels before the target.

    Returns:
        Positions of the targets, ascending, and how many windows there are with or without pictures.
    """
    position = np.arange(len(starts))
    inside = position - starts >= context
    pictures = np.append(0, np.cumsum(has_image))
    complete = np.zeros(len(starts), bool)
    complete[context:] = pictures[context + 1 :] - pictures[: -context - 1] == context + 1
    return np.flatnonzero(inside & complete), int(inside.sum())


def _groups(settings: SequenceSettings, panels: pa.Table, stories: Stories, scratch: Path) -> np.ndarray:
    """(n,) the group of each panel's book, in the order of `stories`."""
    if settings.rules == "v1":
        return panels["book"].to_numpy()[stories.rows]
    kept = panels.select(["book", "text"]).take(pa.array(stories.rows))
    groups = reprint_groups(kept, scratch)
    return np.array([groups[book] for book in kept["book"].to_pylist()], np.int32)


def _splits(settings: SequenceSettings, book: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(n,) the split of each sequence."""
    if settings.folds == "official":
        return official_split(book)
    shares = parse_shares(settings.split)
    deal = split_books_v1 if settings.rules == "v1" else split_groups
    side = deal(np.unique(group).tolist(), shares, settings.seed)
    return np.array([side[g] for g in group.tolist()])


def _cut(panels: pa.Table, stories: Stories, targets: np.ndarray, context: int) -> pa.Table:
    """Sequences but for group and split, a chunk of rows at a time: a text stands in them six times, and Arrow holds
    2 GiB of text at most."""
    fields = [panels[name].combine_chunks() for name in ("panel_id", "image", "text")]
    panel = pa.StructArray.from_arrays(fields, fields=list(SEQUENCES.field("target").type))
    schema = pa.schema([field for field in SEQUENCES if field.name not in ("group", "split")])
    book = panels["book"].to_numpy()
    chunks = []
    for start in range(0, len(targets), _CHUNK):
        positions = targets[start : start + _CHUNK]
        rows = stories.rows[positions]
        before = stories.rows[positions[:, None] + np.arange(-context, 0)]
        ends = pa.array(np.arange(len(rows) + 1) * context, pa.int32())
        shown = panel.take(pa.array(before.ravel()))
        target = panel.take(pa.array(rows))
        columns = [target.field("panel_id"), pa.array(book[rows]), pa.array(stories.numbers[positions])]
        context_column = pa.ListArray.from_arrays(ends, shown, type=SEQUENCES.field("context").type)
        chunks.append(pa.RecordBatch.from_arrays([*columns, context_column, target], schema=schema))
    return pa.Table.from_batches(chunks)


def _split_counts(n_books: int, book: np.ndarray, group: np.ndarray, split: np.ndarray) -> dict[str, float]:
    sides = len(set(zip(group.tolist(), split.tolist(), strict=True)))
    counts: dict[str, float] = {"books": len(np.unique(book)), "groups": len(np.unique(group))}
    counts |= {"books_without_sequence": n_books - counts["books"], "groups_across_splits": sides - counts["groups"]}
    for name in SPLITS:
        counts[f"sequences_{name}"] = float((split == name).sum())
        counts[f"books_{name}"] = float(len(np.unique(book[split == name])))
    return counts


def _why_none(counts: dict[str, float]) -> str:
    return (
        f"no sequence is left of {counts['panels']:,.0f} panels: {counts['covers_dropped']:,.0f} are of covers, "
        f"{counts['ad_panels_dropped']:,.0f} of advertisements, {counts['short_story_panels_dropped']:,.0f} of "
        f"{counts['short_stories_dropped']:,.0f} stories that are too short (of {counts['stories']:,.0f}); "
        f"of {counts['windows']:,.0f} windows, {counts['windows_without_picture']:,.0f} lack a picture"
    )
