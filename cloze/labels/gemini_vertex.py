"""Batches of Vertex AI: requests and answers lie in a bucket of Google Cloud Storage."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.errors import SettingsError
from cloze.labels.gemini_batch import GoogleBatch
from cloze.labels.gemini_calls import TIMEOUT_S, Calls, as_job, publish, vertex_client
from cloze.labels.provider import Job, RefusedError, UncertainError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.genai import types


class VertexBatch(GoogleBatch):
    """Batches of Vertex AI (`cloze.labels.provider.BatchProvider`).

    Args:
        bucket: `gs://BUCKET/FOLDER`; requests go to `FOLDER/requests`, answers to `FOLDER/answers`.
        base_url: another server of Vertex AI; that of the storage is taken from STORAGE_EMULATOR_HOST.
        pause_s: before a second attempt of what may be repeated.

    Raises:
        SettingsError: the bucket has no name.
    """

    def __init__(
        self,
        project: str,
        location: str,
        credentials: "Credentials",
        bucket: str,
        base_url: str | None = None,
        pause_s: float = 1.0,
    ) -> None:
        from google.cloud import storage  # type: ignore[import-untyped]

        name, _, folder = bucket.removeprefix("gs://").partition("/")
        if not name:
            raise SettingsError("bucket", bucket, "gs://BUCKET/FOLDER")
        self._folder = f"{folder.strip('/')}/" if folder.strip("/") else ""
        self._calls = Calls(lambda: (credentials.token or "",), pause_s)
        self._client = vertex_client(project, location, credentials, base_url)
        self._storage = storage.Client(project=project, credentials=credentials)
        self._bucket = self._storage.bucket(name)

    def upload(self, path: Path, name: str) -> str:
        """Upload a file of requests; where it is there already, nothing is sent. Its gs:// URI.

        Raises:
            UncertainError, BusyError, RefusedError
        """
        blob = self._bucket.blob(f"{self._folder}requests/{name}.jsonl")
        self._calls.again(f"upload of {name}", lambda: self._send(path, blob))
        return f"gs://{self._bucket.name}/{blob.name}"

    def create(self, model: str, source: str, display_name: str) -> Job:
        """Start a job, in one attempt.

        Raises:
            UncertainError: it may have been started.
            BusyError, RefusedError: it was not.
        """
        from google.genai import types

        answers = f"gs://{self._bucket.name}/{self._folder}answers/{display_name}"
        with self._calls.once(f"creating job {display_name}"):
            job = self._client.batches.create(
                model=model, src=source, config=types.CreateBatchJobConfig(display_name=display_name, dest=answers)
            )
        return self._job(job)

    def _send(self, path: Path, blob: Any) -> None:
        from google.api_core.exceptions import PreconditionFailed

        try:
            blob.upload_from_filename(
                path, content_type="application/jsonl", if_generation_match=0, timeout=TIMEOUT_S, retry=None
            )
        except PreconditionFailed:  # there already: an earlier attempt came through
            blob.reload(timeout=TIMEOUT_S, retry=None)
        if blob.size != path.stat().st_size:
            raise RefusedError(f"{blob.name} has {blob.size} bytes in the bucket, and {path.stat().st_size} here")

    def _find(self, display_name: str) -> list[Job]:
        from google.genai import types

        config = types.ListBatchJobsConfig(page_size=100, filter=f'display_name="{display_name}"')
        listed = (job for job in self._client.batches.list(config=config) if job.display_name == display_name)
        return sorted(map(self._job, listed), key=lambda job: job.created)

    def _fetch(self, result: str, path: Path) -> None:
        """One file of all answers; each of them ends its last line, whole or not, so that none eats another's first."""
        from google.cloud.storage.exceptions import DataCorruption  # type: ignore[import-untyped]

        name, _, prefix = result.removeprefix("gs://").partition("/")
        blobs = self._storage.list_blobs(name, prefix=f"{prefix.rstrip('/')}/", timeout=TIMEOUT_S, retry=None)
        files = sorted((blob for blob in blobs if blob.name.endswith(".jsonl")), key=lambda blob: str(blob.name))
        if not files:
            raise RefusedError(f"no answers lie in {result}")
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("wb") as stream:
            for blob in files:
                try:
                    blob.download_to_file(stream, timeout=TIMEOUT_S, retry=None)
                except DataCorruption as error:
                    raise UncertainError(f"download of {blob.name}: its checksum is wrong") from error
                stream.write(b"\n")
        publish(partial, path, sum(blob.size + 1 for blob in files))

    def _job(self, job: "types.BatchJob") -> Job:
        result = job.output_info.gcs_output_directory if job.output_info else None
        error = f"{job.error.code}: {job.error.message}" if job.error else None
        return as_job(job, result, error)
