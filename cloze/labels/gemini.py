"""Labels by Gemini: in batches, and one by one, through the Developer API or Vertex AI.

`gemini_developer` and `gemini_vertex` have the batches, `gemini_calls` says what failures mean, `gemini_answers` what
answers mean.
"""

import json
import os
import re
from typing import TYPE_CHECKING

from cloze.errors import MissingInputError, SettingsError
from cloze.labels.answers import Answer
from cloze.labels.gemini_answers import classify
from cloze.labels.gemini_calls import Calls, asked_wait_s, http_options, is_overload, vertex_client
from cloze.labels.gemini_developer import GeminiBatch
from cloze.labels.gemini_vertex import VertexBatch
from cloze.labels.provider import BatchProvider, Body, BusyError, InteractiveProvider

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.genai import Client, types

__all__ = ["GeminiBatch", "GeminiInteractive", "VertexBatch", "open_batch", "open_interactive"]

KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def open_batch(vertex: bool, bucket: str = "") -> BatchProvider:
    """Batches of Gemini, with what the environment says.

    Args:
        bucket: `gs://BUCKET/FOLDER` for requests and answers; Vertex AI only.

    Raises:
        MissingInputError: a variable is not set, or Google knows no credentials of ours; it says which.
        SettingsError: Vertex AI without a bucket.
    """
    if not vertex:
        return GeminiBatch(api_key_of_environment(), os.environ.get("GOOGLE_GEMINI_BASE_URL"))
    if not bucket.startswith("gs://"):
        raise SettingsError("bucket", bucket, "gs://BUCKET/FOLDER: Vertex AI reads and writes batches there")
    project, location, credentials = _vertex_of_environment()
    return VertexBatch(project, location, credentials, bucket, os.environ.get("GOOGLE_VERTEX_BASE_URL"))


def open_interactive(vertex: bool) -> InteractiveProvider:
    """Gemini for single requests, with what the environment says.

    Raises:
        MissingInputError: as `open_batch`.
    """
    if not vertex:
        return GeminiInteractive.with_key(api_key_of_environment(), os.environ.get("GOOGLE_GEMINI_BASE_URL"))
    project, location, credentials = _vertex_of_environment()
    return GeminiInteractive.with_project(project, location, credentials, os.environ.get("GOOGLE_VERTEX_BASE_URL"))


def api_key_of_environment() -> str:
    """The key of the Developer API.

    Raises:
        MissingInputError: none is set, or it cannot be one. The key itself is not shown.
    """
    for name in KEY_VARIABLES:
        if key := os.environ.get(name, "").strip():
            # Else the HTTP library fails on it, and shows it.
            if not re.fullmatch(r"[!-~]+", key):
                raise MissingInputError(f"{name} holds blanks or characters that no key has; set it anew")
            return key
    raise MissingInputError(
        f"no key of the Gemini API: set {' or '.join(KEY_VARIABLES)} (https://aistudio.google.com/apikey)"
    )


class GeminiInteractive:
    """Answers one request at a time (`cloze.labels.provider.InteractiveProvider`)."""

    def __init__(self, client: "Client", calls: Calls) -> None:
        self._client, self._calls = client, calls

    @classmethod
    def with_key(cls, api_key: str, base_url: str | None = None) -> "GeminiInteractive":
        """Through the Developer API."""
        from google.genai import Client

        client = Client(vertexai=False, api_key=api_key, http_options=http_options(base_url))
        return cls(client, Calls(lambda: (api_key,)))

    @classmethod
    def with_project(
        cls, project: str, location: str, credentials: "Credentials", base_url: str | None = None
    ) -> "GeminiInteractive":
        """Through Vertex AI."""
        client = vertex_client(project, location, credentials, base_url)
        return cls(client, Calls(lambda: (credentials.token or "",)))

    async def ask(self, model: str, key: str, body: Body) -> Answer:
        """Send one request and classify its answer.

        Raises:
            BusyError: try again later; nothing was billed.
            UncertainError: it may have been billed, and its answer is lost.
            RefusedError: the request is wrong, or the key is.
        """
        from google.genai import errors

        contents, config = _arguments(body)
        with self._calls.once(f"request {key}"):
            try:
                response = await self._client.aio.models.generate_content(
                    model=model, contents=list(contents), config=config
                )
            except errors.APIError as error:
                if not is_overload(error):
                    raise
                raise BusyError(f"request {key}: {model} is overloaded", asked_wait_s(error)) from None
        shown = response.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"sdk_http_response"})
        return classify(key, {"key": key, "response": shown})

    async def close(self) -> None:
        """Close connections."""
        await self._client.aio.aclose()


def _vertex_of_environment() -> tuple[str, str, "Credentials"]:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    missing = [name for name in ("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION") if not os.environ.get(name)]
    if missing:
        raise MissingInputError(f"Vertex AI needs {' and '.join(missing)} (such as my-project and us-central1)")
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
    except DefaultCredentialsError as error:
        raise MissingInputError(
            "no Google credentials: run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
        ) from error
    return os.environ["GOOGLE_CLOUD_PROJECT"], os.environ["GOOGLE_CLOUD_LOCATION"], credentials


def _arguments(body: Body) -> tuple[list["types.Content"], "types.GenerateContentConfig"]:
    """A REST body as the client's own arguments, which traces can show.

    Through JSON, because only that way does the client read base64.
    """
    from google.genai import types

    rest = {name: value for name, value in body.items() if name not in ("contents", "generationConfig")}
    config = {**body.get("generationConfig", {}), **rest}
    contents = [types.Content.model_validate_json(json.dumps(content)) for content in body["contents"]]
    return contents, types.GenerateContentConfig.model_validate_json(json.dumps(config))
