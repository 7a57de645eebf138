"""Drawn panels judged: how near each comes to the true panel, beside floors, and whether it is panel 5 again."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from cloze.rendering.similarity import SIMILARITIES, Similarity
from cloze.scoring.floors import of_another_group
from cloze.scoring.intervals import effective_clusters, percentile_interval, resampled_means
from cloze.scoring.results import Column, summary

TRUE_PANEL = "panel6"  # what all is compared with
FLOORS = ("panel5", "foreign", "foreign_drawing", "base")
COPY = "copy"  # how alike a drawing's edges are to panel 5's
# A jittered copy of a panel is above in all of 169 pairs, the panel after it in 4 of 100 (docs/rendering.md).
NEAR_COPY = 0.7

logger = logging.getLogger(__name__)

Pictures = Sequence[Image.Image | None]
Columns = dict[Column, np.ndarray]


def judge(
    drawings: Pictures,
    truths: Pictures,
    panels5: Pictures,
    ids: Sequence[str],
    groups: np.ndarray,
    seed: int,
    base: Pictures | None = None,
    encoder: Similarity | None = None,
) -> Columns:
    """Similarities to the true panel, of each drawing and of what else might stand in its place.

    The floors are panel 5 itself, the true panel of another book (`foreign`), the drawing for another book
    (`foreign_drawing`: right in style, wrong in content) and what the base draws without LoRA. None stands for a
    picture that is not there.

    Args:
        groups: (n,) the book of each sequence, or its group of reprints.
        seed: decides the draw of other books, with the set of sequences and not by their order.
        base: drawings of the same prompts and seeds without LoRA.
        encoder: compared as `encoder`; without it there is none.

    Returns:
        By floor (empty for the drawing) and measure (n,) values, NaN where unknown; and `copy`, to panel 5.
    """
    picks = of_another_group(groups, ids, [i for i, truth in enumerate(truths) if truth], seed)
    drawn_picks = of_another_group(groups, ids, [i for i, drawing in enumerate(drawings) if drawing], seed)
    columns: Columns = {}
    for name, measure in {**SIMILARITIES, **({"encoder": encoder} if encoder else {})}.items():
        drawn, true, before, plain = (
            [measure.view(picture) if picture else None for picture in pictures or [None] * len(ids)]
            for pictures in (drawings, truths, panels5, base)
        )
        instead = {
            "": drawn,
            "panel5": before,
            "foreign": [None if pick is None else true[pick] for pick in picks],
            "foreign_drawing": [None if pick is None else drawn[pick] for pick in drawn_picks],
            "base": plain,
        }
        known = [view is not None for view in drawn]  # floors are of the same sequences
        for floor, views in instead.items():
            shown = [view if is_known else None for view, is_known in zip(views, known, strict=True)]
            columns[Column(floor, TRUE_PANEL, name)] = _compared(measure, shown, true)
        if name == "edges":
            columns[Column("", "panel5", COPY)] = _compared(measure, drawn, before)
            columns[Column("panel6", "panel5", COPY)] = _compared(measure, true, before)
    return {column: values for column, values in columns.items() if not np.isnan(values).all()}


def metrics_of_rows(columns: Columns) -> list[list[dict[str, Any]]]:
    """By sequence its `metrics` in the table of renders: `palette`, `floor/panel5/palette`, ..., known ones only."""
    names = {column: f"floor/{column.floor}/{column.metric}" if column.floor else column.metric for column in columns}
    n = len(next(iter(columns.values()), ()))
    return [
        [{"metric": names[c], "score": float(values[i])} for c, values in columns.items() if not np.isnan(values[i])]
        for i in range(n)
    ]


def judged_summary(columns: Columns, groups: np.ndarray, resamples: int, seed: int) -> dict[str, float]:
    """Means, floors, lifts and intervals; how often drawings are nearer than each floor; and copies of panel 5.

    `closer/{floor}/panel6/{measure}` is the share of sequences in which the drawing is more like the true panel than
    the floor is, a tie counting half: 0.5 is chance.
    """
    near = {column: values for column, values in columns.items() if column.reference == TRUE_PANEL}
    found = summary(near, groups, resamples, seed, FLOORS, ()) if near else {}
    for column, values in near.items():
        if column.floor:
            own = near[column._replace(floor="")]
            wins = np.where(np.isnan(own + values), np.nan, (own > values) + 0.5 * (own == values))
            found |= _share(f"closer/{column.floor}/{TRUE_PANEL}/{column.metric}", wins, groups, resamples, seed)
    for name, column in (("drawings", Column("", "panel5", COPY)), ("panels6", Column("panel6", "panel5", COPY))):
        if column in columns:
            found[f"near_copies_{name}"] = float((columns[column] >= NEAR_COPY).sum())
    return found


def warn_of_copies(columns: Columns, ids: Sequence[str]) -> None:
    """Name the drawings that are panel 5 again."""
    values = columns.get(Column("", "panel5", COPY), np.empty(0))
    copies = [key for key, value in zip(ids, values, strict=False) if value >= NEAR_COPY]
    if copies:
        logger.warning("%d drawings are nearly panel 5 again: %s", len(copies), ", ".join(copies[:10]))


def _compared(
    measure: Similarity, ones: Sequence[np.ndarray | None], others: Sequence[np.ndarray | None]
) -> np.ndarray:
    """(n,) similarities, pair by pair; NaN where either is missing."""
    pairs = zip(ones, others, strict=True)
    return np.array([np.nan if a is None or b is None else measure.compare(a, b) for a, b in pairs])


def _share(name: str, wins: np.ndarray, groups: np.ndarray, resamples: int, seed: int) -> Mapping[str, float]:
    column = wins[:, None]
    means = resampled_means(column, groups, resamples, seed)[:, 0]
    interval = percentile_interval(means, float(effective_clusters(column, groups)[0]))
    ends = {f"ci_low/{name}": interval.low, f"ci_high/{name}": interval.high}
    return {name: float(np.nanmean(wins))} | {key: end for key, end in ends.items() if not np.isnan(end)}
