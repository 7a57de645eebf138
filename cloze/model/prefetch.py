"""Work on the host done ahead of the device that waits for it."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(items: Iterable[T], prepare: Callable[[T], R], n: int = 2) -> Generator[R, None, None]:
    """Each item prepared, in order, while up to `n` further ones are being prepared in threads.

    An error is raised where its item is asked for. Whoever leaves before the end closes the generator (as `for` does
    not): what has not begun is then left undone, and no thread remains.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(n, thread_name_prefix="ahead") as threads:
        try:
            for item in items:
                waiting.append(threads.submit(prepare, item))
                if len(waiting) > n:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
