"""What may be compared among evaluated runs: every contrast is within one reference, or a difference of such.

Against one reference there are three predictors: zero-shot, fine-tuned on `pred`, fine-tuned on `descp`. Zero-shot has
no paradigm, so its two cells of the 2x2 are the same: what differs between the fine-tuned runs is at once the (doubled)
main effect of the paradigm and the interaction. Against each run's own labels the 2x2 has four cells, but two
references. A difference across references is no effect, so there is no main effect of the paradigm; fine-tuned less
zero-shot is within one reference, and its mean (main effect of fine-tuning) and difference (interaction) are valid.
"""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
import pandas as pd

from cloze.reporting.cells import HIDDEN, PARADIGMS
from cloze.reporting.estimates import CONTENT_METRICS, FACT_METRICS, REFERENCES, TEXT_METRICS, Change
from cloze.reporting.evidence import Evidence
from cloze.scoring.comparisons import holm, paired
from cloze.scoring.fingerprints import ADAPTER, BLIND, Disagreement, disagreements, refuse

OWN = "own"  # the reference of contrasts in which each run is judged by its own labels
TUNING, HIDING = "fine-tuning", "hiding"  # families: p is corrected for all tests of one
MAIN, PARADIGM, INTERACTION = "fine-tuning, mean", "pred less descp", "interaction"
RESAMPLES, SEED = 10_000, 42
_MAY_DIFFER = {TUNING: ADAPTER, HIDING: BLIND}


def tuned_on(paradigm: str) -> str:
    """Name of the contrast of fine-tuned with zero-shot."""
    return f"fine-tuning on {paradigm}"


class Term(NamedTuple):
    """One run in a contrast, with its weight; judged by `reference`, or where that is empty by the contrast's."""

    weight: float
    run: Evidence
    reference: str = ""


@dataclass(frozen=True, eq=False)
class Contrast:
    """A weighted sum of runs; the weights of each reference add up to 0."""

    family: str
    name: str
    terms: tuple[Term, ...]

    @property
    def is_own(self) -> bool:
        """Whether each run is judged by its own labels."""
        return bool(self.terms[0].reference)

    @property
    def runs(self) -> list[Evidence]:
        """The runs in it, each once."""
        return list({term.run.cell.run_id: term.run for term in self.terms}.values())

    def ids(self, is_added: bool) -> str:
        """Ids of the runs that are added, or of those that are taken away."""
        return ",".join(dict.fromkeys(t.run.cell.run_id for t in self.terms if (t.weight > 0) is is_added))

    def values(self, reference: str, metric: str) -> pd.Series:
        """The contrast of each sequence for which all scores are known, by sequence_id."""
        scores = [t.weight * t.run.scores_of(t.reference or reference, metric) for t in self.terms]
        return reduce(operator.add, scores).dropna()


class Compared(NamedTuple):
    """One row of `comparisons.parquet`, with its contrast."""

    contrast: Contrast
    reference: str
    metric: str
    change: Change


def find_contrasts(evidence: Sequence[Evidence]) -> list[Contrast]:
    """Every valid contrast among the runs; where several stand in one place, each of them has its own."""
    tuned = {paradigm: _places(evidence, "fine-tuned", paradigm) for paradigm in PARADIGMS}
    found = []
    pairs: dict[str, list[tuple[Evidence, Evidence]]] = {paradigm: [] for paradigm in PARADIGMS}
    for paradigm, runs in tuned.items():
        candidates = _places(evidence, "zero-shot", paradigm) or _places(evidence, "zero-shot")
        for run in runs if candidates else []:
            before = _partner(run, candidates, ADAPTER)
            pairs[paradigm].append((run, before))
            found.append(Contrast(TUNING, tuned_on(paradigm), (Term(1, run), Term(-1, before))))
    for (pred, before_pred), (descp, before_descp) in ((p, d) for p in pairs["pred"] for d in pairs["descp"]):
        half = (Term(0.5, pred), Term(0.5, descp), Term(-0.5, before_pred), Term(-0.5, before_descp))
        found.append(Contrast(TUNING, MAIN, half))
        own = [term._replace(reference=r) for term, r in zip(half, ("pred", "descp") * 2, strict=True)]
        found.append(Contrast(TUNING, MAIN, tuple(own)))
        signs = (1.0, -1.0, -1.0, 1.0)
        crossed = tuple(term._replace(weight=sign) for term, sign in zip(own, signs, strict=True))
        found.append(Contrast(TUNING, INTERACTION, crossed))
    found += [
        Contrast(TUNING, PARADIGM, (Term(1, pred), Term(-1, descp)))
        for pred in tuned["pred"]
        for descp in tuned["descp"]
    ]
    return found + _hidings(evidence)


