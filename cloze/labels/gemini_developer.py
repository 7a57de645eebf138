"""Batches of Gemini's Developer API: requests and pictures travel as uploaded files."""

import hashlib
import logging
import re
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.errors import DataError
from cloze.labels.gemini_batch import GoogleBatch
from cloze.labels.gemini_calls import Calls, as_job, http_options, publish
from cloze.labels.provider import Job, RefusedError, UncertainError

if TYPE_CHECKING:
    from google.genai import types

logger = logging.getLogger(__name__)

_PAGE = 100  # jobs on a page of the list, the most there may be
# Uploaded files live for 48 hours. One that is older than this may die before its job runs, and is uploaded anew.
_RENEWED_S = 12 * 3600
_FILE_NAME = re.compile(r"[a-z0-9](-?[a-z0-9]){0,38}")
_PICTURE_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"RIFF": "image/webp"}


class GeminiBatch(GoogleBatch):
    """Batches of the Developer API (`cloze.labels.provider.BatchProvider`); requests travel as an uploaded file.

    Args:
        base_url: another server, of uploads, too.
        pause_s: before a second attempt of what may be repeated.
    """

    def __init__(self, api_key: str, base_url: str | None = None, pause_s: float = 1.0) -> None:
        from google.genai import Client

        self._base_url = base_url
        self._calls = Calls(lambda: (api_key,), pause_s)
        self._operations: dict[str, Mapping[str, Any]] = {}  # jobs as they came in the last call
        self._client = Client(vertexai=False, api_key=api_key, http_options=http_options(base_url, self._keep))

    def upload(self, path: Path, name: str) -> str:
        """Upload a file of requests; where it is there already, nothing is sent. The name of the file at Google's.

        Raises:
            UncertainError, BusyError, RefusedError
        """
        n_bytes, own = path.stat().st_size, _file_name(name)
        file = self._calls.again(f"upload of {name}", lambda: self._send(path, own, "jsonl", n_bytes))
        if file.name is None:
            raise UncertainError(f"upload of {name}: Google names no file")
        return file.name

    def upload_picture(self, picture: Path | bytes, name: str) -> str:
        """Upload a picture once for all requests that show it; the URI for their `fileData`, good for 36 hours or more.

        The file is called after its content, so that doing it twice is harmless. Threads may call it together.

        Args:
            name: shown by Google in lists; ours are digests.

        Raises:
            DataError: neither JPEG, PNG nor WEBP.
            UncertainError, BusyError, RefusedError
        """
        content = picture if isinstance(picture, bytes) else picture.read_bytes()
        kinds = [kind for start, kind in _PICTURE_TYPES.items() if content.startswith(start)]
        if not kinds:
            raise DataError(name, "neither a JPEG, a PNG nor a WEBP picture")
        own = f"{hashlib.sha256(content).hexdigest()[:32]}-{int(time.time() // _RENEWED_S):x}"
        file = self._calls.again(
            f"upload of picture {name}", lambda: self._send(content, own, kinds[0], len(content), name)
        )
        if file.uri is None:
            raise UncertainError(f"upload of picture {name}: Google names no URI")
        return file.uri

    def create(self, model: str, source: str, display_name: str) -> Job:
        """Start a job, in one attempt.

        Raises:
            UncertainError: it may have been started.
            BusyError, RefusedError: it was not.
        """
        from google.genai import types

        self._operations.clear()
        with self._calls.once(f"creating job {display_name}"):
            job = self._client.batches.create(
                model=model, src=source, config=types.CreateBatchJobConfig(display_name=display_name)
            )
        return self._job(job)

    def _send(
        self, content: Path | bytes, name: str, mime_type: str, n_bytes: int, display_name: str = ""
    ) -> "types.File":
        """Upload under a name of ours; a name that is taken means that an earlier attempt came through."""
        from google.genai import errors, types

        config = types.UploadFileConfig(
            name=name,
            mime_type=mime_type,
            display_name=display_name or name,
            # Chunks go where the first answer says, whatever the client's base_url, unless the call itself has one.
            http_options=types.HttpOptions(base_url=self._base_url) if self._base_url else None,
        )
        try:
            file = self._client.files.upload(
                file=content if isinstance(content, Path) else BytesIO(content), config=config
            )
        except errors.APIError as error:
            if error.code != 409:
                raise
            file = self._client.files.get(name=name)
        if file.size_bytes != n_bytes:
            raise RefusedError(f"files/{name} has {file.size_bytes} bytes at Google's, and {n_bytes} here")
        return file

    def _find(self, display_name: str) -> list[Job]:
        """The API cannot search, so the whole list is read."""
        from google.genai import types

        self._operations.clear()
        found = []
        for job in self._client.batches.list(config=types.ListBatchJobsConfig(page_size=_PAGE)):
            if job.display_name == display_name:
                found.append(self._job(job))
            self._operations.pop(job.name or "", None)
        return sorted(found, key=lambda job: job.created)

    def _fetch(self, name: str, path: Path) -> None:
        partial = path.with_name(f".{path.name}.partial")
        self._client.files.download(file=name, destination=partial)
        try:
            with self._calls.once(f"size of {name}"):
                n_bytes = self._client.files.get(name=name).size_bytes
        except RefusedError as error:
            # What has been paid for is not left lying because Google will not tell its size: HTTP has checked it, too.
            logger.warning("%s; taking the download as whole", error)
            n_bytes = None
        publish(partial, path, n_bytes)

    def _job(self, job: "types.BatchJob") -> Job:
        operation = self._operations.get(job.name or "", {})
        error = operation.get("error")
        return as_job(
            job,
            job.dest.file_name if job.dest else None,
            f"{error.get('code')}: {error.get('message')}" if isinstance(error, Mapping) and error else None,
        )

    def _keep(self, response: Any) -> None:
        """Keep jobs as they come over the wire: the client drops the error of a job of the Developer API."""
        path = response.url.path
        if response.status_code != 200 or not ("/batches" in path or path.endswith(":batchGenerateContent")):
            return
        response.read()
        try:
            found = response.json()
        except ValueError:
            return  # the client says what it makes of that
        for operation in found.get("operations", [found]) if isinstance(found, dict) else []:
            self._operations[str(operation.get("name"))] = operation


def _file_name(name: str) -> str:
    """A name that Google takes for a file: ours where it will do, else its digest."""
    return name if _FILE_NAME.fullmatch(name) and len(name) <= 40 else hashlib.sha256(name.encode()).hexdigest()[:40]
