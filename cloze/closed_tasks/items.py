"""Items of the closed tasks, from the fold files that were published with COMICS (Iyyer et al. 2017, arXiv:1611.05118).

A fold is a CSV file with one item a row: three panels of context with up to three text boxes each, and candidates for
the panel after them.

- `text-cloze`: three candidates, one text box each; which one stands in the next panel?
- `character-coherence`: two candidates, the same two boxes of the next panel in either order; which one is it?

`UNK` in a fold is a word that its makers' vocabulary lacked. It says nothing and is left out.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from cloze.errors import DataError

TEXT_CLOZE, CHARACTER_COHERENCE = "text-cloze", "character-coherence"
TASKS = (TEXT_CLOZE, CHARACTER_COHERENCE)
N_CONTEXT, N_BOXES = 3, 3
UNKNOWN_WORD = "UNK"

_IDS = ("book_id", "page_id", "answer_panel_id")
_PANEL_IDS = tuple(f"context_panel_{i}_id" for i in range(N_CONTEXT))
_CONTEXT = tuple(tuple(f"context_text_{i}_{j}" for j in range(N_BOXES)) for i in range(N_CONTEXT))
_CANDIDATES = {
    TEXT_CLOZE: tuple((f"answer_candidate_{k}_text",) for k in range(3)),
    CHARACTER_COHERENCE: tuple(tuple(f"answer_candidate_{k}_box_{j}" for j in range(2)) for k in range(2)),
}
_ANSWER = "correct_answer"
_MADE_BY = "the folds are published with COMICS (docs/closed-tasks.md)"


@dataclass(frozen=True)
class Panel:
    """A panel of the context.

    Attributes:
        image: name of its picture below the image root; None where it has none.
        boxes: its lettering, box by box; may be empty.
    """

    panel_id: str
    image: str | None
    boxes: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of its lettering."""
        return " ".join(self.boxes)


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        item_id: id of the panel that is asked about, `BOOK/PAGE_PANEL`.
        book: items of one book are not independent.
        candidates: text boxes of each, in the order that the candidate gives them.
        answer: which candidate is right.
    """

    item_id: str
    book: int
    context: tuple[Panel, ...]
    candidates: tuple[tuple[str, ...], ...]
    answer: int

    @property
    def context_text(self) -> str:
        """All lettering of the context."""
        return " ".join(panel.text for panel in self.context if panel.boxes)


def read_fold(path: Path, task: str) -> list[Item]:
    """Items of a published fold, in the order of the file.

    Raises:
        DataError: no such file, empty, not UTF-8 or not CSV; a fold of the other task or without a column; a row with
            more or fewer fields, a number that is none, an answer that is no candidate, a candidate without text, or
            an item that is there twice. Rows are numbered as a spreadsheet does: the header is row 1.
    """
    rows = csv.reader(StringIO(_text(path), newline=""), strict=True)
    items: dict[str, tuple[int, Item]] = {}
    try:
        header = next(rows, [])
        _check_header(path, header, task)
        for number, fields in enumerate(rows, start=2):
            where = f"{path}: row {number}"
            if len(fields) != len(header):
                raise DataError(where, f"{len(fields)} fields, but the header has {len(header)}")
            item = _item(where, dict(zip(header, fields, strict=True)), _CANDIDATES[task])
            if item.item_id in items:
                raise DataError(where, f"item {item.item_id} is there twice (first in row {items[item.item_id][0]})")
            items[item.item_id] = number, item
    except csv.Error as error:
        raise DataError(f"{path}: line {rows.line_num}", f"not CSV ({error})") from error
    if not items:
        raise DataError(path, "has a header and no items")
    return [item for _, item in items.values()]


def letter_orders(items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """Text boxes of each panel in the order in which the fold itself prints them, by panel id.

    A panel that one item asks about is context of the next items of its page. What is left unsaid there is not here:
    a panel without boxes, or whose boxes differ from row to row.
    """
    found: dict[str, set[tuple[str, ...]]] = {}
    for item in items:
        for panel in item.context:
            found.setdefault(panel.panel_id, set()).add(panel.boxes)
    return {panel_id: next(iter(orders)) for panel_id, orders in found.items() if len(orders) == 1}


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(path, "no such file; a fold (CSV) was expected", _MADE_BY) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line}", f"not UTF-8 (byte {content[error.start]:#04x})", "convert it") from None
    if not text.strip():
        raise DataError(path, "is empty; a fold (CSV with a header) was expected", _MADE_BY)
    return text


def _check_header(path: Path, header: Sequence[str], task: str) -> None:
    wanted = [*_IDS, *_PANEL_IDS, *_flat(_CONTEXT), *_flat(_CANDIDATES[task]), _ANSWER]
    missing = [name for name in wanted if name not in header]
    for other in TASKS:
        if other != task and missing and set(_flat(_CANDIDATES[other])) <= set(header):
            raise DataError(path, f"a fold of {other}, not of {task}", f"`cloze closed-task {other} {path}` scores it")
    if missing:
        raise DataError(path, f"no column {', '.join(missing)} (found: {', '.join(header)})", _MADE_BY)
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(path, f"several columns {', '.join(twice)}")


def _item(where: str, row: Mapping[str, str], columns: Sequence[Sequence[str]]) -> Item:
    book, page, panel = (_number(where, row, name) for name in _IDS)
    answer = _number(where, row, _ANSWER)
    if answer >= len(columns):
        raise DataError(f"{where}, column {_ANSWER}", f"{answer}; it must be 0 to {len(columns) - 1}")
    candidates = tuple(tuple(_said(row[name]) for name in names) for names in columns)
    for name, text in zip(_flat(columns), _flat(candidates), strict=True):
        if not text:
            raise DataError(f"{where}, column {name}", f"{row[name]!r}; a candidate must have a known word")
    context = []
    for name, boxes in zip(_PANEL_IDS, _CONTEXT, strict=True):
        panel_id = f"{book}/{page}_{_number(where, row, name)}"
        said = tuple(text for box in boxes if (text := _said(row[box])))
        context.append(Panel(panel_id, f"{panel_id}.jpg", said))
    return Item(f"{book}/{page}_{panel}", book, tuple(context), candidates, answer)


def _number(where: str, row: Mapping[str, str], name: str) -> int:
    word = row[name].strip()
    if not (word.isascii() and word.isdigit()):
        raise DataError(f"{where}, column {name}", f"{row[name]!r}; a whole number was expected")
    return int(word)


def _said(text: str) -> str:
    return " ".join(word for word in text.split() if word != UNKNOWN_WORD)


def _flat(names: Sequence[Sequence[str]]) -> Iterator[str]:
    return (name for some in names for name in some)