def compare(contrasts: Iterable[Contrast], *, is_marked: bool) -> list[Compared]:
    """Work out contrasts against every reference, with p corrected within each family.

    Args:
        contrasts: what to compare.
        is_marked: runs whose fingerprints disagree are compared nonetheless, and the change says in what they differ.

    Raises:
        DataError: fingerprints of runs in a contrast disagree, and `is_marked` is false.
    """
    found: list[Compared] = []
    by_family: dict[str, list[Contrast]] = {}
    for contrast in contrasts:
        by_family.setdefault(contrast.family, []).append(contrast)
    for family in by_family.values():
        found += _family(family, is_marked)
    return found


def disagreement(one: Evidence, other: Evidence, may_differ: frozenset[str]) -> list[Disagreement]:
    """In what two runs disagree though they should not."""
    return disagreements(one.fingerprint, other.fingerprint, may_differ)


def refuse_pair(one: Evidence, other: Evidence, found: list[Disagreement]) -> None:
    """Refuse to compare two runs that disagree.

    Raises:
        DataError: they do.
    """
    first, second = (f"run {item.cell.run_id} ({item.cell.title})" for item in (one, other))
    refuse(first, second, found)


def _family(contrasts: Sequence[Contrast], is_marked: bool) -> list[Compared]:
    differs = {contrast: _differs(contrast, is_marked) for contrast in contrasts}
    measured = [
        (contrast, reference, metric, values)
        for contrast in contrasts
        for reference, metric in _measures(contrast)
        if len(values := contrast.values(reference, metric))
    ]
    if not measured:
        return []
    groups = {key: group for contrast in contrasts for run in contrast.runs for key, group in run.groups.items()}
    ids = sorted(set().union(*(values.index for *_, values in measured)))
    columns = np.stack([values.reindex(ids).to_numpy(dtype=float) for *_, values in measured], axis=1)
    results = paired(columns, np.array([groups[key] for key in ids]), RESAMPLES, SEED)
    corrected = holm([result.p for result in results])
    return [
        Compared(
            contrast,
            reference,
            metric,
            Change(
                float(values.mean()), r.low, r.high, r.p, p_holm, r.p_joint, r.n_sequences, r.n_books, differs[contrast]
            ),
        )
        for (contrast, reference, metric, values), r, p_holm in zip(measured, results, corrected, strict=True)
    ]


def _differs(contrast: Contrast, is_marked: bool) -> tuple[str, ...]:
    """Fields in which any two runs of a contrast disagree."""
    fields: dict[str, None] = {}
    runs = contrast.runs
    for i, one in enumerate(runs):
        for other in runs[i + 1 :]:
            found = disagreement(one, other, _MAY_DIFFER[contrast.family])
            if not is_marked:
                refuse_pair(one, other, found)
            fields |= dict.fromkeys(each.field for each in found)
    return tuple(fields)


def _measures(contrast: Contrast) -> list[tuple[str, str]]:
    """The (reference, metric) that a contrast is measured by."""
    if contrast.is_own:
        return [(OWN, metric) for metric in TEXT_METRICS]
    texts = (*TEXT_METRICS, *CONTENT_METRICS) if contrast.family == HIDING else (*TEXT_METRICS,)
    return [
        (reference, metric) for reference in REFERENCES for metric in (FACT_METRICS if reference == "facts" else texts)
    ]


def _hidings(evidence: Sequence[Evidence]) -> list[Contrast]:
    """Each blind run less the run that differs from it only in seeing everything."""
    found = []
    for blind in (item for item in evidence if item.cell.is_blind):
        places = _places(evidence, blind.cell.condition, blind.cell.paradigm)
        candidates = [item for item in places if item.cell.predictor == blind.cell.predictor]
        if candidates:
            whole = _partner(blind, candidates, BLIND)
            found.append(Contrast(HIDING, HIDDEN[blind.cell.blind], (Term(1, blind), Term(-1, whole))))
    return found


def _places(evidence: Sequence[Evidence], condition: str, paradigm: str | None = None) -> list[Evidence]:
    """Runs of a place that saw everything; of any paradigm where none is named."""
    return [
        item
        for item in evidence
        if not item.cell.is_blind and item.cell.condition == condition and paradigm in (None, item.cell.paradigm)
    ]


def _partner(run: Evidence, candidates: Sequence[Evidence], may_differ: frozenset[str]) -> Evidence:
    """The first that may be compared with the run; where none may, the first."""
    return next((item for item in candidates if not disagreement(run, item, may_differ)), candidates[0])
