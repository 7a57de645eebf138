"""How far long work is: a bar on a terminal, now and then a line in a log."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

logger = logging.getLogger(__name__)

_SAID_EVERY_S = 60.0


@contextmanager
def progress(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Gives a function that is told how many more are done."""
    began = said = time.monotonic()
    n_done = 0
    with tqdm(total=total, unit=unit, disable=None) as bar:  # None: where there is no terminal

        def update(n: int) -> None:
            nonlocal said, n_done
            n_done += n
            bar.update(n)
            now = time.monotonic()
            if bar.disable and n_done < total and now - said >= _SAID_EVERY_S:
                said = now
                logger.info("%s of %s %ss after %.0f s", f"{n_done:,}", f"{total:,}", unit, now - began)

        yield update
