"""Batch jobs of the fake Gemini: how the Developer API and Vertex AI show them and their lines."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.http import Problem, as_json

STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
STATUS |= {409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


@dataclass
class FakeJob:
    """A batch job. `ends_as` is its state (without prefix) after it was asked for often enough."""

    name: str
    display_name: str
    model: str
    number: int
    config: dict[str, Any]
    ends_as: str = "SUCCEEDED"
    answers: list[bytes] = field(default_factory=list)
    bills: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    error: dict[str, Any] | None = None
    polls_left: int = 0
    hidden_lists: int = 0
    is_inlined: bool = False
    is_deleted: bool = False

    @property
    def state(self) -> str:
        return "RUNNING" if self.polls_left > 0 else self.ends_as

    @property
    def has_answers(self) -> bool:
        return bool(self.answers) and self.polls_left <= 0

    @property
    def created(self) -> str:
        return f"2026-11-23T10:{self.number // 60 % 60:02}:{self.number % 60:02}.123456Z"


def operation(job: FakeJob) -> dict[str, Any]:
    """A job of the Developer API."""
    metadata = {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
        "model": f"models/{job.model}",
        "displayName": job.display_name,
        "state": f"BATCH_STATE_{job.state}",
        "createTime": job.created,
        "updateTime": job.created,
        "batchStats": {"requestCount": str(len(job.answers))},
        "name": job.name,
    }
    shown: dict[str, Any] = {"name": job.name, "metadata": metadata}
    if job.state == "RUNNING":
        return shown
    shown["done"] = True
    if job.error:
        shown["error"] = job.error
    if job.has_answers and job.is_inlined:
        inlined = {"inlinedResponses": {"inlinedResponses": [_inlined(line) for line in job.answers]}}
        metadata["output"] = shown["response"] = inlined
    elif job.has_answers:
        metadata["output"] = shown["response"] = {"responsesFile": f"files/batch-{job.name.removeprefix('batches/')}"}
    return shown
    shown["done"] = True
    if job.error:
        shown["error"] = job.error
    if job.has_answers:
        file = {"responsesFile": f"files/batch-{job.name.removeprefix('batches/')}"}
        inlined = {"inlinedResponses": {"inlinedResponses": [_inlined(line) for line in job.answers]}}
        metadata["output"] = shown["response"] = inlined if job.is_inlined else file
    return shown


def _inlined(line: bytes) -> dict[str, Any]:
    found = json.loads(line)
    return {"metadata": {"key": found.pop("key")}, **found}


def vertex_job_json(job: FakeJob) -> dict[str, Any]:
    made = {"name": job.name, **job.config, "state": f"JOB_STATE_{job.state}", "createTime": job.created}
    if job.state == "RUNNING":
        return made
    made["completionStats"] = {"successfulCount": str(len(job.bills))}
    if job.error:
        made["error"] = job.error
    if job.has_answers:
        made["outputInfo"] = {"gcsOutputDirectory": answers_folder(job)}
    return made


def answers_folder(job: FakeJob) -> str:
    prefix: str = job.config["outputConfig"]["gcsDestination"]["outputUriPrefix"]
    return f"{prefix.rstrip('/')}/prediction-model-{job.created}"


def vertex_line(item: dict[str, Any], line: dict[str, Any]) -> dict[str, Any]:
    """A line of Vertex AI: the request echoed, `status` empty or words around an error with an HTTP status."""
    said = ""
    if "error" in line:
        code = {3: 400, 5: 404, 7: 403, 8: 429}.get(line["error"]["code"], 500)
        error = {"code": code, "message": line["error"]["message"], "status": STATUS[code]}
        said = f"Bad Request: {json.dumps({'error': error})}"
    return {"status": said, "processed_time": "2026-11-23T10:00:00.123+00:00", "response": {}, **item} | {
        name: value for name, value in line.items() if name == "response"
    }


def read_requests(content: bytes) -> list[dict[str, Any]]:
    """The lines of a file of requests."""
    found = [json.loads(line) for line in content.split(b"\n") if line.strip()]
    for item in found:
        only(item, {"key", "request", "custom_id"})
    return found


def only(value: Mapping[str, Any], names: set[str]) -> None:
    if strange := sorted(set(value) - names):
        raise problem(400, f'Invalid JSON payload received. Unknown name "{strange[0]}": Cannot find field.')


def problem(
    code: int, message: str, details: list[dict[str, Any]] | None = None, headers: Mapping[str, str] | None = None
) -> Problem:
    error = {"code": code, "message": message, "status": STATUS.get(code, "UNKNOWN"), "details": details or []}
    return Problem(as_json({"error": error}, code, headers))
