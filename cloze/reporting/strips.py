"""Strips: sequences to look at, each with what every condition wrote about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cloze.reporting.cells import PARADIGMS, titles
from cloze.reporting.evidence import Evidence, read_known_facts, read_labels
from cloze.reporting.pictures import Gallery, Gap, Thumbnail
from cloze.scoring.facts import Fact, is_recalled

KINDS = {
    "best": "The predictions came closest",
    "worst": "The predictions missed most",
    "apart": "The conditions differ most",
    "other": "From the other books",
}
RANKINGS = {
    ("facts", "recall"): "recall of the facts of panel 6",
    ("descp", "rougeL"): "ROUGE-L against the descp label",
    ("pred", "rougeL"): "ROUGE-L against the pred label",
    ("lettering", "rougeL"): "ROUGE-L against the lettering",
}


@dataclass(frozen=True)
class Panel:
    """A panel as it is shown."""

    panel_id: str
    picture: Thumbnail | Gap
    text: str


@dataclass(frozen=True)
class Drawn:
    """The panels that one run drew: names by sequence_id, and where their pictures come from."""

    names: Mapping[str, str]
    gallery: Gallery


@dataclass(frozen=True)
class Answer:
    """A text that one or more conditions wrote, which facts of the target it names, and the panel drawn from it."""

    titles: list[str]
    text: str
    is_cut: bool
    recalled: list[Fact]
    drawn: Thumbnail | Gap | None


@dataclass(frozen=True)
class Strip:
    """A sequence with everything there is to say about it.

    Attributes:
        kind: why it was chosen, one of KINDS.
        scores: the ranking score of each condition by its title; None where unknown.
        labels: by paradigm the label, or why there is none.
    """

    sequence_id: str
    book: int
    kind: str
    scores: dict[str, float | None]
    context: list[Panel]
    target: Panel
    answers: list[Answer]
    labels: dict[str, str]
    facts: list[Fact]

    @property
    def rank(self) -> float | None:
        """Mean of the ranking score over the conditions; None where unknown."""
        known = [score for score in self.scores.values() if score is not None]
        return sum(known) / len(known) if known else None


def ranks(evidence: Sequence[Evidence]) -> tuple[str, pd.DataFrame]:
    """Scores by sequence (rows) and cell (columns) in the first of RANKINGS that all cells have.

    Only sequences that all cells predicted are ranked.
    """
    for (reference, metric), name in RANKINGS.items():
        columns = [item.scores_of(reference, metric) for item in evidence]
        if all(column.notna().any() for column in columns):
            return name, pd.concat(columns, axis=1, join="inner", keys=range(len(columns))).sort_index()
    shared = set.intersection(*(set(item.predictions.index) for item in evidence))
    return "", pd.DataFrame(np.nan, index=sorted(shared), columns=range(len(evidence)))


def choose(ranked: pd.DataFrame, groups: Mapping[str, int], count: int) -> dict[str, str]:
    """Ids of up to `count` sequences and why each was chosen: best, worst, apart, and others from new books.

    Every kind takes from as many books as it can. Without scores all are `other`. Ties go by id, so the choice is
    the same for the same scores.
    """
    known = ranked.dropna(how="all")
    means, spread = known.mean(axis=1), known.max(axis=1) - known.min(axis=1)
    orders = {
        "best": means.sort_values(ascending=False, kind="stable"),
        "worst": means.sort_values(kind="stable"),
        "apart": spread[spread > 0].sort_values(ascending=False, kind="stable"),
    }
    chosen: dict[str, str] = {}
    for kind, order in orders.items():
        chosen |= _take(kind, [str(key) for key in order.index], groups, count // 4, chosen, set())
    used = {groups[key] for key in chosen}
    return chosen | _take("other", [str(key) for key in ranked.index], groups, count - len(chosen), chosen, used)


def make_strips(
    evidence: Sequence[Evidence],
    gallery: Gallery,
    rows: Mapping[str, Any],
    chosen: Mapping[str, str],
    ranked: pd.DataFrame,
    drawn: Mapping[str, Drawn],
) -> list[Strip]:
    """The strips of the chosen sequences, in the order of KINDS.

    Args:
        evidence: the cells whose answers are shown.
        gallery: where their pictures come from.
        rows: by sequence_id its row of the sequences table.
        chosen: by sequence_id one of KINDS.
        ranked: what they were chosen by; see `ranks`.
        drawn: by the path of a table of renders what it holds.
    """
    names = titles([item.cell for item in evidence])
    ids = sorted(chosen, key=lambda key: list(KINDS).index(chosen[key]))
    tables = {name: _first(evidence, name) for name in ("pred_labels", "descp_labels", "facts")}
    labels = {paradigm: read_labels(tables[f"{paradigm}_labels"], ids) for paradigm in PARADIGMS}
    facts = read_known_facts(tables["facts"])
    return [
        Strip(
            sequence_id=key,
            book=rows[key]["book"],
            kind=chosen[key],
            scores={name: _known(ranked.loc[key, column]) for column, name in enumerate(names)},
            context=[_panel(panel, gallery) for panel in rows[key]["context"]],
            target=_panel(rows[key]["target"], gallery),
            answers=_answers(key, evidence, facts.get(rows[key]["target"]["panel_id"], []), drawn),
            labels={p: _label(labels[p].get(key)) for p in PARADIGMS if tables[f"{p}_labels"]},
            facts=facts.get(rows[key]["target"]["panel_id"], []),
        )
        for key in ids
    ]


def _take(
    kind: str, order: Sequence[str], groups: Mapping[str, int], count: int, taken: Mapping[str, str], used: set[int]
) -> dict[str, str]:
    """The first of an order that are not taken: those of unused books first, then any."""
    chosen: dict[str, str] = {}
    used = set(used)
    for of_new_books in (True, False):
        for key in order:
            if len(chosen) < count and key not in taken and not (of_new_books and groups[key] in used):
                chosen[key] = kind
                used.add(groups[key])
    return chosen


def _answers(key: str, evidence: Sequence[Evidence], facts: Sequence[Fact], drawn: Mapping[str, Drawn]) -> list[Answer]:
    """What the conditions wrote; those that wrote the same share an answer, and the first panel drawn from it."""
    found: dict[str, list[tuple[str, str]]] = {}
    pictures: dict[str, Thumbnail | Gap] = {}
    for title, item in zip(titles([item.cell for item in evidence]), evidence, strict=True):
        if key in item.predictions.index:
            row = item.predictions.loc[key]
            text = str(row["prediction"])
            found.setdefault(text, []).append((title, str(row["finish_reason"])))
            renders = drawn.get(item.cell.tables.get("renders") or "")
            if renders and key in renders.names:
                pictures.setdefault(text, renders.gallery.show(renders.names[key]))
    return [
        Answer(
            titles=[title for title, _ in authors],
            text=text,
            is_cut=any(reason == "length" for _, reason in authors),
            recalled=[fact for fact in facts if is_recalled(fact, text)],
            drawn=pictures.get(text),
        )
        for text, authors in found.items()
    ]


def _panel(panel: Mapping[str, Any], gallery: Gallery) -> Panel:
    return Panel(panel["panel_id"], gallery.show(panel["image"]), panel["text"])


def _known(score: Any) -> float | None:
    return None if np.isnan(score) else float(score)


def _label(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "(no label)"
    return (
        str(row["text"])
        if row["state"] == "ok"
        else f"(no label: {row['state']} {row['reason'] or ''})".replace(" )", ")")
    )


def _first(evidence: Sequence[Evidence], name: str) -> str | None:
    return next((place for item in evidence if (place := item.cell.tables.get(name))), None)
