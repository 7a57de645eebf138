"""Signals that end a program become exceptions, so that its run gets its end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # the last: what schedulers warn with


class Terminated(BaseException):
    """SIGTERM or SIGUSR1 arrived. No Exception, so that nothing on the way takes it for an error of its own."""


def raise_on_signals() -> None:
    """Let SIGTERM and SIGUSR1 raise `Terminated`, SIGINT `KeyboardInterrupt`; only the first that comes does.

    A second one must not cut short what gives a run its end: MLflow would call the run FINISHED. A shell's background
    job is born deaf to SIGINT and stays so.
    """

    def handle(number: int, frame: FrameType | None) -> NoReturn:
        for heard in _SIGNALS:
            signal.signal(heard, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(signal.Signals(number).name)

    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)


@contextmanager
def signals_deferred() -> Iterator[None]:
    """A signal that arrives meanwhile is handled at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
