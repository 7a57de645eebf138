"""What Gemini's `generateContent` takes and gives: checking of bodies, counting of tokens, making of responses."""

import base64
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

PICTURE_TOKENS = 258
MODEL = re.compile(r"gemini-[a-z0-9.-]+")

_BODY = ("contents", "systemInstruction", "safetySettings", "generationConfig", "model", "labels")
_SAMPLING = ("temperature", "topP", "topK", "seed", "presencePenalty", "frequencyPenalty", "stopSequences")
_FORM = ("maxOutputTokens", "candidateCount", "responseMimeType", "responseSchema", "responseJsonSchema")
_CONFIG = (*_SAMPLING, *_FORM, "thinkingConfig", "mediaResolution")
_THINKING = ("includeThoughts", "thinkingBudget", "thinkingLevel")
_PART = ("text", "inlineData", "fileData")
_RESOLUTIONS = [f"MEDIA_RESOLUTION_{name}" for name in ("UNSPECIFIED", "LOW", "MEDIUM", "HIGH")]
_CATEGORIES = [
    f"HARM_CATEGORY_{name}"
    for name in ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY")
]
_THRESHOLDS = ["BLOCK_NONE", "OFF", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"]


def camel(value: Any) -> Any:
    """JSON with snake_case names turned into camelCase; the service takes both. Schemas are left as they are."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    renamed = {re.sub(r"_([a-z])", lambda m: m[1].upper(), name): item for name, item in value.items()}
    return {name: item if name.startswith("response") else camel(item) for name, item in renamed.items()}


def check_body(body: Any, model: str, has_file: Callable[[str], bool]) -> str:
    """What is wrong with a body (in camelCase), by Google's words; empty if nothing is."""
    try:
        _check_body(body, model, has_file)
    except _Wrong as wrong:
        return str(wrong)
    return ""


def answer(body: Mapping[str, Any], model: str, text: str) -> dict[str, Any]:
    """A good response with this text, cut off where `maxOutputTokens` ends it."""
    limit = body.get("generationConfig", {}).get("maxOutputTokens")
    finish = "STOP"
    if limit is not None and count(text) > limit:
        text, finish = text[: 4 * limit], "MAX_TOKENS"
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish, "index": 0}
    return {
        "candidates": [candidate],
        "usageMetadata": usage(n_input(body), count(text)),
        "modelVersion": model,
        "responseId": "response-of-the-fake",
    }


def usage(n_prompt: int, n_output: int, n_thoughts: int = 0, n_cached: int = 0) -> dict[str, Any]:
    """`usageMetadata`; like the service it leaves out what is zero."""
    counts = {
        "promptTokenCount": n_prompt,
        "candidatesTokenCount": n_output,
        "thoughtsTokenCount": n_thoughts,
        "cachedContentTokenCount": n_cached,
        "totalTokenCount": n_prompt + n_output + n_thoughts,
    }
    return {name: count for name, count in counts.items() if count}


def spoiled(kind: str, response: dict[str, Any], value: Any) -> dict[str, Any]:
    """The response after a line fault; `value` is the fault's own."""
    n_prompt = response["usageMetadata"]["promptTokenCount"]
    without = {**response, "usageMetadata": usage(n_prompt, 0)}
    [candidate] = response["candidates"]
    text = candidate["content"]["parts"][0]["text"]
    if kind in ("safety", "recitation"):
        return without | {"candidates": [{"finishReason": kind.upper(), "index": 0}]}
    if kind == "prompt_blocked":
        feedback = {"promptFeedback": {"blockReason": value or "PROHIBITED_CONTENT"}}
        return {name: part for name, part in without.items() if name != "candidates"} | feedback
    if kind == "no_candidates":
        return {name: part for name, part in without.items() if name != "candidates"}
    if kind == "empty":
        return without | {"candidates": [{"content": {"role": "model"}, "finishReason": "STOP", "index": 0}]}
    if kind == "other_model":
        return response | {"modelVersion": value or "gemini-9.9-other"}
    parts, finish, n_thoughts = _other_parts(kind, text, value)
    candidate = candidate | {"content": {"parts": parts, "role": "model"}, "finishReason": finish}
    n_output = sum(count(part["text"]) for part in parts if not part.get("thought"))
    return response | {"candidates": [candidate], "usageMetadata": usage(n_prompt, n_output, n_thoughts)}


