"""Tables small enough to check by hand, written as the steps before `eval` would."""

from pathlib import Path
from typing import Any

from cloze.scoring.evaluation import EvalSettings, evaluate
from cloze.stage import Workspace
from cloze.tables import table, write_table


def sequence(book: int, number: int, texts: list[str], group: int | None = None) -> dict[str, Any]:
    """A sequence whose panels are `book/number_0` ... and have these texts; the last is the target."""
    panels = [{"panel_id": f"{book}/{number}_{i}", "image": None, "text": text} for i, text in enumerate(texts)]
    return {
        "sequence_id": panels[-1]["panel_id"],
        "book": book,
        "story": 0,
        "group": book if group is None else group,
        "split": "test",
        "context": panels[:-1],
        "target": panels[-1],
    }


def label(sequence_id: str, text: str | None, paradigm: str = "pred", state: str = "ok") -> dict[str, Any]:
    return {"sequence_id": sequence_id, "paradigm": paradigm, "state": state, "text": text}


def prediction(sequence_id: str, text: str) -> dict[str, Any]:
    return {"sequence_id": sequence_id, "prediction": text, "finish_reason": "stop"}


def fact(panel_id: str, value: str, seen_in: str, name: str = "thing") -> dict[str, Any]:
    return {"panel_id": panel_id, "fact": name, "value": value, "seen_in": seen_in}


def write(folder: Path, name: str, rows: list[dict[str, Any]], stem: str = "") -> str:
    path = folder / f"{stem or name}.parquet"
    write_table(table(name, rows), path)
    return str(path)


def workspace(folder: Path) -> Workspace:
    out = folder / "out"
    out.mkdir(parents=True)
    return Workspace(out, folder / "cache", lambda metrics, step: None, folder / "state")


def run(folder: Path, **settings: Any) -> dict[str, float]:
    """`evaluate` with few resamples; its files are in `folder / "out"`."""
    return evaluate(EvalSettings(**{"resamples": 200, **settings}), workspace(folder))
