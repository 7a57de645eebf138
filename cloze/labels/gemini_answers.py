"""What one answer of Gemini means: lines of the Developer API's and Vertex AI's batches, and single responses.

A line is `{"key": ..., "response": {...}}`, or with `error` or `status` in the place of the response. Vertex AI also
echoes the request, which may hold megabytes of pictures and is not kept.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloze.labels.answers import Answer, State

logger = logging.getLogger(__name__)

_MAX_REASON = 300  # characters
_BLOCKED = frozenset(
    {
        "SAFETY",
        "PROHIBITED_CONTENT",
        "BLOCKLIST",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    }
)
# Our request is itself wrong (INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED): the same one would fail again. Vertex AI
# says the HTTP status, the Developer API the number of google.rpc.Code.
_WRONG = frozenset({3, 5, 7, 400, 403, 404, "INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED"})


def read_answers(path: Path) -> Iterator[Answer]:
    """The answers in a file of results, one a line, as they stand; a line that says nothing is skipped with a warning.

    Lines end at `\\n` only: a label may hold U+2028, which `str.splitlines` takes for an end, too.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            found = _object(line)
            if found is None:
                logger.warning("%s: line %d is cut short or no JSON object; skipped", path, number)
            elif not isinstance(found.get("key"), str):
                logger.warning("%s: line %d has no key; skipped", path, number)
            else:
                yield _answer(found["key"], found, _raw(found) if "request" in found else line.decode().strip())


def classify(key: str, line: Mapping[str, Any]) -> Answer:
    """The answer that a line holds; it never raises, whatever is in the line.

    `RECITATION` is the one block that is not final: another seed may get past it. An error of the line says `FAILED`
    where our request is wrong, else `MISSING`. Thoughts are no text, but billed as output.
    """
    return _answer(key, line, _raw(line))


def _answer(key: str, line: Mapping[str, Any], raw: str) -> Answer:
    response = _mapping(line.get("response"))
    usage, feedback = _mapping(response.get("usageMetadata")), _mapping(response.get("promptFeedback"))
    candidates = [_mapping(candidate) for candidate in _sequence(response.get("candidates"))]
    error = _error(line)
    if not candidates and not feedback and (error or not isinstance(line.get("response"), dict)):
        state, text, reason, is_final = _from_error(error)
    else:
        state, text, reason, is_final = _from_response(candidates, feedback)
    return Answer(
        key=_clean(key),
        state=state,
        text=None if text is None else _clean(text),
        reason=None if reason is None else _clean(reason)[:_MAX_REASON],
        is_final=is_final,
        model=_clean(_word(response.get("modelVersion"))),
        input_tokens=_count(usage, "promptTokenCount"),
        cached_tokens=_count(usage, "cachedContentTokenCount"),
        output_tokens=_count(usage, "candidatesTokenCount") + _count(usage, "thoughtsTokenCount"),
        raw=raw,
    )


def _raw(line: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in line.items() if name != "request"})


_Verdict = tuple[State, str | None, str | None, bool]  # state, text, reason, is_final


def _from_response(candidates: list[Mapping[str, Any]], feedback: Mapping[str, Any]) -> _Verdict:
    block = _word(feedback.get("blockReason"))
    if block and block != "BLOCK_REASON_UNSPECIFIED":
        return State.BLOCKED, None, _said(f"prompt: {block}", feedback.get("blockReasonMessage")), True
    if not candidates:
        return State.EMPTY, None, "no candidates", False
    finish = _word(candidates[0].get("finishReason"))
    reason = _said(finish or "no finishReason", candidates[0].get("finishMessage"))
    if finish in _BLOCKED:
        return State.BLOCKED, None, reason, True
    if finish == "RECITATION":
        return State.BLOCKED, None, reason, False
    if finish == "MAX_TOKENS":
        return State.TRUNCATED, None, reason, False
    text = _text(candidates[0]).strip()
    if finish == "STOP" and text:
        return State.OK, text, None, True
    # Without a finishReason a text is not known to be whole; any other one (OTHER, MALFORMED_RESPONSE) is no success.
    return State.EMPTY, None, "no text" if finish == "STOP" else reason, False


def _from_error(error: Mapping[str, Any]) -> _Verdict:
    if not error:
        return State.MISSING, None, "neither a response nor an error", False
    code, status = error.get("code"), _word(error.get("status"))
    is_wrong = any(isinstance(word, int | str) and word in _WRONG for word in (code, status))
    reason = _said(status or f"code {code}", error.get("message"))
    return State.FAILED if is_wrong else State.MISSING, None, reason, is_wrong


def _error(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """The error of a line, empty where there is none.

    The Developer API gives an object under `error` (its documentation also says `status`), Vertex AI a string under
    `status`: empty for a good line, else words around a JSON object, such as `Bad Request: {"error": {...}}`.
    """
    for said in (line.get("error"), line.get("status")):
        if isinstance(said, str) and said:
            inner = _object(said[said.find("{") :]) if "{" in said else None
            return _mapping((inner or {}).get("error")) or {"message": said}
        if isinstance(said, dict) and said and said.get("code") != 0:
            return said
    return {}


def _text(candidate: Mapping[str, Any]) -> str:
    parts = map(_mapping, _sequence(_mapping(candidate.get("content")).get("parts")))
    return "".join(_word(part.get("text")) for part in parts if not part.get("thought"))


def _said(what: str, message: Any) -> str:
    return f"{what}: {message}" if isinstance(message, str) and message else what


def _object(text: str | bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text.decode() if isinstance(text, bytes) else text)
    except ValueError:  # also of bytes that are no UTF-8
        return None
    return found if isinstance(found, dict) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _clean(text: str) -> str:
    r"""The text without lone surrogates: JSON can spell one (`\ud800`), and no file or database takes it."""
    return text.encode("utf-8", "replace").decode()
