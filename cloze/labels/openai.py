"""Any server that speaks OpenAI's chat protocol as a labeller: vLLM, SGLang, llama.cpp, `transformers serve`, OpenAI.

Requests arrive as `generateContent` bodies and are translated, so that every labeller is given the same words.
"""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cloze.errors import MissingInputError
from cloze.labels.answers import Answer, State
from cloze.labels.provider import Body, BusyError, DeniedError, RefusedError, UncertainError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

_TIMEOUT_S = 300.0
_DENIED = (401, 403)
_BUSY = (408, 409, 429, 500, 502, 503, 504)
_FINISHED = {"length": State.TRUNCATED, "content_filter": State.BLOCKED}


def open_openai() -> "OpenAILabeller":
    """The server that OPENAI_BASE_URL names, with the key of OPENAI_API_KEY, where it wants one.

    Raises:
        MissingInputError: neither is set.
    """
    from openai import AsyncOpenAI

    url, key = os.environ.get("OPENAI_BASE_URL"), os.environ.get("OPENAI_API_KEY")
    if not (url or key):
        raise MissingInputError("labeller openai needs OPENAI_BASE_URL (a server such as http://localhost:8000/v1)")
    return OpenAILabeller(
        AsyncOpenAI(base_url=url, api_key=key or "none", timeout=_TIMEOUT_S, max_retries=0)  # retries are the ledger's
    )


class OpenAILabeller:
    """Answers one request at a time (`cloze.labels.provider.InteractiveProvider`)."""

    def __init__(self, client: "AsyncOpenAI") -> None:
        self._client = client

    async def ask(self, model: str, key: str, body: Body) -> Answer:
        """Send one request and classify its answer.

        Raises:
            BusyError: try again later.
            UncertainError: the connection broke; the answer, if there was one, is lost.
            RefusedError: the request is wrong.
            DeniedError: the key is.
        """
        from openai import APIConnectionError, APIStatusError

        try:
            found = await self._client.chat.completions.create(model=model, **to_chat(body))
        except APIStatusError as error:
            raise _translated(error) from error
        except APIConnectionError as error:
            raise UncertainError(f"{self._client.base_url}: {error}") from error
        return to_answer(key, found.model_dump(mode="json"))

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()


def to_chat(body: Body) -> dict[str, Any]:
    """A `generateContent` body as arguments of `chat.completions.create`.

    Raises:
        ValueError: a part that the protocol has no word for, such as a file at Google's.
    """
    config = body["generationConfig"]
    chat: dict[str, Any] = {
        "messages": [{"role": "user", "content": [_part(part) for part in body["contents"][0]["parts"]]}],
        "temperature": config["temperature"],
        "top_p": config["topP"],
        "max_tokens": config["maxOutputTokens"],
        "seed": config["seed"],
    }
    if schema := config.get("responseJsonSchema"):
        named = {"name": "label", "schema": schema, "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": named}
    return chat


def to_answer(key: str, completion: Mapping[str, Any]) -> Answer:
    """A chat completion, classified."""
    usage = completion.get("usage") or {}
    choice = (completion.get("choices") or [{}])[0]
    text = (choice.get("message") or {}).get("content") or ""
    finish = choice.get("finish_reason")
    state = _FINISHED.get(finish, State.OK if text.strip() else State.EMPTY)
    return Answer(
        key=key,
        state=state,
        text=text.strip() if state is State.OK else None,
        reason=None if state is State.OK else finish or "no choices",
        model=(completion.get("model") or "").partition("@")[0],  # `transformers serve` adds the revision
        input_tokens=usage.get("prompt_tokens") or 0,
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
        output_tokens=usage.get("completion_tokens") or 0,
        raw=json.dumps(completion),
    )


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if "text" in part:
        return {"type": "text", "text": part["text"]}
    if "inlineData" in part:
        data = part["inlineData"]
        return {"type": "image_url", "image_url": {"url": f"data:{data['mimeType']};base64,{data['data']}"}}
    raise ValueError(f"no way to send {', '.join(part)} over this protocol")


def _translated(error: "APIStatusError") -> BusyError | RefusedError | DeniedError:
    said = f"{error.request.url.host}: {error.status_code}: {error.message[:500]}"
    if error.status_code in _BUSY:
        wait = error.response.headers.get("retry-after", "")
        return BusyError(said, float(wait) if wait.replace(".", "", 1).isdigit() else 0.0)
    if error.status_code in _DENIED:
        return DeniedError(f"{said}; check OPENAI_API_KEY and what it may use")
    return RefusedError(said)
