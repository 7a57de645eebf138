"""The labels that runs were judged by: how many there are in each state, and what they took."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from cloze.reporting.cells import PARADIGMS, Cell
from cloze.tables import read_table

_COLUMNS = ["paradigm", "state", "labeller", "model", "prompt_digest", "input_tokens", "output_tokens", "cost_usd"]


@dataclass(frozen=True)
class Labelling:
    """One labels table; sums are None where no row of it recorded any.

    Attributes:
        authors: labeller and model, more than one where the table holds labels of several.
        states: by state the number of labels.
        n_priced: labels whose cost is known; `cost_usd` is theirs.
    """

    paradigm: str
    authors: list[str]
    prompts: list[str]
    states: dict[str, int]
    input_tokens: float | None
    output_tokens: float | None
    cost_usd: float | None
    n_priced: int

    @property
    def n_labels(self) -> int:
        """Rows of the table."""
        return sum(self.states.values())


def labellings(cells: Sequence[Cell]) -> list[Labelling]:
    """One for each labels table of the cells, `pred` first.

    Raises:
        DataError: a table that is not one of labels.
    """
    places = [(paradigm, cell.tables.get(f"{paradigm}_labels")) for paradigm in PARADIGMS for cell in cells]
    return [_read(paradigm, place) for paradigm, place in dict.fromkeys(places) if place]


def _read(paradigm: str, place: str) -> Labelling:
    rows = read_table(place, "labels", _COLUMNS).to_pandas()
    of_paradigm = rows[rows["paradigm"] == paradigm]
    known = of_paradigm[["labeller", "model"]].dropna(how="all").drop_duplicates().fillna("unknown")
    states = of_paradigm["state"].value_counts()
    return Labelling(
        paradigm=paradigm,
        authors=sorted(f"{row.labeller}, {row.model}" for row in known.itertuples()),
        prompts=sorted(of_paradigm["prompt_digest"].dropna().unique()),
        states={str(state): int(n) for state, n in sorted(states.items(), key=lambda item: (item[0] != "ok", item[0]))},
        input_tokens=_total(of_paradigm["input_tokens"]),
        output_tokens=_total(of_paradigm["output_tokens"]),
        cost_usd=_total(of_paradigm["cost_usd"]),
        n_priced=int(of_paradigm["cost_usd"].notna().sum()),
    )


def _total(values: pd.Series) -> float | None:
    return float(values.sum()) if values.notna().any() else None
