"""Floors: what trivial predictors would say, and what that scores."""

import numpy as np
import pytest

from cloze.scoring.floors import FLOORS, floor_scores, foreign
from cloze.scoring.references import facts_reference, label_reference, lettering_reference, read_examples
from tests.cloze.scoring.tiny import fact, label, prediction, sequence, write


@pytest.fixture
def examples(tmp_path):
    rows = [
        sequence(book, number, ["one", f"panel five of {book}", f"target {book} {number}"], group=min(book, 3))
        for book in (1, 2, 3, 4)  # 4 reprints 3
        for number in range(5)
    ]
    ids = [row["sequence_id"] for row in rows]
    write(tmp_path, "labels", [label(key, f"label of {key}") for key in ids])
    write(tmp_path, "facts", [fact(key, f"hat{key[0]}", "both") for key in ids] + [fact("1/0_1", "hat1", "picture")])
    predictions = write(tmp_path, "predictions", [prediction(key, "x") for key in ids])
    return read_examples(predictions, write(tmp_path, "sequences", rows))


def test_a_foreign_label_is_never_of_the_same_book_nor_of_its_reprint(examples, tmp_path):
    texts = foreign(label_reference(tmp_path / "labels.parquet", "pred", examples), examples, seed=1)
    books = [min(int(text.split()[2].split("/")[0]), 3) for text in texts if text]
    assert len(books) == len(examples)
    assert (np.array(books) != examples.groups).all()
    assert len(set(texts)) > 8


def test_the_seed_decides_which_and_the_order_of_rows_does_not(examples, tmp_path):
    reference = lettering_reference(examples)
    ids = examples.ids[::-1]
    path = write(tmp_path, "predictions", [prediction(key, "x") for key in ids], stem="reversed")
    turned = read_examples(path, tmp_path / "sequences.parquet")
    again = foreign(lettering_reference(turned), turned, seed=1)
    assert dict(zip(ids, again, strict=True)) == dict(zip(examples.ids, foreign(reference, examples, 1), strict=True))
    assert foreign(reference, examples, 2) != foreign(reference, examples, 1)


def test_panel5_of_facts_is_what_is_known_of_panel_5(examples, tmp_path):
    scores = floor_scores("panel5", facts_reference(tmp_path / "facts.parquet", examples), examples, seed=1)
    assert scores["recall"].tolist() == [1.0] + [0.0] * (len(examples) - 1)


def test_the_context_floor_is_the_lettering_of_all_shown_panels(examples):
    texts = FLOORS["context"](lettering_reference(examples), examples, 1)
    assert texts[0] == "one panel five of 1"


def test_without_another_book_the_foreign_floor_is_unknown(tmp_path):
    rows = [sequence(1, number, ["a", "b", "c"]) for number in range(3)]
    predictions = write(tmp_path, "predictions", [prediction(row["sequence_id"], "x") for row in rows])
    only = read_examples(predictions, write(tmp_path, "sequences", rows))
    assert np.isnan(floor_scores("foreign", lettering_reference(only), only, 1)["rouge1"]).all()
    assert floor_scores("panel5", lettering_reference(only), only, 1)["rouge1"].tolist() == [0, 0, 0]
