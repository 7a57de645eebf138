import csv

import numpy as np
import pytest

from cloze.data.folds import official_split
from cloze.errors import DataError
from tests.cloze.data.comics_files import book_rows, write_panels
from tests.cloze.data.test_sequences import build


def test_every_book_of_the_published_dev_fold_is_val(real_data):
    with (real_data / "official_folds" / "text_cloze_dev_easy.csv").open() as stream:
        books = np.array([int(row["book_id"]) for row in csv.DictReader(stream)])
    assert len(books) == 10_092
    assert set(official_split(books)) == {"val"}
    assert official_split(np.array([books.min() - 1, books.max() + 1])).tolist() == ["train", "test"]


def test_the_last_thousand_books_of_comics_are_val_and_test():
    sides = official_split(np.arange(3959)).tolist()
    # 30 of the 3,959 numbers are of no book; 500 books each, so 500 numbers and a few of the missing ones.
    assert (sides.count("train"), sides.count("val"), sides.count("test")) == (2946, 505, 508)


def test_a_book_that_comics_does_not_have_is_an_error(tmp_path):
    path = write_panels(tmp_path / "p.parquet", book_rows(5001, 5) + book_rows(3, 5))
    with pytest.raises(DataError, match=r"COMICS has no book 5001 .* use folds=ours"):
        build(path, tmp_path, folds="official")


def test_official_folds_split_the_sequences(tmp_path):
    rows = [row for book in (1, 2946, 3450, 3451) for row in book_rows(book, 5)]
    found, _ = build(write_panels(tmp_path / "p.parquet", rows), tmp_path, folds="official")
    sides = dict(zip(found["book"].to_pylist(), found["split"].to_pylist(), strict=True))
    assert sides == {1: "train", 2946: "val", 3450: "val", 3451: "test"}
