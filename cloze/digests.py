"""SHA-256 of files and folders, and draws by it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 over names and contents of all files below a folder, as hex; hidden files do not count."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            digest.update(f"{relative.as_posix()}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()


def drawn(names: Sequence[str], n: int, salt: str = "") -> list[int]:
    """Places, ascending, of `n` of the names: the same names whatever their order, and a larger n keeps them.

    Args:
        salt: another one draws others.
    """
    ranks = [hashlib.sha256(f"{salt}{name}".encode()).digest() for name in names]
    return sorted(sorted(range(len(names)), key=ranks.__getitem__)[:n])