def count(text: str) -> int:
    """Tokens of a text; the fake's are four characters long."""
    return (len(text) + 3) // 4


def n_input(body: Mapping[str, Any]) -> int:
    """Tokens of a body: its words and pictures."""
    contents = [*body["contents"], body.get("systemInstruction", {})]
    parts = [part for content in contents for part in content.get("parts", [])]
    return sum(count(part["text"]) if "text" in part else PICTURE_TOKENS for part in parts)


class _Wrong(Exception):  # noqa: N818
    pass


def _check_body(body: Any, model: str, has_file: Callable[[str], bool]) -> None:
    _known(body, _BODY, "request")
    if not body.get("contents"):
        raise _Wrong("contents is not specified")
    for content in [*body["contents"], *([body["systemInstruction"]] if "systemInstruction" in body else [])]:
        _known(content, ["role", "parts"], "contents")
        if content.get("role", "user") not in ("user", "model"):
            raise _Wrong("Please use a valid role: user, model.")
        if not content.get("parts"):
            raise _Wrong("contents.parts must not be empty.")
        for part in content["parts"]:
            _check_part(part, has_file)
    _check_config(body.get("generationConfig", {}), model)
    for item in body.get("safetySettings", []):
        _known(item, ["category", "threshold", "method"], "safety_settings")
        _one_of(item.get("category"), _CATEGORIES, "safety_settings.category")
        _one_of(item.get("threshold"), _THRESHOLDS, "safety_settings.threshold")


def _check_config(config: Any, model: str) -> None:
    _known(config, _CONFIG, "generation_config")
    for name, low, high in (
        ("temperature", 0, 2),
        ("topP", 0, 1),
        ("maxOutputTokens", 1, 65_536),
        ("seed", -(2**31), 2**31),
    ):
        if name in config and not low <= config[name] <= high:
            raise _Wrong(f"Unable to submit request because {name} is {config[name]}")
    if "mediaResolution" in config:
        _one_of(config["mediaResolution"], _RESOLUTIONS, "generation_config.media_resolution")
    thinking = config.get("thinkingConfig", {})
    _known(thinking, _THINKING, "generation_config.thinking_config")
    if "thinkingLevel" in thinking and model.startswith("gemini-2"):
        raise _Wrong("Thinking level is not supported for this model.")
    if "responseJsonSchema" in config and config.get("responseMimeType") != "application/json":
        raise _Wrong("response_mime_type must be application/json with a response schema")


def _check_part(part: Any, has_file: Callable[[str], bool]) -> None:
    _known(part, _PART, "contents.parts")
    if len({"text", "inlineData", "fileData"} & set(part)) != 1:
        raise _Wrong("contents.parts.data: required oneof field 'data' must have one initialized field")
    if "inlineData" in part:
        _known(part["inlineData"], ["mimeType", "data"], "contents.parts.inline_data")
        if not base64.b64decode(part["inlineData"]["data"].replace("-", "+").replace("_", "/"), validate=True):
            raise _Wrong("Provided image is not valid.")
    if "fileData" in part:
        _known(part["fileData"], ["mimeType", "fileUri"], "contents.parts.file_data")
        if not has_file(part["fileData"]["fileUri"]):
            raise _Wrong("You do not have permission to access the File or it may not exist.")


def _known(value: Any, names: Collection[str], where: str) -> None:
    if not isinstance(value, dict):
        raise _Wrong(f"Invalid value at '{where}'")
    for name in value:
        if name not in names:
            raise _Wrong(f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field.")


def _one_of(value: Any, allowed: list[str], where: str) -> None:
    if value not in allowed:
        raise _Wrong(f"Invalid value at '{where}': \"{value}\"")


def _other_parts(kind: str, text: str, value: Any) -> tuple[list[dict[str, Any]], str, int]:
    """Parts, finishReason and tokens of thoughts of a fault that changes what is said."""
    middle = len(text) // 2
    if kind == "max_tokens":
        return [{"text": text[:middle]}], "MAX_TOKENS", 0
    if kind == "blank":
        return [{"text": " \n"}], "STOP", 0
    if kind == "finish":
        return [{"text": text}], str(value), 0
    if kind == "thoughts":
        return [{"text": "Let me see.", "thought": True}, {"text": text[:middle]}, {"text": text[middle:]}], "STOP", 7
    raise AssertionError(f"no line fault {kind}")
