"""What batches of both of Google's services have in common."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cloze.labels.answers import Answer
from cloze.labels.gemini_answers import read_answers
from cloze.labels.gemini_calls import Calls
from cloze.labels.provider import Job, JobState, RefusedError

if TYPE_CHECKING:
    from google.genai import Client, types


class GoogleBatch:
    """Looking after jobs that were made; where requests and answers lie is the service's own."""

    _client: "Client"
    _calls: Calls

    def find(self, display_name: str) -> list[Job]:
        """Every job of that name, oldest first."""
        return self._calls.again(f"looking for job {display_name}", lambda: self._find(display_name))

    def get(self, name: str) -> Job:
        """A job by the provider's name."""
        return self._job(self._calls.again(f"job {name}", lambda: self._client.batches.get(name=name)))

    def cancel(self, name: str) -> None:
        """Ask for a job's end; one that has ended already is left alone."""
        try:
            self._calls.again(f"cancelling {name}", lambda: self._client.batches.cancel(name=name))
        except RefusedError:
            if self.get(name).state is JobState.RUNNING:
                raise

    def download(self, job: Job, path: Path) -> None:
        """Fetch the answers of a job whole, under a temporary name at first.

        Raises:
            UncertainError, BusyError, RefusedError
        """
        if job.result is None:
            raise RefusedError(f"job {job.name} is {job.state} and has no answers")
        result = job.result
        self._calls.again(f"download of {result}", lambda: self._fetch(result, path))

    def answers(self, path: Path) -> Iterator[Answer]:
        """The answers in a downloaded file, as they stand."""
        return read_answers(path)

    def _find(self, display_name: str) -> list[Job]:
        raise NotImplementedError

    def _fetch(self, result: str, path: Path) -> None:
        raise NotImplementedError

    def _job(self, job: "types.BatchJob") -> Job:
        raise NotImplementedError
