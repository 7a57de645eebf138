"""Finding the files of a set of comics: pictures, OCR table and ad pages, on a disk, in a bucket, or drawn."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from cloze.data.adverts import ADS_FILE
from cloze.data.images import ImageFolder, open_images, open_remote
from cloze.data.ocr_tables import find_ocr_table
from cloze.errors import DataError

SAMPLE = "sample"
PICTURE_FOLDERS = ("raw_panel_images", "images")


class ComicFiles(NamedTuple):
    """What was found; the tables are local by now.

    Attributes:
        images: where the pictures are.
        ocr: the OCR table.
        ads: the file of ad pages, if any.
        facts: ground truth, where the comics are the sample.
    """

    images: ImageFolder
    ocr: Path
    ads: Path | None
    facts: Path | None = None


def draw_sample(seed: int, cache: Path) -> ComicFiles:
    """The sample, drawn into `cache` where it is not there yet."""
    from cloze.sample.world import sample_folder, sample_uri

    folder = sample_folder(cache, seed)
    ocr = find_ocr_table(folder, SAMPLE)
    return ComicFiles(open_images(sample_uri(seed), cache), ocr, folder / ADS_FILE, folder / "facts.parquet")


def find_comics(comics: str, ocr: str, ads: str, scratch: Path, *, need_pictures: bool) -> ComicFiles:
    """Find the files of the comics in a folder.

    Args:
        comics: local folder or `gs://bucket/folder`.
        ocr: the OCR table; empty for the one in the folder.
        ads: the file of ad pages; empty for the one in the folder, if there.
        scratch: where tables of a bucket are copied to.
        need_pictures: whether the folder must hold pictures.

    Raises:
        DataError: a folder or file is not there, or several could be meant.
    """
    folder, images = find_pictures(comics, scratch, copy_ocr=not ocr, need_pictures=need_pictures)
    table = local_table(ocr, scratch) if ocr else find_ocr_table(folder, comics)
    if ads:
        return ComicFiles(images, table, local_table(ads, scratch))
    return ComicFiles(images, table, folder / ADS_FILE if (folder / ADS_FILE).is_file() else None)


def find_pictures(
    comics: str, scratch: Path, *, copy_ocr: bool = True, need_pictures: bool = True
) -> tuple[Path, ImageFolder]:
    """The local folder that holds the comics' tables (`scratch` for a bucket's), and where their pictures are.

    Raises:
        DataError: no such folder or bucket, or no pictures where they are needed.
    """
    if "://" in comics:
        return scratch, _copy_tables(comics, scratch, copy_ocr=copy_ocr)
    folder = Path(comics).resolve()
    return folder, _local_pictures(folder, need_pictures)


def local_table(place: str, scratch: Path) -> Path:
    """A file that is named by path, copied to `scratch` where it lies in a bucket.

    Raises:
        DataError: there is none in the bucket.
    """
    if "://" not in place:
        return Path(place)
    remote, path = open_remote(place)
    _copy(remote, path, scratch / Path(path).name)
    return scratch / Path(path).name


def _local_pictures(folder: Path, need_pictures: bool) -> ImageFolder:
    if not folder.is_dir():
        raise DataError(folder, "no such folder; comics in the COMICS layout were expected")
    found = [folder / name for name in PICTURE_FOLDERS if (folder / name).is_dir()]
    if not found and any(path.name.isdecimal() for path in folder.iterdir()):
        found = [folder]
    if not found and need_pictures:
        raise DataError(
            folder,
            f"holds no pictures: no {' or '.join(PICTURE_FOLDERS)}, nor a folder named by a book's number",
            "pictures=assumed reads the lettering alone",
        )
    root = str(found[0] if found else folder / PICTURE_FOLDERS[0])
    return ImageFolder(root, root)


def _copy_tables(uri: str, scratch: Path, copy_ocr: bool) -> ImageFolder:
    """Copy the tables at the top of a bucket's folder; its pictures stay where they are."""
    from pyarrow import fs

    remote, root = open_remote(uri)
    try:
        top = remote.get_file_info(fs.FileSelector(root))
        # A bucket has no folders: a listing does not show them, but asked by name, it looks for what begins so.
        asked = remote.get_file_info([f"{root}/{name}" for name in PICTURE_FOLDERS])
    except OSError as error:
        raise DataError(uri, f"cannot be listed ({error})", "check the name and your access to it") from error
    for info in top:
        if info.base_name == ADS_FILE or (copy_ocr and info.base_name.endswith(".csv")):
            _copy(remote, info.path, scratch / info.base_name)
    below = next((f"/{info.base_name}" for info in asked if info.type == fs.FileType.Directory), "")
    place, mark, options = uri.partition("?")  # such as endpoint_override=...
    return ImageFolder(place.rstrip("/") + below + mark + options, root + below, remote)


def _copy(remote: Any, path: str, target: Path) -> None:
    try:
        with remote.open_input_stream(path) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except FileNotFoundError:
        raise DataError(path, "no such file") from None
