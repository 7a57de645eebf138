"""Stopping in good order: a signal or a file asks, the step under way is finished, what is done is saved.

Schedulers warn before they kill: SIGTERM before a preemption, SIGUSR1 or a file before a time limit (a file, because
`torchrun` dies of SIGUSR1 and its exit status says nothing of its processes). Who stopped in good order leaves word in
another file, by which a batch script knows that the job is to be queued again.
"""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cloze.stage import REQUEUE_FILE, STOP_FILE

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Whether somebody asked to stop, and who."""

    def __init__(self) -> None:
        self._signal: signal.Signals | None = None

    @property
    def reason(self) -> str:
        """The signal's name, or the file's; empty where nobody asked."""
        if self._signal is not None:
            return self._signal.name
        file = os.environ.get(STOP_FILE, "")
        return file if file and Path(file).exists() else ""

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; a second Ctrl-C does not wait for the step."""
        if number == signal.SIGINT == self._signal:
            raise KeyboardInterrupt
        self._signal = signal.Signals(number)
        logger.info("%s: stopping after this step", self._signal.name)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Note signals instead of dying of them, until the block is left."""
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if number == signal.SIGUSR1 or handler != signal.SIG_IGN:  # what is ignored stays so: a shell's background job
            signal.signal(number, request.hear)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ask_for_requeue() -> bool:
    """Leave word that this job is to be queued again, where somebody named a file for it."""
    file = os.environ.get(REQUEUE_FILE, "")
    if file:
        Path(file).touch()
    return bool(file)
