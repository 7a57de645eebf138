"""What a provider of labels must be able to do; `gemini.py` and `openai.py` do it.

A request is `{"key": ..., "request": BODY}` where BODY is a `generateContent` body of the Gemini API in its REST form
(camelCase); other providers translate it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from cloze.errors import ClozeError, UserError
from cloze.labels.answers import Answer

Body = Mapping[str, Any]


class JobState(StrEnum):
    """What a provider says of a batch job."""

    RUNNING = "running"  # pending, queued, running, paused
    SUCCEEDED = "succeeded"  # also in part: what there is can be fetched
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Job:
    """A batch job as its provider knows it.

    Attributes:
        name: the provider's own name of it.
        display_name: the one that we gave it, by which it is found again.
        result: what to fetch its answers from, where there are any; a job that failed may have some, too.
        error: why it failed, by the provider's word.
    """

    name: str
    display_name: str
    state: JobState
    created: str
    result: str | None = None
    error: str | None = None


class UncertainError(ClozeError):
    """A call failed in a way that leaves open whether the provider did what was asked."""


class BusyError(ClozeError):
    """The provider wants no more at this moment (429, quota); `wait_s` is how long it asks to wait, 0 if unsaid."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class RefusedError(ClozeError):
    """The provider refused a call as wrong (4xx); nothing was made, and asking again would be refused again."""


class DeniedError(UserError, RefusedError):
    """The provider does not take the credentials (401, 403, an invalid key): no request of them is at fault."""


class BatchProvider(Protocol):
    """Takes files of requests and answers within a day."""

    def upload(self, path: Path, name: str) -> str:
        """Upload a file of requests under a name of ours; doing so twice is harmless. Returns what `create` takes.

        Raises:
            UncertainError, BusyError, RefusedError
        """

    def create(self, model: str, source: str, display_name: str) -> Job:
        """Start a job; never retried by itself, because that could pay twice.

        Raises:
            UncertainError: it may have been started: look for it with `find`.
            BusyError, RefusedError: it was not.
        """

    def find(self, display_name: str) -> list[Job]:
        """Every job of that name, oldest first."""

    def get(self, name: str) -> Job:
        """A job by the provider's name."""

    def cancel(self, name: str) -> None:
        """Ask for a job's end; one that has ended already is left alone."""

    def download(self, job: Job, path: Path) -> None:
        """Fetch the answers of a job whole: under a temporary name, its size checked, then renamed to `path`."""

    def answers(self, path: Path) -> Iterator[Answer]:
        """The answers in a downloaded file, in any order, as they stand: unknown keys and duplicates included.

        A line that is cut short or is no JSON is skipped with a warning: its key then counts as missing.
        """


class InteractiveProvider(Protocol):
    """Answers one request at a time."""

    async def ask(self, model: str, key: str, body: Body) -> Answer:
        """Send one request and classify its answer.

        Raises:
            BusyError: try again later; nothing was billed.
            UncertainError: the connection broke; it may have been billed, and its answer is lost.
            RefusedError: the request is wrong; nothing was billed.
            DeniedError: the credentials are; nothing was billed.
        """

    async def close(self) -> None:
        """Close connections."""
