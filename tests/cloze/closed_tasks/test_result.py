"""Accuracies: ties count what drawing one would give, and neighbours are not independent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.closed_tasks.items import Item
from cloze.closed_tasks.result import accuracy, choose, controls, items_digest, rows


def item(n: int = 0, answer: int = 0, book: int = 1, texts: tuple[str, ...] = ("aa", "b", "ccc")) -> Item:
    return Item(f"{book}/1_{n}", book, (), tuple((text,) for text in texts), answer)


@pytest.mark.parametrize(
    ("scores", "credit", "ties"),
    [([3, 1, 2], 1, 0), ([1, 3, 2], 0, 0), ([3, 3, 1], 0.5, 1), ([1, 3, 3], 0, 1), ([0, 0, 0], 1 / 3, 1)],
)
def test_a_tie_counts_the_share_of_the_right_one(scores, credit, ties):
    choices = choose([item()], [scores])
    assert choices.credit.tolist() == [pytest.approx(credit)]
    assert choices.ties == ties


@given(st.permutations([0, 1, 2]), st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.integers(0, 2))
def test_the_order_of_the_candidates_does_not_matter(order, scores, answer):
    one = choose([item(answer=answer)], [scores])
    other = choose([item(answer=order.index(answer))], [[scores[k] for k in order]])
    assert one.credit == pytest.approx(other.credit)


def test_what_rounding_makes_of_equal_scores_is_a_tie():
    assert choose([item()], [[0.1 + 0.2, 0.3, 0.0]]).ties == 1
    assert choose([item()], [[-0.1 - 0.2, -0.3, -1.0]]).ties == 1


def test_a_score_that_is_no_number_is_not_scored_as_wrong():
    with pytest.raises(ValueError, match="item 1/1_0: a score is not a number"):
        choose([item()], [[1.0, float("nan"), 0.0]])


def test_many_items_of_few_books_are_as_sure_as_few_items():
    answers = [0, 1, 0, 0]
    items = [item(n, answer, book) for book, answer in enumerate(answers) for n in range(10)]
    found = accuracy(items, choose(items, [[1, 0, 0]] * 40), 500, 0)
    assert (found["accuracy"], found["n"], found["n_books"]) == (0.75, 40, 4)
    # Four means of 1, 0, 1, 1: their own standard error.
    assert found["stderr_clustered"] == pytest.approx(np.std([1, 0, 1, 1], ddof=1) / 2)
    low, high = found["ci_low"], found["ci_high"]
    assert low is not None
    assert high is not None
    assert low < 0.75 < high


def test_one_book_leaves_the_error_unknown():
    items = [item(0), item(1)]
    found = accuracy(items, choose(items, [[1, 0, 0]] * 2), 100, 0)
    assert found["stderr_clustered"] is found["ci_low"] is found["ci_high"] is None


def test_controls_read_nothing():
    items = [item(0, 2), item(1, 2), item(2, 0), item(3, 1)]
    found = controls(items)
    assert found == {"chance": pytest.approx(1 / 3), "longest": 0.5, "shortest": 0.25, "commonest_place": 0.5}


def test_rows_say_what_was_chosen_and_a_tie_chooses_nothing():
    items = [item(0, 1), item(1, 1)]
    first, second = rows(items, {"cosine": [[0.1, 0.9, 0.2], [0.5, 0.5, 0.1]]}, "cosine")
    assert first == {
        "item_id": "1/1_0",
        "book": 1,
        "scores": [0.1, 0.9, 0.2],
        "choice": 1,
        "right": 1,
        "correct": 1.0,
    }
    assert (second["choice"], second["correct"]) == (None, 0.5)


def test_the_digest_tells_other_questions_not_another_order():
    items = [item(0), item(1)]
    assert items_digest(items) == items_digest(items[::-1])
    assert items_digest(items) != items_digest([item(0), item(1, answer=1)])
