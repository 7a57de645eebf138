"""Where pictures lie and how one is read safely: a local folder, a bucket, or the drawn sample.

A table says where its pictures lie with a URI (`cloze.tables.images_uri`) and names each by its path below that root.
"""

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.data.pictures import MAX_BYTES, problem_of, to_rgb
from cloze.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class ImageFolder:
    """Pictures below one root.

    Attributes:
        uri: what a table says of it.
        root: local folder, or `bucket/path` on a remote file system.
        remote: the `pyarrow.fs` file system; None where the root is local.
    """

    uri: str
    root: str
    remote: Any = None

    def listing(self) -> set[str]:
        """Names of all pictures as `folder/file`, by one listing per folder and no look at any single file.

        Hidden files do not count: a copy made on a Mac has a `._` sidecar beside each picture.
        """
        names = self._remote_names() if self.remote else self._local_names()
        return {name for name in names if name.lower().endswith(SUFFIXES) and "/." not in f"/{name}"}

    def read(self, name: str) -> bytes:
        """The bytes of one picture, cut just past `MAX_BYTES`.

        Raises:
            DataError: the name leaves the root, or there is no such picture.
        """
        with self._open(name) as stream:
            content: bytes = stream.read(MAX_BYTES + 1)
            return content

    def ends(self, name: str, n_bytes: int) -> tuple[bytes, bytes]:
        """The first and the last bytes of one picture, `n_bytes` of each or all that it has.

        Raises:
            DataError: as `read`.
        """
        if self.remote:  # one request for the whole is answered sooner than several for parts
            content = self.read(name)
            return content[:n_bytes], content[-n_bytes:]
        with self._open(name) as stream:
            head = stream.read(n_bytes)
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - n_bytes))
            return head, stream.read(n_bytes)

    def load(self, name: str) -> "Image":
        """One picture as RGB.

        Raises:
            DataError: as `read`, or it is not a whole JPEG or PNG of a panel's size.
        """
        return self.decode(name, self.read(name))

    def decode(self, name: str, content: bytes) -> "Image":
        """One picture as RGB, of the bytes that `read` gave.

        Raises:
            DataError: it is not a whole JPEG or PNG of a panel's size.
        """
        if problem := problem_of(content):
            raise self._bad(name, problem)
        return to_rgb(content)

    def size(self, name: str) -> tuple[int, int]:
        """Height and width of one picture in pixels, from its header.

        Raises:
            DataError: as `load`, as far as a header shows it.
        """
        from PIL import Image

        with BytesIO(self.read(name)) if self.remote else self._open(name) as stream:
            try:
                with Image.open(stream, formats=("JPEG", "PNG")) as picture:
                    return picture.height, picture.width
            except (OSError, Image.DecompressionBombError) as error:
                raise self._bad(name, problem_of(self.read(name)) or "damaged") from error

    def _bad(self, name: str, problem: str) -> DataError:
        return DataError(f"{self.uri}/{name}", f"the picture is {problem}", "run `ingest` again to leave it out")

    def _open(self, name: str) -> Any:
        stays_below(name, self.uri)
        path = f"{self.root}/{name}"
        try:
            return self.remote.open_input_stream(path) if self.remote else Path(path).open("rb")
        except FileNotFoundError:
            raise DataError(f"{self.uri}/{name}", "no such picture", "check the folder or run `ingest` again") from None

    def _local_names(self) -> list[str]:
        names = []
        with os.scandir(self.root) as folders:
            for folder in folders:
                if folder.is_dir():
                    names += [f"{folder.name}/{name}" for name in os.listdir(folder.path)]  # noqa: PTH208
        return names

    def _remote_names(self) -> list[str]:
        from pyarrow import fs

        found = self.remote.get_file_info(fs.FileSelector(self.root, recursive=True))
        return [info.path[len(self.root) + 1 :] for info in found if info.type == fs.FileType.File]


def open_images(uri: str, cache: Path) -> ImageFolder:
    """The folder of pictures that a table's URI names.

    Args:
        uri: absolute folder, `gs://bucket/path`, or `sample:SEED:DIGEST`; the sample is drawn into `cache` when absent.
        cache: folder that outlives the run.

    Raises:
        DataError: no URI, no such folder, or a sample that this version of the code draws differently.
    """
    if uri.startswith("sample:"):
        from cloze.sample.world import sample_folder, sample_seed

        folder = sample_folder(cache, sample_seed(uri, "the table's pictures"))
        return ImageFolder(uri, str(folder / "raw_panel_images"))
    if not uri:
        raise DataError(
            "the table", "does not say where its pictures lie", "`mlflow run . -e ingest` makes one that does"
        )
    if "://" in uri:
        remote, root = open_remote(uri)
        return ImageFolder(uri, root, remote)
    if not Path(uri).is_dir():
        raise DataError(uri, "no such folder; the table's pictures were there", "put them back or run `ingest` again")
    return ImageFolder(uri, uri)


def open_remote(uri: str) -> tuple[Any, str]:
    """File system and path of a bucket's folder or file.

    Raises:
        DataError: a scheme other than `gs://`, or a URI that cannot be read.
    """
    import pyarrow as pa
    from pyarrow import fs

    if not uri.startswith("gs://"):
        raise DataError(uri, "cannot be opened; a local folder or gs://bucket/folder was expected")
    try:
        remote, root = fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(uri, f"cannot be opened ({error})", "expected gs://bucket/folder") from error
    if not root.strip("/"):
        raise DataError(uri, "names no bucket", "expected gs://bucket/folder")
    return remote, root.rstrip("/")


def stays_below(name: str, where: Path | str) -> None:
    """Refuse a name that could leave its root.

    Raises:
        DataError: absolute, with `..`, a backslash, a colon, or nothing at all.
    """
    if not name or name.startswith("/") or any(mark in name for mark in "\\:\0") or ".." in name.split("/"):
        raise DataError(where, f"the picture's path {name!r} leaves its root", "expected a path such as 12/3_4.jpg")
