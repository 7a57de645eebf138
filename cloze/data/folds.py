"""The published folds of COMICS: the last 1,000 of its 3,929 books, by number, are dev and test.

The folds are cut where 1,000 and 500 books remain (`create_hdf5.py` of miyyer/comics). Numbers run from 0 to 3958 with
30 missing. The published dev files hold books 2946 to 3450 and no other: these are 505 numbers of which 5 are missing,
so 500 books; below lie 2,929, above 500.
"""

import numpy as np

from cloze.errors import DataError

FIRST_VAL, FIRST_TEST, LAST = 2946, 3451, 3958


def official_split(books: np.ndarray) -> np.ndarray:
    """`train`, `val` (their dev) or `test` for each book number.

    Raises:
        DataError: a number that COMICS does not have.
    """
    unknown = np.unique(books[(books < 0) | (books > LAST)])
    if len(unknown):
        shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise DataError("folds=official", f"COMICS has no book {shown} (they run from 0 to {LAST})", "use folds=ours")
    return np.array(["train", "val", "test"])[np.searchsorted([FIRST_VAL, FIRST_TEST], books, side="right")]
