import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cloze.data.runs import join_texts, pages_of, run_lengths, run_starts, spread


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2))))
def test_runs_put_together_are_the_columns_again(rows):
    one, other = (np.array([row[i] for row in rows], int) for i in (0, 1))
    starts = run_starts(one, other)
    assert spread(one[starts], starts, len(rows)).tolist() == one.tolist()
    assert run_lengths(starts, len(rows)).sum() == len(rows)
    assert all(rows[start] != rows[start - 1] for start in starts[1:])


@given(st.lists(st.lists(st.text(max_size=3), max_size=4)))
def test_texts_of_each_run_are_joined_with_a_space(runs):
    flat = pa.array([text for run in runs for text in run], pa.string())
    assert join_texts(flat, np.array([len(run) for run in runs], int)).to_pylist() == [" ".join(run) for run in runs]


def test_the_same_page_number_in_the_next_book_is_another_page():
    pages = pages_of(np.array([1, 1, 2, 2, 2]), np.array([7, 7, 7, 8, 8]))
    assert pages.starts.tolist() == [0, 2, 3]
    assert pages.n_panels.tolist() == [2, 1, 2]
