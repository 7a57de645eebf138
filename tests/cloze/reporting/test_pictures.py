"""Thumbnails: each picture once, gaps with their reason."""

from PIL import Image

from cloze.reporting.pictures import LONGEST_SIDE, Gallery, Gap, Thumbnail


def test_a_picture_is_in_the_page_once_however_often_it_is_shown(tmp_path):
    (tmp_path / "1").mkdir()
    Image.new("RGB", (900, 300)).save(tmp_path / "1" / "1_1.png")
    gallery = Gallery(str(tmp_path), tmp_path / "cache", "p")
    first = gallery.show("1/1_1.png")
    assert isinstance(first, Thumbnail)
    assert gallery.show("1/1_1.png") is first
    assert (first.width, first.height) == (LONGEST_SIDE, round(LONGEST_SIDE / 3))
    assert len(gallery.thumbnails) == 1
    assert first.data_uri.startswith("data:image/webp;base64,")


def test_a_picture_that_is_not_there_or_leaves_the_root_is_a_gap(tmp_path):
    gallery = Gallery(str(tmp_path), tmp_path / "cache", "p")
    reasons = [shown for name in ("1/1_1.jpg", "../secret.jpg", None) if isinstance(shown := gallery.show(name), Gap)]
    assert len(reasons) == 3
    assert "no such picture" in reasons[0].detail
    assert "leaves its root" in reasons[1].detail
    assert gallery.n_gaps == 2


def test_without_its_folder_the_gallery_says_so(tmp_path):
    gallery = Gallery(str(tmp_path / "gone"), tmp_path / "cache", "p")
    assert "no such folder" in gallery.problem
    assert isinstance(gallery.show("1/1_1.jpg"), Gap)
    assert "names no image root" in Gallery("", tmp_path, "p").problem
