"""Floors: what trivial predictors would say, and what that scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloze.scoring.floors import COMPARATORS, FLOORS, floor_scores, foreign, labels, length
from cloze.scoring.references import (
    Examples,
    Reference,
    facts_reference,
    label_reference,
    lettering_reference,
    read_examples,
)
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
    texts = foreign(label_reference(tmp_path / "labels.parquet", "pred", examples), examples, 1, {})
    books = [min(int(text.split()[2].split("/")[0]), 3) for text in texts if text]
    assert len(books) == len(examples)
    assert (np.array(books) != examples.groups).all()
    assert len(set(texts)) > 8


def test_the_seed_decides_which_and_the_order_of_rows_does_not(examples, tmp_path):
    reference = lettering_reference(examples)
    ids = examples.ids[::-1]
    path = write(tmp_path, "predictions", [prediction(key, "x") for key in ids], stem="reversed")
    turned = read_examples(path, tmp_path / "sequences.parquet")
    again = foreign(lettering_reference(turned), turned, 1, {})
    assert dict(zip(ids, again, strict=True)) == dict(
        zip(examples.ids, foreign(reference, examples, 1, {}), strict=True)
    )
    assert foreign(reference, examples, 2, {}) != foreign(reference, examples, 1, {})


def test_panel5_of_facts_is_what_is_known_of_panel_5(examples, tmp_path):
    scores = floor_scores("panel5", facts_reference(tmp_path / "facts.parquet", examples), examples, 1, {})
    assert scores["recall"].tolist() == [1.0] + [0.0] * (len(examples) - 1)


def test_the_context_floor_is_the_lettering_of_all_shown_panels(examples):
    texts = FLOORS["context"](lettering_reference(examples), examples, 1, {})
    assert texts[0] == "one panel five of 1"


def test_without_another_book_the_foreign_floor_is_unknown(tmp_path):
    rows = [sequence(1, number, ["a", "b", "c"]) for number in range(3)]
    predictions = write(tmp_path, "predictions", [prediction(row["sequence_id"], "x") for row in rows])
    only = read_examples(predictions, write(tmp_path, "sequences", rows))
    assert np.isnan(floor_scores("foreign", lettering_reference(only), only, 1, {})["rouge1"]).all()
    assert floor_scores("panel5", lettering_reference(only), only, 1, {})["rouge1"].tolist() == [0, 0, 0]


def texts_of(rows: list[tuple[int, int, int]]) -> tuple[Reference, Examples]:
    """Examples of (book, words of the prediction, words of the reference); each reference is told by its number."""
    references = [" ".join([f"r{i}"] * n) for i, (_, _, n) in enumerate(rows)]
    predictions = [" ".join(["p"] * n) for _, n, _ in rows]
    ids = [f"{book}/0_{i}" for i, (book, _, _) in enumerate(rows)]
    examples = Examples(ids, predictions, np.array([book for book, _, _ in rows]), [], [])
    return Reference("pred", references, [], lambda texts: {}), examples


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20),
    st.integers(0, 99),
)
def test_no_foreign_reference_is_nearer_to_the_predictions_length(rows, seed):
    reference, examples = texts_of(rows)
    for (book, wanted, _), text in zip(rows, length(reference, examples, seed, {}), strict=True):
        foreign_lengths = [n for other, _, n in rows if other != book and n > 0]
        if text is None:
            assert not foreign_lengths
        else:
            assert rows[int(text.split()[0][1:])][0] != book
            assert abs(len(text.split()) - wanted) == min(abs(n - wanted) for n in foreign_lengths)


def test_references_of_one_length_are_drawn_at_random_and_the_same_for_any_order():
    rows = [(i % 5, 7, 7) for i in range(200)]
    reference, examples = texts_of(rows)
    texts = length(reference, examples, 1, {})
    assert len(set(texts)) > 80
    assert texts != length(reference, examples, 2, {})
    turned = Examples(examples.ids[::-1], examples.predictions[::-1], examples.groups[::-1], [], [])
    again = length(Reference("pred", reference.texts[::-1], [], reference.score), turned, 1, {})
    assert again[::-1] == texts


def test_facts_have_no_floor_of_the_predictions_length(examples, tmp_path):
    facts = facts_reference(tmp_path / "facts.parquet", examples)
    assert length(facts, examples, 1, {}) == [None] * len(examples)


def test_the_labeller_to_compare_with_is_the_other_one_and_no_floor(examples):
    names = ("pred", "descp", "lettering")
    n = len(examples)
    others = {name: Reference(name, [name] * n, [], lambda texts: {}) for name in names}
    assert [labels(others[name], examples, 1, others)[0] for name in names] == ["descp", "pred", "pred"]
    assert labels(others["pred"], examples, 1, {"pred": others["pred"]}) == [None] * n
    assert (
        labels(others["pred"], examples, 1, others | {"descp": Reference("descp", [""] * n, [], lambda texts: {})})[0]
        is None
    )
    assert not set(COMPARATORS) & set(FLOORS)
