import threading
import time

import pytest

from cloze.model.prefetch import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def slow_square(number: int) -> int:
    time.sleep(0.01 * (number % 3))
    return number * number


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("n_items", [0, 1, 2, 20])
def test_items_come_prepared_and_in_order(n, n_items):
    assert list(ahead(range(n_items), slow_square, n)) == [number * number for number in range(n_items)]
    assert not threads()


def test_the_next_items_are_prepared_while_one_is_used():
    begun = [threading.Event() for _ in range(9)]
    prepared = ahead(range(9), lambda number: begun[number].set(), n=3)
    next(prepared)
    assert all(event.wait(10) for event in begun[:4])
    assert not any(event.is_set() for event in begun[4:])
    prepared.close()


def test_an_error_is_raised_where_its_item_is_asked_for():
    def fail_at_two(number: int) -> int:
        if number == 2:
            raise LookupError("two")
        return number

    prepared = ahead(range(9), fail_at_two, n=4)
    assert [next(prepared), next(prepared)] == [0, 1]
    with pytest.raises(LookupError, match="two"):
        next(prepared)
    assert not threads()


def test_leaving_early_ends_the_threads_and_what_has_not_begun():
    done: list[int] = []
    prepared = ahead(range(100), lambda number: done.append(slow_square(number)), n=2)
    next(prepared)
    prepared.close()
    assert not threads()
    assert len(done) <= 4
