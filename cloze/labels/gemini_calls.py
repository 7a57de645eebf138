"""Calls to Google: what their failures mean, and which of them are made again.

The client's own retries are off, always. They cannot be trusted with a call that costs money (`batches.create` makes
two jobs out of one when an answer is lost), they do not help where help is needed (downloads, dropped connections),
and they ignore `Retry-After`.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cloze.errors import ClozeError
from cloze.labels.provider import BusyError, DeniedError, Job, JobState, RefusedError, UncertainError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.genai import Client
    from google.genai.errors import APIError
    from google.genai.types import BatchJob, HttpOptions

T = TypeVar("T")
logger = logging.getLogger(__name__)

TIMEOUT_S = 120.0  # without one the client waits for ever
ATTEMPTS = 5  # of a call that may be made again
_MAX_MESSAGE = 500  # characters of what the provider says
_TOO_MANY, _TIMED_OUT = 429, 408
_DENIED = (401, 403)
_INVALID_KEY = "API key"  # not valid, expired: Google calls that an invalid argument
# The client's own `done` is false for jobs that succeeded in part. The words come with BATCH_STATE_ or JOB_STATE_.
_ENDED = {
    "SUCCEEDED": JobState.SUCCEEDED,
    "PARTIALLY_SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
    "EXPIRED": JobState.EXPIRED,
}
_UNDER_WAY = frozenset({"UNSPECIFIED", "PENDING", "QUEUED", "RUNNING", "PAUSED", "UPDATING", "CANCELLING"})


class Calls:
    """Makes calls to one service, and hides its secrets in what it says of their failures.

    Args:
        secrets: what must never be shown, as of now (tokens change).
        pause_s: before the second attempt; doubled with each further one.
    """

    def __init__(self, secrets: Callable[[], tuple[str, ...]], pause_s: float = 1.0) -> None:
        self._secrets, self._pause_s = secrets, pause_s

    @contextmanager
    def once(self, what: str) -> Iterator[None]:
        """Make the call inside, and translate its failure.

        Raises:
            UncertainError: 5xx, a time-out or a broken connection.
            BusyError: 429.
            DeniedError: 401, 403, a key that is none.
            RefusedError: another 4xx.
        """
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from google.genai.errors import APIError

        try:
            yield
        # The originals hold requests, with keys in them, and are left out of the trace.
        except APIError as error:
            raise self._of_status(what, error.code, _message(error), asked_wait_s(error)) from None
        except GoogleAPICallError as error:
            raise self._of_status(what, error.code or 0, f"{error.code}: {error.message}", 0.0) from None
        except GoogleAuthError as error:
            kind = UncertainError if error.retryable else DeniedError
            raise kind(self._hidden(f"{what}: {error}")) from None
        except _broken() as error:
            raise UncertainError(self._hidden(f"{what}: {type(error).__name__}: {error}")) from None

    def again(self, what: str, call: Callable[[], T]) -> T:
        """The result of a call that is harmless to repeat, made up to `ATTEMPTS` times while it ends uncertainly.

        Raises:
            UncertainError, BusyError, RefusedError: as `once`.
        """
        for attempt in range(1, ATTEMPTS):
            try:
                with self.once(what):
                    return call()
            except UncertainError as error:
                pause_s = self._pause_s * 2 ** (attempt - 1)
                logger.warning("%s; again in %.1f s", error, pause_s)
                time.sleep(pause_s)
        with self.once(what):
            return call()

    def _of_status(self, what: str, code: int, message: str, wait_s: float) -> ClozeError:
        said = self._hidden(f"{what}: {message}")
        if code == _TOO_MANY:
            return BusyError(said, wait_s)
        if code in _DENIED or (code == 400 and _INVALID_KEY in message):
            return DeniedError(f"{said}; check the credentials and what they may use")
        if 400 <= code < 500 and code != _TIMED_OUT:
            return RefusedError(said)
        return UncertainError(said)

    def _hidden(self, text: str) -> str:
        for secret in filter(None, self._secrets()):
            text = text.replace(secret, "[hidden]")
        return text[:_MAX_MESSAGE]


def http_options(base_url: str | None, hook: Callable[[Any], None] | None = None) -> "HttpOptions":
    """Options of a client: one attempt per call, a time-out, and a hook that sees each response of the sync client."""
    from google.genai import types

    return types.HttpOptions(
        base_url=base_url,
        timeout=int(TIMEOUT_S * 1000),
        # Saying "one attempt" also switches off the async client's own silent second one.
        retry_options=types.HttpRetryOptions(attempts=1),
        client_args={"event_hooks": {"response": [hook]}} if hook else None,
    )


def vertex_client(project: str, location: str, credentials: "Credentials", base_url: str | None) -> "Client":
    """A client of Vertex AI."""
    from google.genai import Client

    return Client(
        vertexai=True,
        project=project,
        location=location,
        credentials=credentials,
        http_options=http_options(base_url),
    )


def as_job(job: "BatchJob", result: str | None, error: str | None) -> Job:
    """A job in our words."""
    word = str(job.state.value if job.state else "UNSPECIFIED").removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")
    if word not in _ENDED and word not in _UNDER_WAY:
        logger.warning("job %s is in an unknown state, %s; taken as running", job.name, word)
    state = _ENDED.get(word, JobState.RUNNING)
    return Job(
        name=job.name or "",
        display_name=job.display_name or "",
        state=state,
        created=job.create_time.isoformat() if job.create_time else "",
        result=result if state is not JobState.RUNNING else None,
        error=error,
    )


def asked_wait_s(error: "APIError") -> float:
    """Seconds that an answer asks to wait, in its header `Retry-After` or in a `RetryInfo`; 0 if it does not say."""
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    said = error.details.get("error") if isinstance(error.details, Mapping) else None
    details = (said.get("details") if isinstance(said, Mapping) else None) or []
    asked = [headers.get("retry-after", "")] + [
        str(detail.get("retryDelay", "")).removesuffix("s")
        for detail in details
        if isinstance(detail, Mapping) and str(detail.get("@type", "")).endswith("google.rpc.RetryInfo")
    ]
    return max(float(word) if word.replace(".", "", 1).isdecimal() else 0.0 for word in asked)


def is_overload(error: "APIError") -> bool:
    """Whether the model itself says that it has too much to do (503 UNAVAILABLE), and not some gateway before it.

    Google does not charge for that (https://ai.google.dev/gemini-api/docs/billing); of what happened behind a gateway
    nothing is known.
    """
    return error.code == 503 and isinstance(error.details, Mapping) and isinstance(error.details.get("error"), Mapping)


def publish(partial: Path, path: Path, n_bytes: int | None) -> None:
    """Give a downloaded file its name, on disk for good.

    Args:
        n_bytes: what it must have; None where the provider does not say.

    Raises:
        UncertainError: it came short.
    """
    found = partial.stat().st_size
    if n_bytes is not None and found != n_bytes:
        raise UncertainError(f"download of {path.name}: {found:,} of {n_bytes:,} bytes came")
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.rename(path)


def _message(error: "APIError") -> str:
    return f"{error.code} {error.status or ''}: {error.message or 'no message'}"


def _broken() -> tuple[type[Exception], ...]:
    """What the HTTP libraries raise when a connection breaks or an answer makes no sense."""
    import httpx2
    from google.genai.errors import UnknownApiResponseError
    from pydantic import ValidationError
    from requests.exceptions import RequestException

    kinds: list[type[Exception]] = [httpx2.TransportError, httpx2.DecodingError, RequestException, TimeoutError]
    kinds += [ConnectionError, UnknownApiResponseError, JSONDecodeError, ValidationError]
    if find_spec("aiohttp"):  # the async client takes it where it is installed
        from aiohttp import ClientError

        kinds.append(ClientError)
    return tuple(kinds)
