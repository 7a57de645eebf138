import os

from hypothesis import given
from hypothesis import strategies as st

from cloze.digests import drawn, folder_digest


def test_a_folder_s_digest_changes_with_names_and_contents_and_not_with_hidden_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    first = folder_digest(tmp_path / "a")
    (tmp_path / "a" / ".hidden").write_text("2")
    assert folder_digest(tmp_path / "a") == first
    os.rename(tmp_path / "a" / "x", tmp_path / "a" / "y")  # noqa: PTH104
    assert folder_digest(tmp_path / "a") != first


@given(st.lists(st.text(), unique=True, min_size=2), st.data())
def test_a_draw_depends_on_the_set_of_names_and_a_larger_one_keeps_it(names, data):
    n = data.draw(st.integers(0, len(names) - 1))
    chosen = {names[place] for place in drawn(names, n)}
    shuffled = data.draw(st.permutations(names))
    assert {shuffled[place] for place in drawn(shuffled, n)} == chosen
    assert len(chosen) == n
    assert chosen <= {names[place] for place in drawn(names, n + 1)}


def test_another_salt_draws_others_and_places_come_in_order():
    names = [str(number) for number in range(100)]
    assert drawn(names, 10) == sorted(drawn(names, 10)) != drawn(names, 10, "another")
