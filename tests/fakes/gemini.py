r"""A Gemini on loopback: the Developer API, Vertex AI and Cloud Storage as `google-genai` 3.4.0 and
`google-cloud-storage` 3.17 speak to them, with faults on demand and a bill per request key.

    def model(body):                       # a generateContent body (camelCase) -> the text of its answer
        return "He falls. " + body["contents"][0]["parts"][-1]["text"]

    with FakeGemini(model, faults=[Fault("safety", key="a"), Fault("reset_after", call="create")]) as server:
        provider = GeminiBatch(server.api_key, server.url, pause_s=0.01)
        ...
        assert server.bills()["a"].times == 1

To run a program against it, give it `server.environment()`; for Vertex AI also
`GOOGLE_APPLICATION_CREDENTIALS=str(server.write_credentials(folder / "adc.json"))` and any bucket name. In-process,
`StaticToken()` are credentials.

Parameters: `model`; `faults`; `polls`, how often a job is asked for before it has ended (1: the first `get` finds it
ended); `page_size` of lists; `list_lag`, how many lists hide a new job; `key_of`, the key under which a single request
is billed (by default the first text part of its body); `answered_by`, a model version for all answers (by default the
model that was asked); `latency_s` before each answer; `api_key`.

To look at: `faults` (append while it runs; what is used up is removed), `calls` (Counter by call, tried ones included),
`jobs`, `files` (uploaded), `storage.objects` ("BUCKET/NAME" -> bytes; put pictures there for gs:// URIs), `bills()`.
`reset(...)` makes it new again under the same URL, with the same parameters but the last two.
A `fileUri` that is neither uploaded nor in `storage` is refused (https ones are believed).

Faults come in three kinds; `times` is how often one happens, then it is used up:

- of a line, `Fault(kind, key=...)`, also for single requests (`key_of`): `safety`, `recitation`, `prompt_blocked`
  (value: blockReason), `max_tokens`, `empty` (no parts), `no_candidates`, `blank`, `finish` (value: finishReason),
  `thoughts` (a thought part, the text in two parts), `other_model` (value: version), `error` (value: code);
  in batches only: `drop` (never answered, not billed), `duplicate`, `torn` (the line is cut in half, but billed),
  `unknown_key` (one more line with a key that nobody sent). Lines are always shuffled.
- of the next job, `Fault(kind)`: `expired`, `failed` (no answers, no bill), `partial` (half of the lines are answered),
  `cancelled` (by the service; on Vertex AI half of the answers are there and billed), `truncated` (the file of
  answers ends in the middle of a line, all is billed).
- of a call, `Fault(kind, call=...)` with calls `upload`, `chunk`, `file`, `remove`, `download`, `create`, `get`,
  `list`, `cancel`, `delete`, `generate`, and `gcs_upload`, `gcs_chunk`, `gcs_list`, `gcs_get`, `gcs_download`: `429`
  (value: seconds, sent as Retry-After), `429_info` (value: seconds, sent as RetryInfo), `500`, `503` (nothing was
  done), `503_after` (by a gateway, after it was done), `reset` (connection reset, nothing was done), `reset_after` (it
  was done, the answer is lost), `short` (reset in the middle of the body), `cut` (half of the body, as if it were all),
  `garbage` (200 and no JSON), `elsewhere` (of an upload: chunks are to go to another host), `refuse` (value: status,
  400 if left out; the message repeats the API key).

What it checks: the API key or a bearer token; names of fields (400 or, in a batch, an error line of code 3); offsets
and sizes of uploads; that a file name is not taken (409). What it bills: every answer of a job that was not cancelled
in time, expired or failed, whether anybody fetches it or not; and every single request that the model answered. A line
of error is not billed.
"""

import base64
import hashlib
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import google.auth.credentials

from tests.fakes import gemini_wire as wire
from tests.fakes.gcs import FakeStorage
from tests.fakes.gemini_faults import BATCH_LINE_FAULTS, LINE_FAULTS, Fault
from tests.fakes.gemini_jobs import (
    FakeJob,
    answers_folder,
    only,
    operation,
    problem,
    read_requests,
    vertex_job_json,
    vertex_line,
)
from tests.fakes.http import RESET, LoopbackServer, Problem, Reply, Request, Route, as_json

