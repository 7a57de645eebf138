from hypothesis import given
from hypothesis import strategies as st

from cloze.model.batches import collate, epoch_order
from cloze.model.conversation import Example

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 9), st.integers(0, 3))
def test_every_example_is_in_exactly_one_batch_of_an_epoch(lengths, size, epoch):
    batches = epoch_order(lengths, size, seed=1, epoch=epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert max(len(batch) for batch in batches) <= size
    assert batches == epoch_order(lengths, size, seed=1, epoch=epoch)


def test_epochs_and_seeds_have_orders_of_their_own():
    lengths = list(range(64))
    orders = [epoch_order(lengths, 4, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_examples_of_a_batch_are_of_like_length():
    lengths = [index % 50 for index in range(400)]
    batches = epoch_order(lengths, 8, seed=0, epoch=0)
    padding = sum(max(lengths[i] for i in batch) - lengths[i] for batch in batches for i in batch)
    assert padding < 0.1 * sum(lengths)


def test_examples_are_padded_on_the_right_without_loss():
    short = Example("a", (5, 6), (False, True), ("a.jpg",))
    long = Example("b", (5, 6, 7), (False, True, True), (None,))
    batch = collate([short, long], pad_id=0)
    assert batch.ids.tolist() == [[5, 6, 0], [5, 6, 7]]
    assert batch.supervised.tolist() == [[False, True, False], [False, True, True]]
    assert (batch.sequence_ids, batch.pictures, batch.n_tokens) == (("a", "b"), ("a.jpg", None), 5)
