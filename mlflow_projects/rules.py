"""The rules of a policy, each judged by figures that are told whether it holds or not."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cloze.reporting.contrasts import RESAMPLES, SEED
from cloze.reporting.estimates import TEXT_METRICS, estimate
from cloze.reporting.evidence import Evidence
from cloze.scoring.comparisons import Paired, paired
from cloze.scoring.fingerprints import ADAPTER, disagreements
from mlflow_projects.policy import Champion, Contamination, Lift, Rules, Slices

_SHOWN = 5  # names in a list of what is wrong


@dataclass(frozen=True)
class Verdict:
    """What became of one rule.

    Attributes:
        holds: None where it could not, or need not, be judged.
        figures: what it was judged by.
    """

    rule: str
    holds: bool | None
    figures: str


@dataclass(frozen=True, eq=False)
class Candidate:
    """A version of a model with its evaluation.

    Attributes:
        uri: `models:/NAME/VERSION`.
        evidence: tables of its evaluation.
        books: those that it was trained on, with their groups of reprints; every group of its table of sequences.
    """

    uri: str
    evidence: Evidence
    books: "Books"

    @property
    def own(self) -> str:
        """The reference that it is judged by: labels of its own paradigm."""
        return self.evidence.cell.paradigm


@dataclass(frozen=True)
class Books:
    """Books that an adapter was trained on, and the group of reprints of every book that its sequences are of."""

    trained_on: frozenset[int]
    groups: Mapping[int, int]


Row = Mapping[str, Any]


def judge(rules: Rules, challenger: Candidate, champion: Candidate | None, rows: Mapping[str, Row]) -> list[Verdict]:
    """Judge a challenger by every rule that is asked for.

    Args:
        champion: None where the model has none yet.
        rows: of the sequences table, by id of the predicted sequences.
    """
    verdicts = []
    if rules.contamination:
        verdicts.append(_contamination(rules.contamination, challenger, champion, rows))
    if rules.lift:
        verdicts.append(_lift(rules.lift, challenger))
    if champion is None:
        absent = [name for name in ("champion", "slices") if getattr(rules, name)]
        return verdicts + [Verdict(name, None, "there is no champion yet") for name in absent]
    may_differ = ADAPTER | set(rules.champion.may_differ if rules.champion else ())
    found = disagreements(champion.evidence.fingerprint, challenger.evidence.fingerprint, may_differ)
    if found:
        fields = "; ".join(f"{each.field}: {each.one} (champion), {each.other}" for each in found)
        return [*verdicts, Verdict("comparable", False, f"{fields}. What may differ stands in may_differ")]
    if rules.champion:
        verdicts.append(_champion(rules.champion, challenger, champion))
    if rules.slices:
        verdicts += _slices(rules.slices, challenger, champion, rows)
    return verdicts


def contaminated(trained: Books, evaluated: Mapping[int, int]) -> set[int]:
    """Books of an evaluation that an adapter was trained on, or that share a group of reprints with one of those.

    Args:
        evaluated: group of each book of the evaluation. Groups of two tables of sequences have nothing in common, so
            books are joined by either.
    """
    known = set(trained.trained_on)
    for groups in (trained.groups, evaluated):
        touched = {groups[book] for book in known if book in groups}
        known |= {book for book, group in groups.items() if group in touched}
    return known & set(evaluated)


def difference(challenger: Candidate, champion: Candidate, metric: str, among: Sequence[str] | None = None) -> Paired:
    """Mean of challenger less champion against the challenger's own labels, paired by sequence, clustered by book."""
    return _paired(_differences(challenger, champion, metric), challenger.evidence.groups, among)


def _contamination(
    rule: Contamination, challenger: Candidate, champion: Candidate | None, rows: Mapping[str, Row]
) -> Verdict:
    evaluated = {int(row["book"]): int(row["group"]) for row in rows.values()}
    found = contaminated(challenger.books, evaluated)
    judged_by = f"{len(evaluated)} ({len(set(evaluated.values()))} but for reprints)"
    trained_on = len(challenger.books.trained_on)
    figures = f"trained on {trained_on} books, judged by {judged_by}; {_named(found)} in both"
    if champion and (theirs := contaminated(champion.books, evaluated)):
        figures += f"; the champion was trained on {_named(theirs)} of these, which can only have helped it"
    return Verdict("contamination", len(found) <= rule.books, f"{figures} ({rule.books} allowed)")