__all__ = ["Bill", "FakeFile", "FakeGemini", "FakeJob", "Fault", "StaticToken", "echo", "first_text"]

_V = "/(?:v1beta1/|v1beta/|v1/)?"
_VERTEX = f"{_V}projects/[^/]+/locations/[^/]+/"
_PROJECT, _LOCATION = "fake-project", "us-central1"


class Bill(NamedTuple):
    """What one key was charged, over all its answers."""

    times: int
    input_tokens: int
    output_tokens: int


@dataclass
class FakeFile:
    """An uploaded file, or one of answers."""

    name: str
    content: bytes
    mime_type: str
    display_name: str = ""
    is_answers: bool = False


class StaticToken(google.auth.credentials.Credentials):
    """Credentials with a token that never ends."""

    def __init__(self, token: str = "token-of-the-fake") -> None:  # noqa: S107
        super().__init__()
        self.token = token

    @property
    def expired(self) -> bool:
        return False

    def refresh(self, request: object) -> None:
        """Nothing to do."""


def first_text(body: Mapping[str, Any]) -> str:
    """The first text part of a body."""
    return next(part["text"] for content in body["contents"] for part in content["parts"] if "text" in part)


def echo(body: Mapping[str, Any]) -> str:
    """A model that says what it was told."""
    return f"Label of {first_text(body)}"


