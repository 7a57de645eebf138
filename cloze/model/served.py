"""A server that predicts: anything that speaks OpenAI's chat protocol, such as vLLM, SGLang or `transformers serve`.

It is given the same words and the same pictures' files as a model on this machine. How it turns them into tokens is
its own business, so its predictions are another engine's in fingerprints.
"""

import base64
import hashlib
import mimetypes
import os
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.errors import ClozeError, MissingInputError, SettingsError
from cloze.labels.prompts import Words, model_prompt, prompt_digest
from cloze.model.answers import Answer, AnswerStore, question_key
from cloze.model.conversation import blank_picture, shown_panels
from cloze.model.predict_settings import PredictSettings

if TYPE_CHECKING:
    from openai import OpenAI

    from cloze.data.images import ImageFolder
    from cloze.model.decoding import Row

_TIMEOUT_S = 600.0
_RETRIES = 6  # by the client, ever later, up to 8 s apart or as the server asks
_HOPELESS = 20  # requests that failed in a row, after their retries


class UnansweredError(ClozeError):
    """A server left requests without an answer; those that it answered are kept."""


class Served:
    """Answers by asking the server that OPENAI_BASE_URL names (`cloze.model.decoding.Engine`).

    Raises:
        MissingInputError: no server is named.
    """

    def __init__(self, settings: PredictSettings, images: "ImageFolder") -> None:
        self._settings = settings
        self._images = images
        self._client = _client()
        self._digest = cache(lambda name: hashlib.sha256(self._picture(name)).hexdigest())
        self.fingerprint = _fingerprint(settings)
        self.machinery = {"server": str(self._client.base_url)}

    def show(self, row: "Row") -> str:
        """The words of a sequence's prompt, pictures by name."""
        return "".join(part if isinstance(part, str) else f"<{part[0] or 'blank'}>" for part in self._parts(row))

    def answer(self, rows: "Sequence[Row]", known: AnswerStore) -> Generator[dict[str, tuple[str, Answer]], None, None]:
        """Ask for what is not known, `batch` at a time; answers come in any order.

        Raises:
            UnansweredError: some requests failed, each after several attempts.
            MissingInputError: the server does not take the key.
            SettingsError: it does not know the model, or another one answers.
        """
        keys = {row["sequence_id"]: self._key(row) for row in rows}
        kept = {name: (key, answer) for name, key in keys.items() if (answer := known.get(key))}
        if kept:
            yield kept
        failed: dict[str, str] = {}
        n_in_row = 0
        with ThreadPoolExecutor(self._settings.batch) as threads:
            waiting: dict[Future[Answer], str] = {
                threads.submit(self._ask, row): row["sequence_id"] for row in rows if row["sequence_id"] not in kept
            }
            try:
                for done in as_completed(waiting):
                    sequence_id = waiting[done]
                    try:
                        answer = done.result()
                    except UnansweredError as error:
                        failed[sequence_id] = str(error)
                        n_in_row += 1
                        if n_in_row >= _HOPELESS:
                            break
                        continue
                    n_in_row = 0
                    yield {sequence_id: (keys[sequence_id], answer)}
            finally:
                threads.shutdown(wait=False, cancel_futures=True)
        if failed:
            first, problem = next(iter(failed.items()))
            raise UnansweredError(
                f"{self._client.base_url} left {len(failed)} of {len(rows)} requests unanswered, each tried "
                f"{_RETRIES + 1} times (first: {first}: {problem}); run again to ask for those only"
            )

    def _ask(self, row: "Row") -> Answer:
        """Send one request; the client repeats it where the server is busy or the connection breaks."""
        from openai import APIConnectionError, APIStatusError

        settings, started = self._settings, time.perf_counter()
        drawn = hashlib.sha256(f"{settings.seed}/{row['sequence_id']}".encode()).digest()
        try:
            found = self._client.chat.completions.create(
                model=settings.served,
                messages=[{"role": "user", "content": [self._sent(part) for part in self._parts(row)]}],  # type: ignore[list-item, misc]
                max_tokens=settings.max_new_tokens,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=int.from_bytes(drawn[:3]),
            )
        except APIStatusError as error:
            raise self._translated(error) from error
        except APIConnectionError as error:
            raise UnansweredError(f"{error} ({error.__cause__})") from error
        model = found.model.partition("@")[0]  # `transformers serve` adds the revision
        if model != settings.served:
            raise SettingsError("served", settings.served, f"the model that answers, which is {model}")
        if not found.choices:
            raise UnansweredError("an answer without choices")
        choice, usage = found.choices[0], found.usage
        return Answer(
            text=(choice.message.content or "").strip(),
            finish_reason=choice.finish_reason,
            prompt_tokens=usage.prompt_tokens if usage else None,
            output_tokens=usage.completion_tokens if usage else None,
            seconds=time.perf_counter() - started,
        )

    def _translated(self, error: Any) -> ClozeError:
        said = f"{error.status_code}: {error.message[:300]}"
        if error.status_code in (401, 403):
            return MissingInputError(f"{self._client.base_url}: {said}; check OPENAI_API_KEY and what it may use")
        if error.status_code == 404:
            return SettingsError("served", self._settings.served, f"a model of {self._client.base_url} ({said})")
        return UnansweredError(said)

    def _parts(self, row: "Row") -> list[str | tuple[str | None]]:
        """What is said: words, and names of pictures (None is a blank one)."""
        panels = shown_panels(row, self._settings.blind)
        prompt = model_prompt([panel["text"] for panel in panels])
        return [part.text if isinstance(part, Words) else (panels[part.panel]["image"],) for part in prompt]

    def _sent(self, part: str | tuple[str | None]) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        kind = mimetypes.guess_type(part[0] or "blank.png")[0]
        data = base64.b64encode(self._picture(part[0])).decode()
        return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}

    def _key(self, row: "Row") -> str:
        parts = self._parts(row)
        words = "\0".join(part if isinstance(part, str) else "" for part in parts)
        pictures = [self._digest(part[0]) for part in parts if not isinstance(part, str)]
        return question_key(f"{row['sequence_id']}\0{words}", pictures)

    def _picture(self, name: str | None) -> bytes:
        """A picture's file."""
        return _blank() if name is None else self._images.read(name)


def _client() -> "OpenAI":
    from openai import OpenAI

    url, key = os.environ.get("OPENAI_BASE_URL"), os.environ.get("OPENAI_API_KEY")
    if not url:
        raise MissingInputError("engine openai needs OPENAI_BASE_URL (a server such as http://localhost:8000/v1)")
    return OpenAI(base_url=url, api_key=key or "none", timeout=_TIMEOUT_S, max_retries=_RETRIES)


def _fingerprint(settings: PredictSettings) -> dict[str, Any]:
    """What decides the text, as far as it can be known: numbers and layout are the server's."""
    from cloze.digests import folder_digest
    from cloze.model.adapter import adapter_origin

    adapter = Path(settings.adapter) if settings.adapter else None
    origin = adapter_origin(adapter) if adapter else None
    return {
        "engine": "openai",
        "served": settings.served,
        "base": settings.base or (origin["base"] if origin else settings.served),
        "base_digest": origin["digest"] if origin else None,
        "adapter_digest": folder_digest(adapter) if adapter else None,
        "prompt_digest": prompt_digest("pred"),
        "decoding": settings.decoding,
        "precision": "the server's",
        "quantise": "the server's",
        "trained_in": {name: origin[name] for name in ("precision", "quantise")} if origin else None,
        "image_layout": "the server's",
    }


@cache
def _blank() -> bytes:
    written = BytesIO()
    blank_picture().save(written, "PNG")
    return written.getvalue()
