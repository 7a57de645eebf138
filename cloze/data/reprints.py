"""Which books hold the same stories: publishers reprinted, and COMICS has scans of the same book twice.

Two panels match if their lettering is the same, or if half of their runs of three words are, of those that few books
hold: the same page scanned twice is read with other errors. Two books share a story if enough panels in a row of one
match panels of the other in the same order; stock phrases and house advertisements never do that.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cloze.data.database import connect

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Measured on real lettering in docs/cleaning.md.
MIN_MATCHES = 10  # panels that must match ...
STRETCH = 32  # ... of so many in a row
DRIFT = 16  # panels by which the two may get out of step: scans lack pages, and panels are cut differently
MAX_BOOKS = 8  # a text, or three words, in more books than this says nothing
MIN_LETTERS = 20
MIN_WORDS = 5


def reprint_groups(panels: pa.Table, scratch: Path) -> dict[int, int]:
    """The group of each book: the smallest number among the books that it shares stories with, directly or not.

    Args:
        panels: `book` and `text` of panels, sorted by book, page and panel; covers and advertisements left out.
        scratch: folder for what does not fit into memory.
    """
    books = panels["book"].to_numpy()
    starts = np.flatnonzero(np.diff(books, prepend=-1))
    positions = np.arange(len(books)) - np.repeat(starts, np.diff(starts, append=len(books)))
    columns = {"book": panels["book"], "position": positions.astype(np.int32), "text": panels["text"]}
    with connect(scratch) as database:
        database.register("lettering", pa.table(columns))
        pairs = shared_stories(database)
    return join(np.unique(books).tolist(), pairs)


def shared_stories(database: "DuckDBPyConnection") -> list[tuple[int, int]]:
    """Pairs of books, smaller number first, that share a story, from the table `lettering` (book, position, text)."""
    for statement in (_TEXTS, _RUNS, _RARE, _MATCHES):
        database.execute(statement)
    return database.execute(_SHARED).fetchall()


def join(books: list[int], pairs: list[tuple[int, int]]) -> dict[int, int]:
    """The smallest member of each book's group, where paired books are in one group."""
    leader = {book: book for book in books}

    def lead(book: int) -> int:
        while leader[book] != book:
            book = leader[book]
        return book

    for one, other in pairs:
        first, second = sorted((lead(one), lead(other)))
        leader[second] = first
    return {book: lead(book) for book in books}


_TEXTS = f"""
    create table texts as
    select book, position, hash(array_to_string(words, '')) as whole, words
    from (select book, position, regexp_extract_all(upper(text), '\\p{{L}}+') as words from lettering)
    where len(words) >= {MIN_WORDS} and length(array_to_string(words, '')) >= {MIN_LETTERS}
"""
_RUNS = """
    create table runs as
    select book, position, len(words) - 2 as n_runs, unnest(hashes) as run
    from (
        select *, list_distinct(list_transform(range(1, len(words) - 1), lambda i: hash(words[i:i + 2]))) as hashes
        from texts
    )
"""
_RARE = f"""
    create table rare as
    select runs.*
    from runs semi join (
        select run from runs group by run having min(book) < max(book) and count(distinct book) <= {MAX_BOOKS}
    ) as few using (run)
"""
_MATCHES = f"""
    create table matches as
    select one.book as one, other.book as other, one.position as here, other.position as there
    from rare as one join rare as other on one.run = other.run and one.book < other.book
    group by all
    having count(*) >= 3 and 2 * count(*) >= least(any_value(one.n_runs), any_value(other.n_runs))
    union
    select one.book, other.book, one.position, other.position
    from texts as one join texts as other on one.whole = other.whole and one.book < other.book
    where one.whole in (select whole from texts group by whole having count(distinct book) between 2 and {MAX_BOOKS})
"""
# A stretch and a drift are cut twice, half a step apart, so that what lies across one cut lies within the other.
_SHARED = f"""
    select distinct one, other
    from matches, (values (0), ({STRETCH // 2})) as s(stretch), (values (0), ({DRIFT // 2})) as d(drift)
    group by one, other, stretch, drift, (here + stretch) // {STRETCH}, floor((there - here + drift) / {DRIFT})
    having least(count(distinct here), count(distinct there)) >= {MIN_MATCHES}
    order by one, other
"""
