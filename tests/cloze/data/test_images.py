import pytest
from PIL import Image
from pyarrow import fs

from cloze.data.images import ImageFolder, open_images, open_remote, stays_below
from cloze.data.pictures import MAX_BYTES
from cloze.errors import DataError
from tests.cloze.data.comics_files import jpeg, write_pictures

NAMES = {"1/2_3.jpg", "1/2_4.jpeg", "22/0_0.PNG"}
NO_PICTURES = ["1/._2_3.jpg", "1/notes.txt", ".hidden/1_1.jpg", "._1/1_1.jpg"]


def folders(tmp_path):
    """The same pictures, seen as a local folder and through a remote file system."""
    write_pictures(tmp_path, [*NAMES, *NO_PICTURES])
    return seen_twice(tmp_path)


def seen_twice(tmp_path):
    """A folder as a local one and through a remote file system."""
    remote = fs.SubTreeFileSystem(str(tmp_path.parent), fs.LocalFileSystem())
    return ImageFolder(str(tmp_path), str(tmp_path)), ImageFolder("gs://bucket/x", tmp_path.name, remote)


def test_a_listing_names_pictures_and_no_sidecars(tmp_path):
    for folder in folders(tmp_path):
        assert folder.listing() == NAMES


def test_a_picture_is_read_whole_or_by_its_ends(tmp_path):
    for folder in folders(tmp_path):
        content = jpeg()
        assert folder.read("1/2_3.jpg") == content
        assert folder.ends("1/2_3.jpg", 10) == (content[:10], content[-10:])
        assert folder.ends("1/2_3.jpg", 10**6) == (content, content)


def test_a_picture_is_loaded_as_rgb(tmp_path):
    for folder in folders(tmp_path):
        picture = folder.load("1/2_3.jpg")
        assert (picture.mode, picture.size) == ("RGB", (24, 16))


def test_a_bad_picture_is_an_error_that_names_it(tmp_path):
    write_pictures(tmp_path, ["1/2_3.jpg"], jpeg()[:200])
    folder = ImageFolder(str(tmp_path), str(tmp_path))
    with pytest.raises(DataError, match=r"1/2_3.jpg: the picture is damaged; run `ingest` again"):
        folder.load("1/2_3.jpg")


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path):
    (tmp_path / "1").mkdir()
    with (tmp_path / "1" / "2_3.jpg").open("wb") as stream:
        stream.truncate(20 * MAX_BYTES)
    folder = ImageFolder(str(tmp_path), str(tmp_path))
    with pytest.raises(DataError, match="the picture is too large"):
        folder.load("1/2_3.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_the_size_of_a_picture_is_its_height_and_width(tmp_path, suffix):
    (tmp_path / "1").mkdir()
    Image.new("L", (24, 16)).save(tmp_path / f"1/2_3{suffix}")
    for folder in seen_twice(tmp_path):
        assert folder.size(f"1/2_3{suffix}") == (16, 24)


def test_what_has_no_size_is_an_error_that_names_it(tmp_path):
    write_pictures(tmp_path, ["1/2_3.jpg"], b"not a picture at all")
    for folder in seen_twice(tmp_path):
        with pytest.raises(DataError, match=r"1/2_3.jpg: the picture is not a picture"):
            folder.size("1/2_3.jpg")
        with pytest.raises(DataError, match=r"9/9_9.jpg: no such picture"):
            folder.size("9/9_9.jpg")
        with pytest.raises(DataError, match="leaves its root"):
            folder.size("../secret.jpg")


def test_a_missing_picture_is_an_error_that_names_it(tmp_path):
    for folder in folders(tmp_path):
        with pytest.raises(DataError, match=r"9/9_9.jpg: no such picture"):
            folder.load("9/9_9.jpg")


@pytest.mark.parametrize(
    "name", ["../x.jpg", "1/../../x.jpg", "/etc/passwd", "a\\b.jpg", "C:/x.jpg", "", "1/x\0.jpg", ".."]
)
def test_a_name_that_leaves_the_root_is_refused(name, tmp_path):
    with pytest.raises(DataError, match="leaves its root"):
        stays_below(name, "panels.csv")
    with pytest.raises(DataError, match="leaves its root"):
        ImageFolder(str(tmp_path), str(tmp_path)).read(name)


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        open_images(str(tmp_path / "gone"), tmp_path)


@pytest.mark.parametrize("uri", ["", "http://example.org/x", "s3://bucket/x", "gs://", "gs://bucket?no=thing"])
def test_a_uri_that_cannot_be_opened_is_an_error(uri, tmp_path):
    with pytest.raises(DataError):
        open_images(uri, tmp_path)


def test_a_bucket_is_opened_without_asking_it():
    remote, root = open_remote("gs://bucket/comics/raw_panel_images/")
    assert root == "bucket/comics/raw_panel_images"
    assert remote.type_name == "gcs"


def test_a_sample_that_other_code_drew_is_refused(tmp_path):
    with pytest.raises(DataError, match="another version of the drawn sample"):
        open_images("sample:42:000000000000", tmp_path)
