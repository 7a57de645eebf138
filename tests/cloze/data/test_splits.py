import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.data.splits import SPLITS, parse_shares, split_books_v1, split_groups
from tests.cloze.data.comics_files import book_rows, write_panels
from tests.cloze.data.test_sequences import build

SHARES = (0.70, 0.15, 0.15)


def test_v1_cuts_1439_books_as_the_original_study_did():
    sides = list(split_books_v1(range(1439), SHARES, seed=42).values())
    assert [sides.count(name) for name in SPLITS] == [1007, 215, 217]


@given(st.sets(st.integers(0, 5000), min_size=1), st.integers(0, 5))
def test_every_group_has_one_side_and_shares_are_kept(groups, seed):
    sides = split_groups(groups, SHARES, seed)
    assert sides.keys() == groups
    assert list(sides.values()).count("train") == int(len(groups) * 0.70)


def test_one_book_more_moves_few_others():
    few, more = split_groups(range(1000), SHARES, 42), split_groups(range(1001), SHARES, 42)
    assert sum(few[book] != more[book] for book in few) <= 3


def test_the_seed_decides():
    assert split_groups(range(99), SHARES, 1) != split_groups(range(99), SHARES, 2)
    assert split_groups(range(99), SHARES, 1) == split_groups(reversed(range(99)), SHARES, 1)


@pytest.mark.parametrize("text", ["", "1", "0.5,0.5", "0.5,0.6,-0.1", "0.7,0.2,0.2", "x,y,z", "nan,0,1"])
def test_shares_that_do_not_add_up_are_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011
        parse_shares(text)


def test_a_reprint_is_on_the_side_of_its_original(tmp_path):
    rows = [row for book in range(20) for row in book_rows(book, 5)]
    reprints = {100 + book: book for book in range(0, 20, 2)}
    for reprint, original in reprints.items():
        said = [row["text"] for row in book_rows(original, 5)]
        rows += [row | {"text": text} for row, text in zip(book_rows(reprint, 5), said, strict=True)]
    found, counts = build(write_panels(tmp_path / "p.parquet", rows), tmp_path)
    side = dict(zip(found["book"].to_pylist(), found["split"].to_pylist(), strict=True))
    group = dict(zip(found["book"].to_pylist(), found["group"].to_pylist(), strict=True))
    assert all(side[reprint] == side[original] and group[reprint] == original for reprint, original in reprints.items())
    assert (counts["books"], counts["groups"], counts["groups_across_splits"]) == (30, 20, 0)


def test_no_book_is_in_two_splits(tmp_path):
    rows = [row for book in range(20) for row in book_rows(book, 5)]
    for rules in ("v1", "v2"):
        found, counts = build(write_panels(tmp_path / f"{rules}.parquet", rows), tmp_path, rules=rules)
        pairs = set(zip(found["book"].to_pylist(), found["split"].to_pylist(), strict=True))
        assert len(pairs) == 20
        assert [counts[f"books_{name}"] for name in SPLITS] == [14, 3, 3]
        assert (
            sum(counts[f"sequences_{name}"] for name in SPLITS)
            == counts["sequences"]
            == np.unique(found["sequence_id"]).size
        )
