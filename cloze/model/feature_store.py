"""What a frozen base makes of its inputs, on disk, memory-mapped: computed once, for every run that needs it.

A store is a folder for one way to compute features: whatever decides the numbers is in the folder's name, and a
picture's key is the digest of its file, a prompt's that of its tokens and pictures. So nothing has to be invalidated:
other content and other weights are found nowhere. Records are appended to shard files; an SQLite index says where
each lies. A record is written before its row is committed, in one transaction that other writers wait for: a process
that is killed leaves bytes that no row names and that the next writer takes. Each row holds a checksum, so what a disk
lost is computed again and never read.
"""

import errno
import fcntl
import hashlib
import json
import logging
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

logger = logging.getLogger(__name__)

INDEX = "index.sqlite"
SHARD_BYTES = 1 << 30
_WAIT_S = 300  # for another process that writes
_SCHEMA = """
create table if not exists pictures (
    key text primary key, shard integer not null, first integer not null, bytes integer not null,
    crc integer not null, tiles integer not null, tokens integer not null, channels integer not null,
    height integer not null, width integer not null
) without rowid;
create index if not exists places on pictures (shard, first);
"""


class Stored(NamedTuple):
    """A picture as the vision tower sees it, or a prompt as the language model does.

    Attributes:
        tiles: (tiles, tokens, channels) of the tower, or (layers * 2 * heads, tokens, size of a head) keys and values;
            in the base's own precision, in the host's memory.
        size: height and width of the picture in pixels; (0, 0) of a prompt.
    """

    tiles: torch.Tensor
    size: tuple[int, int]


class FeatureStore:
    """Features by the digest of what they are made of. Threads and processes of one machine may share it.

    Args:
        root: folder of all stores.
        what: everything that decides the numbers; each has a store of its own.
        dtype: of the features.
        budget_bytes: of all stores in `root` together; where it is used up, nothing more is stored.
        shard_bytes: no shard grows beyond it, unless a single picture is larger.
    """

    def __init__(
        self,
        root: Path,
        what: Mapping[str, Any],
        dtype: torch.dtype,
        budget_bytes: int,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        words = json.dumps(what, sort_keys=True, indent=2)
        self.folder = root / hashlib.sha256(words.encode()).hexdigest()[:20]
        self._dtype = dtype
        self._shard_bytes = shard_bytes
        self._maps: dict[int, np.memmap[Any, np.dtype[np.uint8]]] = {}
        self._lock = threading.Lock()  # of the connection and of the maps
        self.folder.mkdir(parents=True, exist_ok=True)
        # Two that turn a new file into a write-ahead log at once are refused, however long they would wait.
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (self.folder / "what.json").write_text(words + "\n")
            self._index = sqlite3.connect(
                self.folder / INDEX, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
            )
            self._index.execute("pragma journal_mode = wal")
            self._index.execute("pragma synchronous = normal")
            self._index.executescript(_SCHEMA)
        self._budget = budget_bytes
        self._is_full = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="features")
        self._written: Future[None] | None = None

    def close(self) -> None:
        """Store what waits, and let go of the files."""
        self.flush()
        self._writer.shutdown()
        with self._lock:
            self._index.close()
            self._maps.clear()

    def get(self, key: str) -> Stored | None:
        """Features of a picture; None where there are none, or where the disk damaged them."""
        with self._lock:
            row = self._index.execute(
                "select shard, first, bytes, crc, tiles, tokens, channels, height, width from pictures where key = ?",
                (key,),
            ).fetchone()
            if row is None:
                return None
            shard, first, n_bytes, crc, *shape, height, width = row
            mapped = self._mapped(shard, first + n_bytes)
        content = np.array(mapped[first : first + n_bytes])
        if zlib.crc32(content.data) != crc:
            logger.warning("features of picture %s are damaged in %s; they are computed again", key, self.folder)
            with self._lock:
                self._index.execute("delete from pictures where key = ? and crc = ?", (key, crc))
            return None
        return Stored(torch.from_numpy(content).view(self._dtype).reshape(shape), (height, width))

    def add_soon(self, pictures: Mapping[str, Stored]) -> None:
        """As `add`, in a thread of its own and of features on any device: the device does not wait for the disk."""
        if self._is_full:
            return
        self.flush()  # no more than one write waits, and an error is not lost

        def write() -> None:
            self.add({key: picture._replace(tiles=picture.tiles.cpu()) for key, picture in pictures.items()})

        self._written = self._writer.submit(write)

    def flush(self) -> None:
        """Wait until what was added is stored."""
        if self._written:
            self._written.result()

    def add(self, pictures: Mapping[str, Stored]) -> None:
        """Store features by key; those that are there already stay as they are.

        Once the budget, or the disk, is full, nothing is stored any more: the log says so once.
        """
        if self._is_full or not pictures:
            return
        try:
            others = (path for path in self.folder.parent.glob("*/*.bin") if path.parent != self.folder)
            budget = self._budget - sum(path.stat().st_size for path in others)
            with self._lock, self._transaction():
                for key, picture in pictures.items():
                    self._add(key, picture, budget)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._say_full("the disk is full")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            self._say_full("the disk is full")

    def _add(self, key: str, picture: Stored, budget: int) -> None:
        if self._is_full or self._index.execute("select 1 from pictures where key = ?", (key,)).fetchone():
            return
        content = picture.tiles.contiguous().view(torch.uint8).numpy().reshape(-1)
        shard, first = self._free_place(content.nbytes)
        if shard * self._shard_bytes + first + content.nbytes > budget:
            self._say_full("features_gb is used up")
            return
        path = self._shard(shard)
        path.touch()
        with path.open("r+b") as stream:
            stream.seek(first)
            stream.write(content.data)
        row = (key, shard, first, content.nbytes, zlib.crc32(content.data), *picture.tiles.shape, *picture.size)
        self._index.execute("insert into pictures values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _free_place(self, n_bytes: int) -> tuple[int, int]:
        """Shard and first byte after the last record that a row names."""
        last = self._index.execute(
            "select shard, first + bytes from pictures order by shard desc, first desc limit 1"
        ).fetchone()
        if last is None:
            return 0, 0
        shard, end = last
        return (shard, end) if end + n_bytes <= self._shard_bytes else (shard + 1, 0)

    def _mapped(self, shard: int, end: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
        """The shard up to `end` at least, or as far as there is one."""
        mapped = self._maps.get(shard)
        if mapped is None or len(mapped) < end:  # it has grown since
            path = self._shard(shard)
            if not path.is_file() or path.stat().st_size == 0:
                return np.empty(0, np.uint8)
            mapped = self._maps[shard] = np.memmap(path, np.uint8, "r")
        return mapped

    def _shard(self, shard: int) -> Path:
        return self.folder / f"{shard:06d}.bin"

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._index.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._index.execute("rollback")
            raise
        self._index.execute("commit")

    def _say_full(self, why: str) -> None:
        self._is_full = True
        logger.warning(
            "%s: further features are computed whenever they are needed; a folder in %s that nothing uses any "
            "more may be deleted",
            why,
            self.folder.parent,
        )
