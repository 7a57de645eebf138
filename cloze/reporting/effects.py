"""What fine-tuning changes, as tables of paired contrasts; and all comparisons as a table of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from cloze.reporting.cells import PARADIGMS
from cloze.reporting.contrasts import INTERACTION, MAIN, OWN, PARADIGM, TUNING, Compared, Contrast, tuned_on
from cloze.reporting.estimates import FACT_METRICS, REFERENCES, TEXT_METRICS, Change
from cloze.tables import table

TITLES = {
    **{tuned_on(paradigm): f"fine-tuned on {paradigm} less zero-shot" for paradigm in PARADIGMS},
    MAIN: "main effect of fine-tuning (mean of these two)",
    INTERACTION: "interaction (difference of these two)",
    PARADIGM: "fine-tuned on pred less fine-tuned on descp",
}
_OWN_TITLES = {**TITLES, tuned_on("pred"): f"{TITLES[tuned_on('pred')]}, against pred labels"} | {
    tuned_on("descp"): f"{TITLES[tuned_on('descp')]}, against descp labels"
}


@dataclass(frozen=True)
class EffectTable:
    """Changes in rows and columns; None where one is unknown."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[Change | None]]]


@dataclass(frozen=True)
class Effects:
    """What fine-tuning changes.

    Attributes:
        own: the 2x2, each run against its own labels; None where it is not whole.
        by_metric: one table per text metric, a column per reference.
        facts: recall of facts, by where they could be seen; None where no run has any.
        n_tests: how many p were corrected together.
    """

    own: EffectTable | None
    by_metric: list[EffectTable]
    facts: EffectTable | None
    n_tests: int


def tuning_effects(compared: Sequence[Compared]) -> Effects:
    """Tables of what fine-tuning changes, empty where nothing could be compared."""
    found = [item for item in compared if item.contrast.family == TUNING]
    within = [item for item in found if item.reference != OWN]
    references = [name for name in REFERENCES if name != "facts" and any(item.reference == name for item in within)]
    by_metric = [
        _table(title, within, [(REFERENCES[r], r, metric) for r in references])
        for metric, title in TEXT_METRICS.items()
        if any(item.metric == metric for item in within)
    ]
    has_facts = any(item.reference == "facts" for item in within)
    columns = [(title, "facts", metric) for metric, title in FACT_METRICS.items()]
    facts = _table("Recall of facts", within, columns) if has_facts else None
    n_tests = sum(item.change.p is not None for item in found)
    return Effects(own_table(compared), by_metric, facts, n_tests)


def own_table(compared: Sequence[Compared]) -> EffectTable | None:
    """The 2x2, each run against its own labels: simple effects of fine-tuning, their mean and their difference."""
    own = [item for item in compared if item.reference == OWN]
    if not own:
        return None
    simple = [
        item._replace(reference=OWN)
        for paradigm in PARADIGMS
        for item in compared
        if (item.contrast.name, item.reference) == (tuned_on(paradigm), paradigm)
    ]
    measured = {item.metric for item in own}
    columns = [(title, OWN, metric) for metric, title in TEXT_METRICS.items() if metric in measured]
    return _table("The 2x2: each run against its own labels", [*simple, *own], columns, _OWN_TITLES)


def comparison_table(compared: Sequence[Compared]) -> pa.Table:
    """Every comparison as a row of `comparisons.parquet`."""
    return table(
        "comparisons",
        (
            {
                "family": item.contrast.family,
                "reference": item.reference,
                "metric": item.metric,
                "contrast": item.contrast.name,
                "run_a": item.contrast.ids(is_added=True),
                "run_b": item.contrast.ids(is_added=False),
                "differs": ",".join(item.change.differs),
                **{name: getattr(item.change, name) for name in _FIGURES},
            }
            for item in compared
        ),
    )


_FIGURES = ("difference", "low", "high", "p", "p_holm", "p_joint", "n_sequences", "n_books")


def _table(
    title: str,
    compared: Sequence[Compared],
    columns: Sequence[tuple[str, str, str]],
    names: dict[str, str] = TITLES,
) -> EffectTable:
    """A row for each contrast, a column for each (title, reference, metric)."""
    rows: dict[Contrast, dict[tuple[str, str], Change]] = {}
    for item in compared:
        rows.setdefault(item.contrast, {})[(item.reference, item.metric)] = item.change
    shown = [
        (_title(contrast, list(rows), names), [changes.get((reference, metric)) for _, reference, metric in columns])
        for contrast, changes in rows.items()
    ]
    return EffectTable(title, [column for column, _, _ in columns], [row for row in shown if any(row[1])])


def _title(contrast: Contrast, among: Sequence[Contrast], names: dict[str, str]) -> str:
    """What a row is called; with the names of its runs where several rows are of the same contrast."""
    title = names[contrast.name]
    if sum(other.name == contrast.name for other in among) == 1:
        return title
    return f"{title} ({'; '.join(run.cell.run_name for run in contrast.runs)})"
