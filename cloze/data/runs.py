"""Runs of equal neighbours in sorted columns: the panels of a page, the pages of a book, the boxes of a panel."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

_JOINED_AT_ONCE = 1 << 18  # Arrow joins at most 2 GiB of text at once


def run_starts(*keys: np.ndarray) -> np.ndarray:
    """Positions at which any of the (n,) keys differs from the one before; the first is one, if there is any."""
    is_start = np.zeros(len(keys[0]), bool)
    is_start[:1] = True
    for key in keys:
        is_start[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(is_start)


def run_lengths(starts: np.ndarray, n: int) -> np.ndarray:
    """How long each run is, where the last of them ends at `n`."""
    return np.diff(starts, append=n)


def spread(values: np.ndarray, starts: np.ndarray, n: int) -> np.ndarray:
    """(n,) each run's value at every position of it."""
    return np.repeat(values, run_lengths(starts, n))


def join_texts(texts: pa.Array, counts: np.ndarray) -> pa.Array:
    """The texts of each run with a space between them; `counts` says how many texts each run has."""
    import pyarrow.compute as pc

    offsets = np.append(0, np.cumsum(counts))
    joined = []
    for start in range(0, max(len(counts), 1), _JOINED_AT_ONCE):
        here = offsets[start : start + _JOINED_AT_ONCE + 1]
        lists = pa.ListArray.from_arrays(pa.array(here - here[0], pa.int32()), texts.slice(here[0], here[-1] - here[0]))
        joined.append(pc.binary_join(lists, " "))
    return pa.concat_arrays(joined)


class Pages(NamedTuple):
    """The pages of all books, sorted by book and page; each has a panel at least.

    Attributes:
        books: (n_pages,) int32.
        numbers: (n_pages,) int32, the page's number in its book.
        starts: (n_pages,) position of its first panel among all panels.
        n_panels: (n_pages,) how many it has.
    """

    books: np.ndarray
    numbers: np.ndarray
    starts: np.ndarray
    n_panels: np.ndarray


def pages_of(books: np.ndarray, numbers: np.ndarray) -> Pages:
    """The pages of panels sorted by book and page.

    Args:
        books: (n,) int32, book of each panel.
        numbers: (n,) int32, page of each panel.
    """
    starts = run_starts(books, numbers)
    return Pages(books[starts], numbers[starts], starts, run_lengths(starts, len(books)))
