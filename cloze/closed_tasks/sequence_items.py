"""Items of text-cloze from the sequences of any comics: the target's lettering among that of two other panels.

They follow the rules of the published folds where sequences allow it. A wrong candidate is the lettering of a panel of
another book (easy), or of a page within three of the target's in its own book, but not of its page (hard). Other than
there, a candidate is all lettering of a panel, the context is the sequence's, and reprints count as the same book.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cloze.closed_tasks.items import Item, Panel
from cloze.errors import DataError
from cloze.tables import images_uri, read_table

N_WRONG = 2
_MIN_WORDS = 3  # of a candidate, as in the folds
_WINDOW = 3  # pages
_MOST_DRAWS = 1000

_Pool = dict[int, dict[str, str]]  # lettering by panel id by group


class Made(NamedTuple):
    """Items, how many sequences give none (too little lettering, or too few others near), and the image root's URI."""

    items: list[Item]
    n_without: int
    images: str


def read_sequences(path: Path, split: str, difficulty: str, seed: int) -> Made:
    """Make an item of every sequence of a split that gives one, in the order of the table.

    An item depends on its sequence, the split's panels and the seed, and not on the order of the table.

    Raises:
        DataError: no sequences table, a sequence that is there twice, or none that gives an item.
    """
    table = read_table(path, "sequences")
    rows = [row for row in table.to_pylist() if split in ("all", row["split"])]
    seen: set[str] = set()
    for row in rows:
        if row["sequence_id"] in seen:
            raise DataError(path, f"sequence {row['sequence_id']} is there twice")
        seen.add(row["sequence_id"])
    pool = _pool(rows)
    elsewhere = sorted((panel_id, group, text) for group, some in pool.items() for panel_id, text in some.items())
    items = []
    for row in rows:
        text = _one_line(row["target"]["text"])
        generator = random.Random(f"{seed}/{row['sequence_id']}")  # noqa: S311
        if difficulty == "hard":
            wrong = _near(pool.get(row["group"], {}), row["target"]["panel_id"], text, generator)
        else:
            wrong = _far(elsewhere, row["group"], text, generator)
        if _is_long_enough(text) and len(wrong) == N_WRONG:
            items.append(_item(row, text, wrong, generator))
    if not items:
        problem = f"no sequence of split {split} gives an item ({len(rows)} looked at)"
        raise DataError(path, problem, "try split=all, or difficulty=easy with several books")
    return Made(items, len(rows) - len(items), images_uri(table))


def _pool(rows: Iterable[Mapping[str, Any]]) -> _Pool:
    pool: _Pool = defaultdict(dict)
    for row in rows:
        for panel in [*row["context"], row["target"]]:
            text = _one_line(panel["text"])
            if _is_long_enough(text):
                pool[row["group"]][panel["panel_id"]] = text
    return dict(pool)


def _near(pool: Mapping[str, str], target: str, right: str, generator: random.Random) -> list[str]:
    book, page = target.partition("/")[0], _page(target)
    texts = {
        text
        for panel_id, text in pool.items()
        if panel_id.partition("/")[0] == book and 1 <= abs(_page(panel_id) - page) <= _WINDOW and text != right
    }
    return generator.sample(sorted(texts), N_WRONG) if len(texts) >= N_WRONG else []


def _far(pool: Sequence[tuple[str, int, str]], group: int, right: str, generator: random.Random) -> list[str]:
    """Drawn until there are enough, for a look at all panels would take long for each item; hardly ever too few."""
    found: list[str] = []
    for _ in range(_MOST_DRAWS if pool else 0):
        _, other, text = generator.choice(pool)
        if other != group and text != right and text not in found:
            found.append(text)
        if len(found) == N_WRONG:
            break
    return found


def _item(row: Mapping[str, Any], text: str, wrong: Sequence[str], generator: random.Random) -> Item:
    candidates = [text, *wrong]
    generator.shuffle(candidates)
    context = tuple(
        Panel(panel["panel_id"], panel["image"], (said,) if (said := _one_line(panel["text"])) else ())
        for panel in row["context"]
    )
    return Item(row["sequence_id"], row["group"], context, tuple((one,) for one in candidates), candidates.index(text))


def _page(panel_id: str) -> int:
    return int(panel_id.partition("/")[2].partition("_")[0])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _is_long_enough(text: str) -> bool:
    return len(text.split()) >= _MIN_WORDS
