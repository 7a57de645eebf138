import base64
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cloze.data.images import ImageFolder
from cloze.errors import DataError, SettingsError
from cloze.labels.pictures import InBucket, Inline, Uploaded, require_usable, way_of


@pytest.fixture
def images(tmp_path: Path) -> ImageFolder:
    """Three pictures of 900 x 600 px, one of them damaged."""
    (tmp_path / "1").mkdir()
    for number in range(3):
        Image.effect_noise((900, 600), 90).save(tmp_path / "1" / f"2_{number}.jpg")
    whole = (tmp_path / "1" / "2_2.jpg").read_bytes()
    (tmp_path / "1" / "2_2.jpg").write_bytes(whole[: len(whole) // 2])
    return ImageFolder(str(tmp_path), str(tmp_path))


class Files:
    """Keeps what was uploaded, and how often."""

    def __init__(self) -> None:
        self.uploaded: list[str] = []

    def __call__(self, content: bytes, name: str) -> str:
        assert content.startswith(b"\xff\xd8")
        self.uploaded.append(name)
        return f"https://files/{name}"


def test_an_inline_picture_is_shrunk_jpeg(images):
    part = Inline(images, 384).part("1/2_0.jpg")["inlineData"]
    picture = Image.open(BytesIO(base64.b64decode(part["data"])))
    assert (part["mimeType"], picture.format, picture.size) == ("image/jpeg", "JPEG", (384, 256))


def test_a_picture_is_uploaded_once_however_many_sequences_show_it(images, tmp_path):
    files = Files()
    for _ in range(2):  # the second time as another process would
        pictures = Uploaded(images, 384, files, tmp_path / "uploaded.sqlite")
        pictures.prepare(["1/2_0.jpg", "1/2_1.jpg", "1/2_0.jpg"])
        pictures.prepare(["1/2_1.jpg"])
        assert pictures.part("1/2_0.jpg")["fileData"]["fileUri"].startswith("https://files/")
    assert len(files.uploaded) == len(set(files.uploaded)) == 2


def test_an_upload_that_may_have_expired_is_made_again(images, tmp_path):
    import sqlite3

    files = Files()
    Uploaded(images, 384, files, tmp_path / "uploaded.sqlite").prepare(["1/2_0.jpg"])
    with sqlite3.connect(tmp_path / "uploaded.sqlite") as database:
        database.execute("update uploaded set at = at - 24 * 3600")
    Uploaded(images, 384, files, tmp_path / "uploaded.sqlite").prepare(["1/2_0.jpg"])
    assert len(files.uploaded) == 2


def test_pictures_in_a_bucket_are_named_where_they_lie():
    part = InBucket(ImageFolder("gs://comics/panels", "comics/panels")).part("1/2_0.png")
    assert part == {"fileData": {"mimeType": "image/png", "fileUri": "gs://comics/panels/1/2_0.png"}}


def test_pictures_that_cannot_be_sent_are_found_before_anything_is(images):
    require_usable(images, ["1/2_0.jpg", "1/2_1.jpg"])
    with pytest.raises(
        DataError, match=r"2 of 3 pictures cannot be sent: 1/2_2.jpg \(damaged\), 1/9_9.jpg \(missing\)"
    ):
        require_usable(images, ["1/2_0.jpg", "1/2_2.jpg", "1/9_9.jpg"])


@pytest.mark.parametrize(
    ("uri", "vertex", "batch", "expected"),
    [
        ("gs://comics/panels", True, True, "gs"),
        ("/comics", True, True, "inline"),
        ("/comics", False, True, "upload"),
        ("/comics", False, False, "inline"),
    ],
)
def test_pictures_are_sent_once_where_that_can_be_done(uri, vertex, batch, expected):
    assert way_of("auto", ImageFolder(uri, uri), vertex=vertex, batch=batch) == expected


@pytest.mark.parametrize(("way", "vertex"), [("gs", False), ("gs", True), ("upload", True)])
def test_a_way_that_the_service_does_not_have_is_refused(way, vertex):
    with pytest.raises(SettingsError, match="pictures is"):
        way_of(way, ImageFolder("/comics", "/comics"), vertex=vertex, batch=True)