class FakeGemini:
    """See the module's docstring."""

    def __init__(
        self,
        model: Callable[[Mapping[str, Any]], str] = echo,
        *,
        faults: Iterable[Fault] = (),
        polls: int = 1,
        page_size: int = 2,
        list_lag: int = 0,
        key_of: Callable[[Mapping[str, Any]], str] = first_text,
        answered_by: str = "",
        latency_s: float = 0.0,
        api_key: str = "AIza-key-of-the-fake",
    ) -> None:
        self.api_key = api_key
        self._random = random.Random(0)  # noqa: S311 - shuffles lines
        self._server = LoopbackServer(self._handle, latency_s)
        self.url = self._server.url
        self.reset(
            model,
            faults=faults,
            polls=polls,
            page_size=page_size,
            list_lag=list_lag,
            key_of=key_of,
            answered_by=answered_by,
        )

    def reset(
        self,
        model: Callable[[Mapping[str, Any]], str] = echo,
        *,
        faults: Iterable[Fault] = (),
        polls: int = 1,
        page_size: int = 2,
        list_lag: int = 0,
        key_of: Callable[[Mapping[str, Any]], str] = first_text,
        answered_by: str = "",
    ) -> None:
        """Forget everything and be as if new, under the same URL and key."""
        self.faults, self.answered_by = list(faults), answered_by
        self.calls: Counter[str] = Counter()
        self.jobs: list[FakeJob] = []
        self.files: dict[str, FakeFile] = {}
        self.storage = FakeStorage(self.url)
        self._model, self._key_of = model, key_of
        self._polls, self._page_size, self._list_lag = polls, page_size, list_lag
        self._numbers = itertools.count(1)
        self._sessions: dict[str, tuple[FakeFile, int, bytearray]] = {}
        self._single_bills: list[tuple[str, dict[str, Any]]] = []
        self._routes: list[tuple[str, re.Pattern[str], str, Callable[..., Reply]]] = [
            (method, re.compile(pattern), call, route)
            for method, pattern, call, route in (*self._gemini_routes(), *self.storage.routes)
        ]

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.__exit__(*raised)

    def bills(self) -> dict[str, Bill]:
        """What was charged, by key; keys that nothing was charged for are not there."""
        charged = self._single_bills + [
            bill for job in self.jobs if job.ends_as not in ("FAILED", "EXPIRED") for bill in job.bills
        ]
        sums: dict[str, Bill] = {}
        for key, usage in charged:
            old = sums.get(key, Bill(0, 0, 0))
            n_output = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
            sums[key] = Bill(old.times + 1, old.input_tokens + usage["promptTokenCount"], old.output_tokens + n_output)
        return sums

    def environment(self) -> dict[str, str]:
        """Variables that bring our programs here."""
        return {
            "GEMINI_API_KEY": self.api_key,
            "GOOGLE_GEMINI_BASE_URL": self.url,
            "GOOGLE_VERTEX_BASE_URL": self.url,
            "GOOGLE_CLOUD_PROJECT": _PROJECT,
            "GOOGLE_CLOUD_LOCATION": _LOCATION,
            "STORAGE_EMULATOR_HOST": self.url,
        }

    def write_credentials(self, path: Path) -> Path:
        """A file for GOOGLE_APPLICATION_CREDENTIALS: a service account whose tokens come from here."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "project_id": _PROJECT,
            "private_key_id": "1",
            "private_key": key.decode(),
            "client_email": f"fake@{_PROJECT}.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }
        path.write_text(json.dumps(account))
        return path

    # -- Requests ----------------------------------------------------------------------------------------------------

    def _gemini_routes(self) -> list[Route]:
        model, job, file = r"models/(?P<model>[^/:]+)", r"(?P<name>batches/[^/:]+)", r"(?P<name>files/[^/:]+)"
        vertex_job = r"(?P<name>projects/[^/]+/locations/[^/]+/batchPredictionJobs/\d+)"
        return [
            ("POST", f"/upload{_V}files", "upload", self._start_upload),
            ("POST", r"/upload-session/(?P<session>\d+)", "chunk", self._upload_chunk),
            ("GET", f"{_V}{file}", "file", self._get_file),
            ("DELETE", f"{_V}{file}", "remove", self._remove_file),
            ("GET", f"(?:/download)?{_V}{file}:download", "download", self._download),
            ("POST", f"{_V}{model}:generateContent", "generate", self._generate),
            ("POST", f"{_V}{model}:batchGenerateContent", "create", self._create),
            ("GET", f"{_V}{job}", "get", self._get_job),
            ("GET", f"{_V}batches", "list", self._list_jobs),
            ("POST", f"{_V}{job}:cancel", "cancel", self._cancel_job),
            ("DELETE", f"{_V}{job}", "delete", self._delete_job),
            ("POST", f"{_VERTEX}publishers/google/{model}:generateContent", "generate", self._generate),
            ("POST", f"{_VERTEX}batchPredictionJobs", "create", self._create_vertex),
            ("GET", f"{_V}{vertex_job}", "get", self._get_job),
            ("GET", f"{_VERTEX}batchPredictionJobs", "list", self._list_vertex),
            ("POST", f"{_V}{vertex_job}:cancel", "cancel", self._cancel_job),
            ("DELETE", f"{_V}{vertex_job}", "delete", self._delete_job),
            ("POST", "/token", "token", self._token),
        ]

    def _handle(self, request: Request) -> Reply:
        for method, pattern, call, route in self._routes:
            found = pattern.fullmatch(request.path)
            if found and method == request.method:
                self._require_credentials(request, call)
                self.calls[call] += 1
                return self._with_fault(call, partial(route, request, **found.groupdict()))
        raise problem(404, f"no such method: {request.method} {request.path}")

    def _require_credentials(self, request: Request, call: str) -> None:
        if call in ("chunk", "token") or call.startswith("gcs_"):  # a session's URL is its credential
            return
        if "/projects/" in request.path:
            if not request.headers.get("authorization", "").startswith("Bearer "):
                raise problem(401, "Request is missing required authentication credential.")
        elif request.headers.get("x-goog-api-key") != self.api_key:
            info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            raise problem(400, "API key not valid. Please pass a valid API key.", [info])

    def _with_fault(self, call: str, route: Callable[[], Reply]) -> Reply:
        """Do what was asked, unless a fault prevents it or hides it."""
        fault = self._take(lambda fault: fault.call == call)
        kind = fault.kind if fault else ""
        if fault and kind in ("429", "429_info", "500", "503", "refuse"):
            raise self._refusal(fault)
        if kind == "reset":
            return RESET
        reply = route()
        if kind == "reset_after":
            return RESET
        if kind == "503_after":
            return Reply(503, b"<html>upstream connect error</html>", {"Content-Type": "text/html"})
        if kind == "garbage":
            return Reply(200, b"<html>Welcome to the hotel's WLAN</html>", {"Content-Type": "text/html"})
        if kind == "short":
            return Reply(reply.status, reply.body, reply.headers, sent=len(reply.body) // 2)
        if kind == "elsewhere":
            headers = {
                name: value.replace(self.url, "http://elsewhere.invalid") for name, value in reply.headers.items()
            }
            return Reply(reply.status, reply.body, headers)
        if kind == "cut":
            return Reply(reply.status, reply.body[: len(reply.body) // 2], reply.headers)
        return reply

    def _refusal(self, fault: Fault) -> Problem:
        if fault.kind == "429":
            headers = {} if fault.value is None else {"Retry-After": str(fault.value)}
            return problem(429, "Resource has been exhausted", headers=headers)
        if fault.kind == "429_info":
            info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{fault.value}s"}
            return problem(429, "You exceeded your current quota", [info])
        if fault.kind == "refuse":
            return problem(fault.value or 400, f"Consumer 'api_key:{self.api_key}' may not do that")
        return problem(int(fault.kind), "The model is overloaded. Please try again later.")

    def _take(self, matches: Callable[[Fault], bool]) -> Fault | None:
        """The first fault that matches, one use of it spent."""
        for fault in self.faults:
            if matches(fault):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    def _token(self, request: Request) -> Reply:
        return as_json({"access_token": "token-of-the-fake", "expires_in": 3600, "token_type": "Bearer"})

    # -- Files -------------------------------------------------------------------------------------------------------

    def _start_upload(self, request: Request) -> Reply:
        headers = request.headers
        assert headers["x-goog-upload-protocol"] == "resumable", headers
        assert headers["x-goog-upload-command"] == "start", headers
        about = wire.camel(request.json.get("file", {}))
        if strange := set(about) - {"name", "displayName", "mimeType", "sizeBytes"}:
            raise problem(400, f"Invalid JSON payload received. Unknown name {strange}")
        number = next(self._numbers)
        name = about.get("name") or f"files/upload{number}"
        if not re.fullmatch(r"files/[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
            raise problem(400, f"not a name of a file: {name}")
        if name in self.files:
            raise problem(409, f"Requested entity already exists: {name}")
        file = FakeFile(name, b"", about.get("mimeType", ""), about.get("displayName", ""))
        size = int(headers["x-goog-upload-header-content-length"])
        self._sessions[str(number)] = (file, size, bytearray())
        return Reply(headers={"X-Goog-Upload-URL": f"{self.url}/upload-session/{number}"})

    def _upload_chunk(self, request: Request, session: str) -> Reply:
        assert "x-goog-api-key" not in request.headers, "the real client sends no key here"
        file, size, received = self._sessions[session]
        if int(request.headers["x-goog-upload-offset"]) != len(received):
            raise problem(400, f"offset is not {len(received)}")
        received += request.body
        if "finalize" not in request.headers["x-goog-upload-command"]:
            return Reply(headers={"X-Goog-Upload-Status": "active"})
        if len(received) != size:
            raise problem(400, f"{len(received)} bytes came, {size} were announced")
        if file.name in self.files:
            raise problem(409, f"Requested entity already exists: {file.name}")
        file.content = bytes(received)
        self.files[file.name] = file
        return as_json({"file": self._file_json(file)}, headers={"X-Goog-Upload-Status": "final"})

    def _get_file(self, request: Request, name: str) -> Reply:
        return as_json(self._file_json(self._file(name)))

    def _remove_file(self, request: Request, name: str) -> Reply:
        del self.files[self._file(name).name]
        return as_json({})

    def _download(self, request: Request, name: str) -> Reply:
        assert request.query.get("alt") == "media", request.query
        file = self._file(name)
        if not file.is_answers:
            raise problem(400, "Uploaded files can not be downloaded.")
        return Reply(200, file.content, {"Content-Type": "application/octet-stream"})

    def _file(self, name: str) -> FakeFile:
        if name not in self.files:
            raise problem(403, f"You do not have permission to access the File {name} or it may not exist.")
        return self.files[name]

    def _file_json(self, file: FakeFile) -> dict[str, Any]:
        return {
            "name": file.name,
            "displayName": file.display_name,
            "mimeType": file.mime_type,
            "sizeBytes": str(len(file.content)),
            "sha256Hash": base64.b64encode(hashlib.sha256(file.content).hexdigest().encode()).decode(),
            "createTime": "2026-11-23T10:00:00.123456Z",
            "expirationTime": "2026-11-25T10:00:00.123456Z",
            "uri": f"{self.url}/v1/{file.name}",
            "state": "ACTIVE",
            "source": "GENERATED" if file.is_answers else "UPLOADED",
        }

    def _has_file(self, uri: str) -> bool:
        if uri.startswith("gs://"):
            return uri.removeprefix("gs://") in self.storage.objects
        name = re.search(r"files/[^/]+$", uri)
        if uri.startswith((self.url, "files/")):
            return name is not None and name[0] in self.files
        return uri.startswith("https://")

    # -- Answers -----------------------------------------------------------------------------------------------------

    def _generate(self, request: Request, model: str) -> Reply:
        self._require_model(model)
        body = wire.camel(request.json)
        if wrong := wire.check_body(body, model, self._has_file):
            raise problem(400, wrong)
        key = self._key_of(body)
        line = self._line(key, body, model)
        if "error" in line:
            code = line["error"]["code"]
            raise problem(code if code >= 400 else 500, line["error"]["message"])
        self._single_bills.append((key, line["response"]["usageMetadata"]))
        return as_json(line["response"])

    def _line(self, key: str, body: Any, model: str) -> dict[str, Any]:
        """`{"response": ...}` or `{"error": ...}` for one body in camelCase, line faults included."""
        if wrong := wire.check_body(body, model, self._has_file):
            return {"error": {"code": 3, "message": wrong}}
        fault = self._take(lambda fault: fault.key == key and fault.kind in LINE_FAULTS)
        if fault and fault.kind == "error":
            code = 13 if fault.value is None else fault.value
            return {"error": {"code": code, "message": "The operation was cancelled."}}
        response = wire.answer(body, self.answered_by or model, self._model(body))
        return {"response": wire.spoiled(fault.kind, response, fault.value) if fault else response}

    def _require_model(self, model: str) -> None:
        if not wire.MODEL.fullmatch(model):
            raise problem(404, f"models/{model} is not found for API version v1")

    # -- Jobs --------------------------------------------------------------------------------------------------------

    def _create(self, request: Request, model: str) -> Reply:
        self._require_model(model)
        batch = wire.camel(request.json["batch"])
        only(request.json, {"batch"})
        only(batch, {"displayName", "inputConfig", "priority", "webhookConfig"})
        source = batch["inputConfig"]
        only(source, {"fileName", "requests"})
        job = FakeJob(f"batches/job{len(self.jobs) + 1}", batch["displayName"], model, len(self.jobs), source)
        if "fileName" in source:
            requests = read_requests(self._file(source["fileName"]).content)
        else:
            job.is_inlined = True
            requests = [
                {"key": item.get("metadata", {}).get("key", str(index)), "request": item["request"]}
                for index, item in enumerate(source["requests"]["requests"])
            ]
        self._start(job, requests, vertex=False)
        return as_json(self._job_json(job))

    def _create_vertex(self, request: Request) -> Reply:
        made = request.json
        only(made, {"displayName", "model", "inputConfig", "outputConfig", "labels"})
        model = made["model"].removeprefix("publishers/google/models/")
        self._require_model(model)
        assert made["inputConfig"]["instancesFormat"] == made["outputConfig"]["predictionsFormat"] == "jsonl"
        [uri] = made["inputConfig"]["gcsSource"]["uris"]
        if uri.removeprefix("gs://") not in self.storage.objects:
            raise problem(400, f"The input {uri} does not exist")
        number = len(self.jobs)
        name = f"projects/{_PROJECT}/locations/{_LOCATION}/batchPredictionJobs/{1000 + number}"
        job = FakeJob(name, made["displayName"], made["model"], number, made)
        self._start(job, read_requests(self.storage.objects[uri.removeprefix("gs://")]), vertex=True, model=model)
        return as_json(self._job_json(job))

    def _start(self, job: FakeJob, requests: list[dict[str, Any]], *, vertex: bool, model: str = "") -> None:
        """Answer everything at once; the job is only seen to end later."""
        fault = self._take(lambda fault: not fault.key and not fault.call)
        kind = fault.kind if fault else ""
        if kind in ("partial", "cancelled"):
            requests = requests[: (len(requests) + 1) // 2]
            job.ends_as = {"partial": "PARTIALLY_SUCCEEDED", "cancelled": "CANCELLED"}[kind]
        for item in requests:
            self._answer(job, item, model or job.model, vertex)
        self._random.shuffle(job.answers)
        if kind in ("expired", "failed") or (kind == "cancelled" and not vertex):
            job.ends_as, job.answers, job.bills = kind.upper(), [], []
            job.error = {"code": 13, "message": f"The batch {kind}."}
        if kind == "truncated":
            job.answers[-1] = job.answers[-1][: len(job.answers[-1]) // 2]
        job.polls_left, job.hidden_lists = self._polls, self._list_lag
        self.jobs.append(job)

    def _answer(self, job: FakeJob, item: dict[str, Any], model: str, vertex: bool) -> None:
        """Add the lines of one request, and what they cost."""
        key = item.get("key", "")
        fault = self._take(lambda fault: fault.key == key and fault.kind in BATCH_LINE_FAULTS)
        kind = fault.kind if fault else ""
        if kind == "drop":
            return
        line = self._line(key, wire.camel(item["request"]), model)
        if "response" in line:
            job.bills.append((key, line["response"]["usageMetadata"]))
        text = vertex_line(item, line) if vertex else {"key": key, **line}
        raw = json.dumps(text, ensure_ascii=False).encode()
        job.answers.append(raw[: len(raw) // 2] if kind == "torn" else raw)
        if kind == "duplicate":
            job.answers.append(raw)
        if kind == "unknown_key":
            job.answers.append(json.dumps({**text, "key": "nobody-sent-this"}).encode())

    def _get_job(self, request: Request, name: str) -> Reply:
        job = self._job(name)
        job.polls_left -= 1
        if job.has_answers:
            self._deliver(job)
        return as_json(self._job_json(job))

    def _deliver(self, job: FakeJob) -> None:
        """Put the answers of an ended job where they are fetched from."""
        if "batchPredictionJobs" in job.name:
            middle = (len(job.answers) + 1) // 2
            for part, lines in enumerate((job.answers[:middle], job.answers[middle:]), 1):
                name = f"{answers_folder(job)}/predictions-{part}.jsonl".removeprefix("gs://")
                self.storage.objects[name] = b"\n".join(lines)
        elif not job.is_inlined:
            name = f"files/batch-{job.name.removeprefix('batches/')}"
            content = b"\n".join(job.answers)
            self.files[name] = FakeFile(name, content, "application/jsonl", is_answers=True)

    def _list_jobs(self, request: Request) -> Reply:
        jobs, token = self._page(request, [job for job in self.jobs if job.name.startswith("batches/")])
        return as_json({"operations": [self._job_json(job) for job in jobs], **token})

    def _list_vertex(self, request: Request) -> Reply:
        wanted = re.fullmatch(r'display_name="([^"]*)"', request.query.get("filter", ""))
        jobs = [job for job in self.jobs if "batchPredictionJobs" in job.name]
        if wanted:
            jobs = [job for job in jobs if job.display_name == wanted[1]]
        jobs, token = self._page(request, jobs)
        return as_json({"batchPredictionJobs": [self._job_json(job) for job in jobs], **token})

    def _page(self, request: Request, jobs: list[FakeJob]) -> tuple[list[FakeJob], dict[str, str]]:
        """One page, newest first, and the token of the next."""
        start = int(request.query.get("pageToken", "0"))
        if not start:
            for job in jobs:
                job.hidden_lists -= 1
        seen = [job for job in reversed(jobs) if not job.is_deleted and job.hidden_lists < 0]
        end = start + min(self._page_size, int(request.query.get("pageSize", "1000")))
        return seen[start:end], {"nextPageToken": str(end)} if end < len(seen) else {}

    def _cancel_job(self, request: Request, name: str) -> Reply:
        job = self._job(name)
        if job.polls_left <= 0:
            raise problem(400, f"{name} has ended and cannot be cancelled")
        job.polls_left, job.ends_as, job.answers, job.bills = 0, "CANCELLED", [], []
        return as_json({})

    def _delete_job(self, request: Request, name: str) -> Reply:
        self._job(name).is_deleted = True
        return as_json({})

    def _job(self, name: str) -> FakeJob:
        for job in self.jobs:
            if job.name == name and not job.is_deleted:
                return job
        raise problem(404, f"Requested entity was not found: {name}")

    def _job_json(self, job: FakeJob) -> dict[str, Any]:
        return vertex_job_json(job) if "batchPredictionJobs" in job.name else operation(job)
