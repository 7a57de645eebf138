"""The evaluated runs of a report, read from the JSON file that describes them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloze.errors import DataError

PARADIGMS = ("pred", "descp")
CONDITIONS = ("zero-shot", "fine-tuned")
TABLES = ("predictions", "scores", "sequences", "pred_labels", "descp_labels", "facts", "renders")

HIDDEN = {"images": "without pictures", "text": "without lettering", "order": "panels shuffled"}

_REQUIRED_TABLES = TABLES[:3]
_REMEDY = "`mlflow run . -e report -P runs=runs:/ID,runs:/ID` describes the runs anew"


@dataclass(frozen=True)
class Cell:
    """One evaluated run: a place in the 2x2, or in an ablation where `blind` is not `none`.

    Attributes:
        paradigm: whose labels are the run's own; anything but `pred` and `descp` where it has none.
        metrics: as logged, among them those of docs/scores.md.
        curves: by metric name the logged (step, value) pairs.
        settings: effective settings of the eval run.
        fingerprint: what decided the predictions, as `predict` wrote it; empty where that is not known.
        signatures: by metric what made its values.
        tables: by name the local path of a table, None where the run has no such table.
        drawn: metrics of the run that drew its predictions; empty where none did.
        mark: beside its name wherever it stands, where it disagrees with the other runs of the report.
    """

    run_id: str
    run_name: str
    paradigm: str
    condition: str
    blind: str
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[tuple[float, float]]]
    settings: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    signatures: Mapping[str, str]
    tables: Mapping[str, str | None]
    drawn: Mapping[str, float]
    mark: str = ""

    @property
    def title(self) -> str:
        """Name of the cell's place, such as `fine-tuned · pred`."""
        parts = [self.condition, self.paradigm if self.paradigm in PARADIGMS else "no labels"]
        title = " · ".join(parts + ([HIDDEN[self.blind]] if self.is_blind else []))
        return f"{title} {self.mark}".rstrip()

    @property
    def is_blind(self) -> bool:
        """Whether something was hidden from the model."""
        return self.blind != "none"

    @property
    def predictor(self) -> tuple[object, ...]:
        """What predicted, whatever it was shown: equal for the runs of one adapter."""
        return tuple(self.fingerprint.get(name) for name in ("base_digest", "adapter_digest"))


@dataclass(frozen=True)
class Described:
    """What the file says.

    Attributes:
        tracking_uri: where the runs were tracked.
        cells: the runs, in the order of the 2x2.
        decisions: who became or was refused as champion of the models that the runs' adapters are versions of, oldest
            first: rows of `promotions` with their `run_id`, times as text.
    """

    tracking_uri: str
    cells: list[Cell]
    decisions: list[dict[str, Any]]


def read_cells(path: Path | str) -> Described:
    """Read the file that describes evaluated runs.

    Raises:
        DataError: not such a file, no cell in it, a cell without a field, or a table that is not there.
    """
    try:
        described = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = described["cells"]
        tracking_uri, decisions = str(described["tracking_uri"]), list(described["decisions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(path, f"not a description of evaluated runs ({error!r})", _REMEDY) from error
    if not rows:
        raise DataError(path, "describes no run", "name at least one evaluated run")
    return Described(tracking_uri, sorted((_cell(path, i, row) for i, row in enumerate(rows)), key=_order), decisions)


def titles(cells: Sequence[Cell]) -> list[str]:
    """Titles of cells, made unique by the runs' names where two stand in the same place."""
    plain = [cell.title for cell in cells]
    return [
        f"{title} · {cell.run_name}" if plain.count(title) > 1 else title
        for title, cell in zip(plain, cells, strict=True)
    ]


def _cell(path: Path | str, number: int, row: Mapping[str, Any]) -> Cell:
    fields = [name for name in Cell.__dataclass_fields__ if name != "mark"]
    missing = [name for name in fields if name not in row]
    if missing:
        raise DataError(f"{path}: cell {number}", f"has no {', '.join(missing)}", _REMEDY)
    cell = Cell(**{name: row[name] for name in fields})
    for name in TABLES:
        place = cell.tables.get(name)
        if (place is None and name in _REQUIRED_TABLES) or (place is not None and not Path(place).is_file()):
            raise DataError(f"{path}: cell {number}", f"its {name} table is {place}, which is no file", _REMEDY)
    return cell


def _order(cell: Cell) -> tuple[bool, int, int, str]:
    known = (CONDITIONS, cell.condition), (PARADIGMS, cell.paradigm)
    condition, paradigm = (words.index(word) if word in words else len(words) for words, word in known)
    blind = [*HIDDEN].index(cell.blind) if cell.blind in HIDDEN else len(HIDDEN)
    return cell.is_blind, condition, paradigm, f"{blind} {cell.blind}"