def _lift(rule: Lift, challenger: Candidate) -> Verdict:
    found = estimate(challenger.evidence.cell, challenger.own, rule.metric)
    name = f"{TEXT_METRICS[rule.metric]} against {challenger.own} labels"
    if found is None:
        return Verdict("lift", False, f"{name} was not measured: name {rule.metric} under eval.metrics")
    figures = (
        f"{name} {found.score:.3f}, best floor {found.floor:.3f} ({found.floor_name}), "
        f"lift {found.lift:+.4f} {_interval(found.lift_low, found.lift_high)}, {_wanted(rule.above)}"
    )
    return Verdict("lift", found.lift_low is not None and found.lift_low > rule.above, figures)


def _champion(rule: Champion, challenger: Candidate, champion: Candidate) -> Verdict:
    found = difference(challenger, champion, rule.metric)
    name = f"{TEXT_METRICS[rule.metric]} less the champion's"
    return Verdict("champion", found.low is not None and found.low > rule.above, f"{name}: {_told(found, rule.above)}")


def _slices(rule: Slices, challenger: Candidate, champion: Candidate, rows: Mapping[str, Row]) -> list[Verdict]:
    """One verdict for each way of slicing, with its worst slice."""
    values = _differences(challenger, champion, rule.metric)
    verdicts = []
    for by in rule.by:
        members: dict[str, list[str]] = defaultdict(list)
        for key in values.index:
            members[_SLICERS[by](rows[key])].append(key)
        sizable = {name: keys for name, keys in members.items() if len(keys) >= rule.sequences}
        small = sum(len(keys) for keys in members.values()) - sum(map(len, sizable.values()))
        beside = f"; {small} sequences in slices of fewer than {rule.sequences} were not judged" if small else ""
        if not sizable:
            verdicts.append(Verdict(f"slices by {by}", None, f"no slice to judge{beside}"))
            continue
        worst = min(sizable, key=lambda name: float(values[sizable[name]].mean()))
        found = _paired(values, challenger.evidence.groups, sizable[worst])
        holds = found.difference is not None and found.difference >= rule.worst
        figures = (
            f"worst of {len(sizable)} is {worst}: {found.difference:+.4f} {_interval(found.low, found.high)} "
            f"({found.n_sequences} sequences); allowed is {rule.worst:+g}{beside}"
        )
        verdicts.append(Verdict(f"slices by {by}", holds, figures))
    return verdicts


def _differences(challenger: Candidate, champion: Candidate, metric: str) -> pd.Series:
    """By sequence; empty where either was not scored by the metric."""
    ours, theirs = (item.evidence.scores_of(challenger.own, metric) for item in (challenger, champion))
    return (ours - theirs).dropna().sort_index()


def _paired(values: pd.Series, groups: Mapping[str, int], among: Sequence[str] | None) -> Paired:
    chosen = values if among is None else values[list(among)]
    if chosen.empty:
        return Paired(None, None, None, None, None, 0, 0)
    clusters = np.array([groups[key] for key in chosen.index])
    (found,) = paired(chosen.to_numpy(dtype=float)[:, None], clusters, RESAMPLES, SEED)
    return found


def _with_lettering(row: Row) -> str:
    return "a target with lettering" if row["target"]["text"].strip() else "a target without lettering"


def _context_lettering(row: Row) -> str:
    lettered = sum(bool(panel["text"].strip()) for panel in row["context"])
    return "lettering in every panel" if lettered == len(row["context"]) else "a panel without lettering"


_SLICERS: Mapping[str, Callable[[Row], str]] = {
    "target_lettering": _with_lettering,
    "context_lettering": _context_lettering,
    "group": lambda row: f"book {row['book']} and its reprints",
}


def _told(found: Paired, above: float) -> str:
    if found.difference is None:
        return "not measured for both"
    where = f"{found.n_sequences} sequences of {found.n_books} books"
    return f"{found.difference:+.4f} {_interval(found.low, found.high)} on {where}, {_wanted(above)}"


def _wanted(above: float) -> str:
    return f"where the interval must begin above {above:+g}"


def _interval(low: float | None, high: float | None) -> str:
    return "(no interval: fewer than two books)" if low is None or high is None else f"[{low:+.4f}, {high:+.4f}]"


def _named(books: Iterable[int]) -> str:
    found = sorted(books)
    shown = ", ".join(map(str, found[:_SHOWN])) + (", ..." if len(found) > _SHOWN else "")
    return f"{len(found)} ({shown})" if found else "none"
