import os

from cloze.digests import folder_digest


def test_a_folder_s_digest_changes_with_names_and_contents_and_not_with_hidden_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    first = folder_digest(tmp_path / "a")
    (tmp_path / "a" / ".hidden").write_text("2")
    assert folder_digest(tmp_path / "a") == first
    os.rename(tmp_path / "a" / "x", tmp_path / "a" / "y")  # noqa: PTH104
    assert folder_digest(tmp_path / "a") != first
