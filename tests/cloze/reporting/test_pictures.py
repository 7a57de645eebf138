"""Thumbnails: each picture once, within the budget, gaps with their reason."""

import numpy as np
import pytest
from PIL import Image

from cloze.reporting import pictures
from cloze.reporting.pictures import GRADES, Gallery, Gap, Thumbnail


def test_a_picture_is_in_the_page_once_however_often_it_is_shown(tmp_path):
    (tmp_path / "1").mkdir()
    Image.new("RGB", (900, 300)).save(tmp_path / "1" / "1_1.png")
    gallery = Gallery(str(tmp_path), tmp_path / "cache", "p")
    first = gallery.show("1/1_1.png")
    assert isinstance(first, Thumbnail)
    assert gallery.show("1/1_1.png") is first
    assert (first.width, first.height) == (320, 107)
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


N_NOISE = 24


@pytest.fixture
def noise(noise_folder, monkeypatch):
    """Pictures that hardly compress, more than are few."""
    monkeypatch.setattr(pictures, "_FEW", 20)
    monkeypatch.setattr(pictures, "_PROBES", 6)
    return noise_folder


@pytest.fixture(scope="module")
def noise_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    for i in range(N_NOISE):
        Image.fromarray(rng.integers(0, 256, (400, 400, 3), dtype=np.uint8)).save(folder / f"{i}.jpg", quality=30)
    return folder


@pytest.mark.parametrize(("budget", "grade"), [(10**9, GRADES[0]), (480_000, None), (1000, GRADES[-1])])
def test_many_pictures_are_made_as_small_as_the_budget_asks(noise, tmp_path, monkeypatch, budget, grade):
    monkeypatch.setattr(pictures, "BUDGET", budget)
    names = [f"{i}.jpg" for i in range(N_NOISE)]
    gallery = Gallery(str(noise), tmp_path, "p", names)
    total = sum(len(shown.data) for name in names if isinstance(shown := gallery.show(name), Thumbnail))
    assert len(gallery.thumbnails) == N_NOISE
    if grade is None:
        assert GRADES.index(gallery.grade) in range(1, len(GRADES))
        assert 0.5 * budget < total < 1.05 * budget
    else:
        assert gallery.grade == grade


def test_few_pictures_are_never_made_smaller(noise, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "BUDGET", 1)
    assert Gallery(str(noise), tmp_path, "p", [f"{i}.jpg" for i in range(20)]).grade == GRADES[0]
