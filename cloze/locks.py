"""A lock that one process holds, and that the system takes back when it dies."""

import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from cloze.errors import MissingInputError


def locked(path: Path, what: str, *, wait: bool = False) -> IO[str]:
    """The open lock file, with who holds it written in it; closing it gives the lock back.

    Args:
        path: of the file that stands for it; made where it is not.
        what: is locked, in words.
        wait: until another process that holds it gives it back.

    Raises:
        MissingInputError: another process holds it, and it is not waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        stream.seek(0)
        holder = stream.read().strip() or "another process"
        stream.close()
        raise MissingInputError(f"{what} is in use by {holder}; wait until it has ended, or end it") from None
    stream.truncate(0)
    stream.write(f"process {os.getpid()} on {socket.gethostname()}")
    stream.flush()
    return stream
