"""`cloze score`: scores a file of one's own; makes no run."""

import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from cloze.errors import ClozeError

_TOGETHER, _PER_ROW = "table", "jsonl"  # formats where none is asked for

Record = dict[str, Any]


def _score(
    rows: Path, metrics: str, encoder: str, layers: int, per_row: bool, form: str | None, seed: int, resamples: int
) -> None:
    """Score predictions against references that stand in a file.

    ROWS is JSON lines (.jsonl), CSV or Parquet with sequence_id, prediction and reference; and book or group, where
    rows are not independent. Ids of the form BOOK/PAGE_PANEL name the book themselves.

    Prints scores, floors, lift and 95 % intervals of all rows together; with --per-row, the scores of each row. What
    could not be scored is counted on the standard error. Exit status: 0; 2 for what cannot be scored.
    """
    try:
        click.echo(_scored(rows, metrics, encoder, layers, per_row, form, seed, resamples), nl=False)
    except ClozeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def _scored(
    path: Path, names: str, encoder: str, layers: int, per_row: bool, form: str | None, seed: int, resamples: int
) -> str:
    from cloze.scoring.metrics import chosen_metrics, find_bertscore
    from cloze.scoring.row_scores import report, row_counts, row_scores
    from cloze.scoring.rows import read_rows

    chosen = chosen_metrics(names)
    rows = read_rows(path)
    bertscore = find_bertscore(chosen, encoder, layers)
    if per_row:
        records = row_scores(rows, chosen, bertscore)
        _note(row_counts(rows, bertscore))
        return _FORMATS[form or _PER_ROW](records)
    found = report(rows, chosen, bertscore, resamples, seed)
    _note(found.counts)
    click.echo(f"clustered by {found.clustered_by}", err=True)
    if form == "json":
        return (
            json.dumps({**found.counts, "clustered_by": found.clustered_by, "metrics": found.metrics}, indent=1) + "\n"
        )
    return _FORMATS[form or _TOGETHER](found.metrics)


def _note(counts: dict[str, int]) -> None:
    click.echo(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()), err=True)


def _json(records: Sequence[Record] | Record) -> str:
    return json.dumps(records, indent=1, ensure_ascii=False) + "\n"


def _json_lines(records: Sequence[Record]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _csv(records: Sequence[Record]) -> str:
    """Unknown values are empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def _table(records: Sequence[Record]) -> str:
    """For people: four digits, and without signatures, which the other formats have."""
    names = [name for name in records[0] if name != "signature"]
    rows = [names, *([_cell(record[name]) for name in names] for record in records)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row[:1], widths)) + _right(row[1:], widths[1:]) for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _right(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.4f}"


_FORMATS: dict[str, Callable[[Sequence[Record]], str]] = {
    "table": _table,
    "jsonl": _json_lines,
    "json": _json,
    "csv": _csv,
}


def score() -> click.Command:
    """The command."""
    callback: Any = _score
    params: list[click.Parameter] = [
        click.Argument(["rows"], type=click.Path(path_type=Path)),
        click.Option(["--metrics"], default="rouge1,rouge2,rougeL,bleu", show_default=True, help="Comma-separated."),
        click.Option(
            ["--encoder"],
            default="roberta-large",
            show_default=True,
            help="Encoder of BERTScore: `minilm`, a folder, or a hub id.",
        ),
        click.Option(
            ["--layers"],
            type=click.IntRange(0),
            default=0,
            help="Layer of the encoder to compare; 0 is the published one, of `minilm` the last.",
        ),
        click.Option(["--per-row", "per_row"], is_flag=True, help="Scores of each row, and nothing else."),
        click.Option(
            ["--format", "form"],
            type=click.Choice(list(_FORMATS)),
            help=f"Default: {_TOGETHER}; per row {_PER_ROW}.",
        ),
        click.Option(["--seed"], type=click.IntRange(0), default=42, show_default=True, help="Of floor and bootstrap."),
        click.Option(
            ["--resamples"], type=click.IntRange(100), default=10_000, show_default=True, help="Behind each interval."
        ),
    ]
    return click.Command("score", callback=callback, help=_score.__doc__, params=params)
