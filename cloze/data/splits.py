"""Which books train, validate and test."""

import hashlib
import random
from collections.abc import Iterable

SPLITS = ("train", "val", "test")


def parse_shares(text: str) -> tuple[float, float, float]:
    """Shares of train, val and test from `0.70,0.15,0.15`.

    Raises:
        ValueError: not three numbers from 0 to 1 that add up to 1.
    """
    shares = [float(word) for word in text.split(",")]
    if len(shares) != 3 or not all(0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(text)
    return shares[0], shares[1], shares[2]


def split_groups(groups: Iterable[int], shares: tuple[float, float, float], seed: int) -> dict[int, str]:
    """A split for each group of books; a book more or less moves few others.

    Groups stand in the order of a digest of theirs, so that the order does not depend on who else is there.
    """
    return _deal(sorted(set(groups), key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest()), shares)


def split_books_v1(books: Iterable[int], shares: tuple[float, float, float], seed: int) -> dict[int, str]:
    """The original study's split: books sorted, shuffled with the seed and cut."""
    order = sorted(set(books))
    random.Random(seed).shuffle(order)  # noqa: S311
    return _deal(order, shares)


def _deal(order: list[int], shares: tuple[float, float, float]) -> dict[int, str]:
    n_train, n_val = int(len(order) * shares[0]), int(len(order) * shares[1])
    names = ["train"] * n_train + ["val"] * n_val + ["test"] * (len(order) - n_train - n_val)
    return dict(zip(order, names, strict=True))
