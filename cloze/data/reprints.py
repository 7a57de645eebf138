"""Which books hold the same stories: publishers reprinted, and COMICS has scans of the same book twice.

Two panels match if their lettering is the same, or if half of their runs of three words are, of those that few books
hold: the same page scanned twice is read with other errors. Two books share a story if enough panels in a row of one
match panels of the other in the same order; stock phrases and house advertisements never do that.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from cloze.data.database import connect
from cloze.data.runs import run_starts, spread

# Measured on real lettering in docs/cleaning.md.
MIN_MATCHES = 10  # panels that must match ...
STRETCH = 32  # ... of so many in a row
DRIFT = 16  # panels by which the two may get out of step: scans lack pages, and panels are cut differently
MAX_BOOKS = 8  # a text, or three words, in more books than this says nothing
MIN_LETTERS = 20
SAMPLED = 4  # one word in so many begins runs of three that are looked at: a quarter of the time


def reprint_groups(panels: pa.Table, scratch: Path) -> dict[int, int]:
    """The group of each book: the smallest number among the books that it shares stories with, directly or not.

    Args:
        panels: `book` and `text` of panels, sorted by book, page and panel; covers and advertisements left out.
        scratch: folder for what does not fit into memory.
    """
    books = panels["book"].to_numpy()
    starts = run_starts(books)
    places = np.arange(len(books)) - spread(starts, starts, len(books))
    words = split_words(panels["text"].combine_chunks())
    with connect(scratch) as database:
        rows = np.arange(len(books), dtype=np.int32)
        database.register("panels", pa.table({"row": rows, "book": books, "place": places.astype(np.int32)}))
        database.register("same_texts", _same_texts(words, books))
        database.register("runs", _runs_of_three(words, books))
        for statement in (_RARE, _MATCHES):
            database.execute(statement)
        pairs = database.sql(_SHARED).fetchall()
    return join(np.unique(books).tolist(), pairs)


def split_words(texts: pa.Array) -> pa.Array:
    """The words of each text in capitals, cut at all in ASCII that is no letter; one empty word if there is none.

    The bytes are exchanged one for one in the array's own buffer, which takes a tenth of a replacing's time.
    """
    import pyarrow.compute as pc

    texts = pa.concat_arrays([texts])  # a slice's buffers would hold more than the slice
    validity, offsets, letters = texts.buffers()
    exchanged = pa.py_buffer(_LETTERS[np.frombuffer(letters or b"", np.uint8)])
    spoken = pa.Array.from_buffers(texts.type, len(texts), [validity, offsets, exchanged])
    return pc.ascii_split_whitespace(pc.ascii_trim_whitespace(spoken))


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


def _same_texts(words: pa.Array, books: np.ndarray) -> pa.Table:
    """Panels whose lettering occurs again: row, book, and the lettering as a number."""
    import pyarrow.compute as pc

    whole = pc.binary_join(words, " ")
    rows = np.flatnonzero(pc.greater_equal(pc.binary_length(whole), MIN_LETTERS))
    code = whole.take(pa.array(rows)).dictionary_encode().indices.to_numpy()
    again = np.bincount(code)[code] > 1
    return pa.table({"row": rows[again].astype(np.int32), "book": books[rows[again]], "whole": code[again]})


def _runs_of_three(words: pa.Array, books: np.ndarray) -> pa.Table:
    """Runs of three words inside a panel: its row, its book, how many runs it has here, and the run as a number.

    One word in `SAMPLED` begins runs that are looked at; which ones, is the same for all books.
    """
    n_words = np.diff(words.offsets.to_numpy())
    row = np.repeat(np.arange(len(words), dtype=np.int32), n_words)
    code = words.flatten().dictionary_encode().indices.to_numpy()
    at = np.flatnonzero((code[:-2] % SAMPLED == 0) & (row[2:] == row[:-2]))
    row = row[at]
    # Odd factors and 64 bits: two different runs get the same number about never.
    first, second, third = (code[at + i].astype(np.uint64) * factor for i, factor in enumerate(_FACTORS))
    n_runs = np.bincount(row, minlength=len(words)).astype(np.int32)
    return pa.table({"row": row, "book": books[row], "n_runs": n_runs[row], "run": first ^ second ^ third})


_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
_LETTERS = np.frombuffer(
    bytes(ord(chr(c).upper() if chr(c).isalpha() else " ") if c < 128 else c for c in range(256)), np.uint8
)

_RARE = f"""
    create table rare as
    select distinct row, book, n_runs, run
    from runs semi join (
        select run from (select distinct run, book from runs) group by run having count(*) between 2 and {MAX_BOOKS}
    ) as few using (run)
"""  # noqa: S608
_MATCHES = f"""
    create table matches as
    select one.row as here, other.row as there
    from rare as one join rare as other on one.run = other.run and one.book < other.book
    group by all
    having count(*) >= 2 and 2 * count(*) >= least(any_value(one.n_runs), any_value(other.n_runs))
    union
    select one.row, other.row
    from same_texts as one join same_texts as other on one.whole = other.whole and one.book < other.book
    where one.whole in (select whole from same_texts group by whole having count(distinct book) <= {MAX_BOOKS})
"""  # noqa: S608
# A stretch and a drift are cut twice, half a step apart, so that what lies across one cut lies within the other.
_SHARED = f"""
    with placed as (
        select one.book as one, other.book as other, one.place as here, other.place as there
        from matches
        join panels as one on one.row = here
        join panels as other on other.row = there
    )
    select distinct one, other
    from placed, (values (0), ({STRETCH // 2})) as s(stretch), (values (0), ({DRIFT // 2})) as d(drift)
    group by one, other, stretch, drift, (here + stretch) // {STRETCH}, floor((there - here + drift) / {DRIFT})
    having least(count(distinct here), count(distinct there)) >= {MIN_MATCHES}
    order by one, other
"""  # noqa: S608
