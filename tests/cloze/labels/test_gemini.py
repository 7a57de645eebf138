"""Gemini's providers with the real clients against a fake Gemini on loopback."""

import asyncio
import json
import logging
import re
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloze.errors import DataError, MissingInputError, SettingsError
from cloze.labels.answers import Answer, State
from cloze.labels.gemini import GeminiInteractive, open_batch, open_interactive
from cloze.labels.gemini_developer import GeminiBatch
from cloze.labels.gemini_vertex import VertexBatch
from cloze.labels.provider import BatchProvider, BusyError, DeniedError, Job, JobState, RefusedError, UncertainError
from tests.fakes.gemini import FakeGemini, Fault, StaticToken
from tests.fakes.gemini_faults import BATCH_LINE_FAULTS, CALL_FAULTS, JOB_FAULTS, LINE_FAULTS

MODEL = "gemini-3.1-flash-lite"
KEYS = [f"pred/1/{number}_0/v1" for number in range(6)]
JPEG = b"\xff\xd8\xff\xe0 a picture"


def body(text: str, *parts: Any) -> dict[str, Any]:
    return {
        "contents": [{"role": "user", "parts": [{"text": text}, *parts]}],
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "generationConfig": {"temperature": 0.3, "seed": 1, "thinkingConfig": {"thinkingLevel": "MINIMAL"}},
    }


def write_requests(path: Path, keys: list[str] = KEYS) -> Path:
    path.write_text("".join(json.dumps({"key": key, "request": body(key)}) + "\n" for key in keys))
    return path


class Bench:
    """A fake Gemini, and what runs against it, of one service."""

    def __init__(self, service: str, folder: Path, server: FakeGemini, provider: BatchProvider) -> None:
        self.service, self.folder, self.server, self.provider = service, folder, server, provider

    def interactive(self) -> GeminiInteractive:
        if self.service == "developer":
            return GeminiInteractive.with_key(self.server.api_key, self.server.url)
        return GeminiInteractive.with_project("fake-project", "us-central1", StaticToken(), self.server.url)

    @property
    def download_call(self) -> str:
        return "download" if self.service == "developer" else "gcs_download"

    def submit(self, name: str = "cloze-1", keys: list[str] = KEYS) -> Job:
        source = self.provider.upload(write_requests(self.folder / f"{name}.jsonl", keys), name)
        return self.provider.create(MODEL, source, name)

    def finish(self, job: Job) -> Job:
        while (job := self.provider.get(job.name)).state is JobState.RUNNING:
            pass
        return job

    def fetch(self, job: Job) -> list[Answer]:
        path = self.folder / f"{job.display_name}.answers.jsonl"
        self.provider.download(job, path)
        return list(self.provider.answers(path))

    def run(self) -> list[Answer]:
        return self.fetch(self.finish(self.submit()))

    def ask(self, key: str = "a", *parts: Any) -> Answer:
        return self.ask_with(key, body(key, *parts))

    def ask_with(self, key: str, asked: dict[str, Any]) -> Answer:
        async def once() -> Answer:
            provider = self.interactive()
            try:
                return await provider.ask(MODEL, key, asked)
            finally:
                await provider.close()

        return asyncio.run(once())


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeGemini, dict[str, BatchProvider]]]:
    """One server and one client per service for all tests: what takes time is making clients."""
    with FakeGemini() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)
        place = ("fake-project", "us-central1", StaticToken(), "gs://bucket/folder", server.url)
        vertex = VertexBatch(*place, pause_s=0.001)
        yield server, {"developer": GeminiBatch(server.api_key, server.url, pause_s=0.001), "vertex": vertex}


@pytest.fixture(params=["developer", "vertex"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, shared: tuple[FakeGemini, dict[str, BatchProvider]]) -> Bench:
    server, providers = shared
    server.reset()
    return Bench(request.param, tmp_path, server, providers[request.param])


@pytest.fixture
def developer(tmp_path: Path, shared: tuple[FakeGemini, dict[str, BatchProvider]]) -> Bench:
    server, providers = shared
    server.reset()
    return Bench("developer", tmp_path, server, providers["developer"])


@pytest.fixture
def vertex(tmp_path: Path, shared: tuple[FakeGemini, dict[str, BatchProvider]]) -> Bench:
    server, providers = shared
    server.reset()
    return Bench("vertex", tmp_path, server, providers["vertex"])


@pytest.fixture
def server(shared: tuple[FakeGemini, dict[str, BatchProvider]]) -> FakeGemini:
    shared[0].reset()
    return shared[0]


def by_key(answers: list[Answer]) -> dict[str, Answer]:
    assert len({answer.key for answer in answers}) == len(answers)
    return {answer.key: answer for answer in answers}


# -- Batches that go well ---------------------------------------------------------------------------------------------


def test_every_request_of_a_batch_is_answered_once_and_billed_what_the_answers_say(bench: Bench):
    answers = bench.run()
    assert [answer.key for answer in answers] != KEYS, "the fake shuffles"
    found = by_key(answers)
    assert {key: answer.text for key, answer in found.items()} == {key: f"Label of {key}" for key in KEYS}
    assert {answer.model for answer in answers} == {MODEL}
    billed = {key: (1, answer.input_tokens, answer.output_tokens) for key, answer in found.items()}
    assert bench.server.bills() == billed


def test_a_job_runs_until_it_has_ended_and_shows_its_answers_only_then(bench: Bench):
    bench.server.reset(polls=2)
    job = bench.submit()
    assert (job.state, job.result, job.display_name) == (JobState.RUNNING, None, "cloze-1")
    assert bench.provider.get(job.name).state is JobState.RUNNING
    ended = bench.provider.get(job.name)
    assert ended.state is JobState.SUCCEEDED
    assert ended.result
    assert ended.created == job.created > "2026-11"


def test_a_label_with_a_line_separator_stays_one_line(bench: Bench):
    bench.server.reset(lambda body: "one\u2028two\u0085three")
    assert {answer.text for answer in bench.run()} == {"one\u2028two\u0085three"}


def test_a_file_of_many_chunks_arrives_whole(developer: Bench):
    path = developer.folder / "large.jsonl"
    path.write_bytes(b" " * (8 * 1024 * 1024) + write_requests(developer.folder / "small.jsonl").read_bytes())
    source = developer.provider.upload(path, "large")
    assert developer.server.files[source].content == path.read_bytes()
    assert developer.server.calls["chunk"] == 2


def test_a_large_file_arrives_in_the_bucket_whole(vertex: Bench):
    path = vertex.folder / "large.jsonl"
    path.write_bytes(b"x" * (9 * 1024 * 1024))
    assert vertex.provider.upload(path, "large") == "gs://bucket/folder/requests/large.jsonl"
    assert vertex.server.storage.objects["bucket/folder/requests/large.jsonl"] == path.read_bytes()


# -- Uploads ----------------------------------------------------------------------------------------------------------


def test_uploading_the_same_file_again_sends_and_changes_nothing(bench: Bench):
    path = write_requests(bench.folder / "a.jsonl")
    first = bench.provider.upload(path, "cloze-1")
    assert bench.provider.upload(path, "cloze-1") == first
    assert len(bench.server.files) + len(bench.server.storage.objects) == 1


def test_another_file_under_a_taken_name_is_refused(bench: Bench):
    bench.provider.upload(write_requests(bench.folder / "a.jsonl"), "cloze-1")
    with pytest.raises(RefusedError, match=r"bytes .* and \d+ here"):
        bench.provider.upload(write_requests(bench.folder / "b.jsonl", KEYS[:2]), "cloze-1")


@pytest.mark.parametrize("kind", ["503", "reset", "reset_after", "503_after"])
def test_an_upload_is_repeated_when_its_start_fails(developer: Bench, kind: str):
    developer.server.faults.append(Fault(kind, call="upload"))
    assert developer.provider.upload(write_requests(developer.folder / "a.jsonl"), "cloze-1") == "files/cloze-1"


def test_an_upload_whose_last_answer_is_lost_is_found_to_be_there(developer: Bench):
    developer.server.faults.append(Fault("reset_after", call="chunk"))
    assert developer.provider.upload(write_requests(developer.folder / "a.jsonl"), "cloze-1") == "files/cloze-1"
    assert developer.server.calls["chunk"] == 1


@pytest.mark.parametrize("kind", ["503", "reset", "reset_after", "503_after"])
def test_an_upload_to_the_bucket_is_repeated_when_it_fails(vertex: Bench, kind: str):
    vertex.server.faults.append(Fault(kind, call="gcs_upload"))
    vertex.provider.upload(write_requests(vertex.folder / "a.jsonl"), "cloze-1")
    assert list(vertex.server.storage.objects) == ["bucket/folder/requests/cloze-1.jsonl"]


def test_chunks_go_to_the_server_that_was_given_whatever_host_it_names(developer: Bench):
    developer.server.faults.append(Fault("elsewhere", call="upload"))
    assert developer.provider.upload(write_requests(developer.folder / "a.jsonl"), "cloze-1") == "files/cloze-1"
    assert developer.server.calls["upload"] == 1


def test_a_name_that_google_would_not_take_becomes_its_digest(developer: Bench):
    source = developer.provider.upload(write_requests(developer.folder / "a.jsonl"), "Shard 1/of many")
    assert len(source) == len("files/") + 40


def test_a_picture_is_stored_once_and_requests_can_name_it(developer: Bench):
    provider = developer.provider
    assert isinstance(provider, GeminiBatch)
    path = developer.folder / "1_0.jpg"
    path.write_bytes(JPEG)
    uri = provider.upload_picture(path, "panel")
    assert provider.upload_picture(JPEG, "the same panel under another name") == uri
    assert [file.mime_type for file in developer.server.files.values()] == ["image/jpeg"]
    named = {"fileData": {"mimeType": "image/jpeg", "fileUri": uri}}
    assert developer.ask("a", named).input_tokens == developer.ask("a").input_tokens + 258


def test_a_picture_that_is_none_is_not_sent(developer: Bench):
    assert isinstance(developer.provider, GeminiBatch)
    with pytest.raises(DataError, match=r"1/2_3\.jpg: neither a JPEG"):
        developer.provider.upload_picture(b"GIF89a", "1/2_3.jpg")
    assert not developer.server.calls


# -- Creating a job ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset_after", "503_after", "garbage"])
def test_after_a_lost_answer_the_job_is_found_by_name_and_every_key_billed_once(bench: Bench, kind: str):
    bench.server.faults.append(Fault(kind, call="create"))
    with pytest.raises(UncertainError):
        bench.submit("cloze-7")
    assert bench.server.calls["create"] == 1, "the SDK must not repeat it"
    [job] = bench.provider.find("cloze-7")
    assert len(by_key(bench.fetch(bench.finish(job)))) == len(KEYS)
    assert {bill.times for bill in bench.server.bills().values()} == {1}


def test_the_fake_bills_twice_who_creates_again_without_looking(bench: Bench):
    bench.server.faults.append(Fault("reset_after", call="create"))
    with pytest.raises(UncertainError):
        bench.submit("cloze-7")
    bench.submit("cloze-7")
    assert {bill.times for bill in bench.server.bills().values()} == {2}


@pytest.mark.parametrize("kind", ["500", "503", "reset"])
def test_a_creation_that_failed_leaves_open_whether_and_is_not_repeated(bench: Bench, kind: str):
    bench.server.faults.append(Fault(kind, call="create"))
    with pytest.raises(UncertainError, match="creating job cloze-1"):
        bench.submit()
    assert bench.server.calls["create"] == 1
    assert bench.provider.find("cloze-1") == []


@pytest.mark.parametrize(("fault", "wait_s"), [("429", 17), ("429_info", 2.5), ("429", None)])
def test_a_busy_provider_says_how_long_it_wants_to_be_left_alone(bench: Bench, fault: str, wait_s: float | None):
    bench.server.faults.append(Fault(fault, call="create", value=wait_s))
    with pytest.raises(BusyError) as caught:
        bench.submit()
    assert caught.value.wait_s == (wait_s or 0)
    assert not bench.server.jobs


def test_an_unknown_model_is_refused_by_its_name(bench: Bench):
    source = bench.provider.upload(write_requests(bench.folder / "a.jsonl"), "cloze-1")
    with pytest.raises(RefusedError, match="models/llama-9 is not found"):
        bench.provider.create("llama-9", source, "cloze-1")


# -- Finding, cancelling ----------------------------------------------------------------------------------------------


def test_jobs_are_found_on_every_page_oldest_first_and_others_left_out(bench: Bench):
    bench.server.reset(page_size=2)
    made = [bench.submit(name).name for name in ("same", "other", "same", "other", "same")]
    assert [job.name for job in bench.provider.find("same")] == made[::2]
    assert bench.provider.find("sam") == []


def test_a_cancelled_job_ends_and_costs_nothing(bench: Bench):
    job = bench.submit()
    bench.provider.cancel(job.name)
    assert bench.provider.get(job.name).state is JobState.CANCELLED
    assert bench.server.bills() == {}


def test_cancelling_a_job_that_has_ended_is_no_error(bench: Bench):
    job = bench.finish(bench.submit())
    bench.provider.cancel(job.name)
    assert bench.provider.get(job.name).state is JobState.SUCCEEDED


@pytest.mark.parametrize("call", ["get", "list", "cancel"])
@pytest.mark.parametrize("kind", ["503", "reset"])
def test_a_harmless_call_is_repeated_when_it_fails(bench: Bench, call: str, kind: str):
    job = bench.submit()
    bench.server.faults.append(Fault(kind, call=call, times=3))
    harmless = {"get": bench.provider.get, "list": bench.provider.find, "cancel": bench.provider.cancel}
    harmless[call]("cloze-1" if call == "list" else job.name)
    assert bench.server.calls[call] == 4


def test_a_service_that_stays_away_is_given_up(bench: Bench):
    job = bench.submit()
    bench.server.faults.append(Fault("503", call="get", times=99))
    with pytest.raises(UncertainError, match="503 UNAVAILABLE"):
        bench.provider.get(job.name)
    assert bench.server.calls["get"] == 5


def test_a_job_that_is_not_there_is_refused(bench: Bench):
    name = bench.submit().name
    with pytest.raises(RefusedError, match="404"):
        bench.provider.get(f"{name}99")


# -- Jobs that end badly ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["expired", "failed"])
def test_a_job_without_answers_says_why(bench: Bench, kind: str):
    bench.server.faults.append(Fault(kind))
    job = bench.finish(bench.submit())
    assert (job.state, job.result, job.error) == (JobState(kind), None, f"13: The batch {kind}.")
    with pytest.raises(RefusedError, match="has no answers"):
        bench.provider.download(job, bench.folder / "x")


def test_a_job_that_succeeded_in_part_has_ended_and_its_answers_are_fetched(bench: Bench):
    bench.server.faults.append(Fault("partial"))
    answers = bench.run()
    assert {answer.key for answer in answers} == set(KEYS[:3]) == set(bench.server.bills())


def test_what_vertex_finished_before_it_cancelled_is_fetched(vertex: Bench):
    vertex.server.faults.append(Fault("cancelled"))
    job = vertex.finish(vertex.submit())
    assert job.state is JobState.CANCELLED
    assert {answer.key for answer in vertex.fetch(job)} == set(KEYS[:3]) == set(vertex.server.bills())


def test_a_job_that_the_developer_api_cancelled_has_no_answers(developer: Bench):
    developer.server.faults.append(Fault("cancelled"))
    job = developer.finish(developer.submit())
    assert (job.state, job.result) == (JobState.CANCELLED, None)


def test_a_truncated_file_loses_its_last_line_only(bench: Bench, caplog: pytest.LogCaptureFixture):
    bench.server.faults.append(Fault("truncated"))
    assert len(by_key(bench.run())) == len(KEYS) - 1
    assert "cut short" in caplog.text


# -- Lines that are wrong ---------------------------------------------------------------------------------------------

OUTCOMES = {
    "safety": (State.BLOCKED, "SAFETY", True),
    "prompt_blocked": (State.BLOCKED, "prompt: PROHIBITED_CONTENT", True),
    "recitation": (State.BLOCKED, "RECITATION", False),
    "max_tokens": (State.TRUNCATED, "MAX_TOKENS", False),
    "empty": (State.EMPTY, "no text", False),
    "no_candidates": (State.EMPTY, "no candidates", False),
    "blank": (State.EMPTY, "no text", False),
    "thoughts": (State.OK, None, True),
    "finish": (State.EMPTY, "None", False),
}


@pytest.mark.parametrize("kind", OUTCOMES)
def test_a_spoiled_answer_spoils_no_other(bench: Bench, kind: str):
    bench.server.faults.append(Fault(kind, key=KEYS[2]))
    found = by_key(bench.run())
    spoiled = found.pop(KEYS[2])
    assert (spoiled.state, spoiled.reason, spoiled.is_final) == OUTCOMES[kind]
    assert {answer.state for answer in found.values()} == {State.OK}
    assert bench.server.bills()[KEYS[2]][1:] == (spoiled.input_tokens, spoiled.output_tokens)


@pytest.mark.parametrize("kind", OUTCOMES)
def test_a_single_request_is_judged_as_a_line_is(bench: Bench, kind: str):
    bench.server.faults.append(Fault(kind, key="a"))
    answer = bench.ask("a")
    assert (answer.state, answer.reason, answer.is_final) == OUTCOMES[kind]
    assert bench.server.bills()["a"] == (1, answer.input_tokens, answer.output_tokens)


@pytest.mark.parametrize(
    ("code", "state"), [(3, State.FAILED), (7, State.FAILED), (13, State.MISSING), (8, State.MISSING)]
)
def test_a_line_error_is_final_only_if_the_request_is_wrong(bench: Bench, code: int, state: State):
    bench.server.faults.append(Fault("error", key=KEYS[0], value=code))
    answer = by_key(bench.run())[KEYS[0]]
    assert (answer.state, answer.is_final) == (state, state is State.FAILED)
    assert answer.reason is not None
    assert "The operation was cancelled." in answer.reason
    assert KEYS[0] not in bench.server.bills()


def test_lines_that_are_lost_torn_doubled_or_strange_are_given_as_they_stand(bench: Bench):
    kinds = ["drop", "torn", "duplicate", "unknown_key"]
    bench.server.faults += [Fault(kind, key=key) for kind, key in zip(kinds, KEYS, strict=False)]
    keys = sorted(answer.key for answer in bench.run())
    assert keys == sorted([*KEYS[2:], KEYS[2], "nobody-sent-this"])


def test_the_model_that_answered_is_told(bench: Bench):
    bench.server.faults.append(Fault("other_model", key=KEYS[1], value="gemini-3.5-flash-lite"))
    assert by_key(bench.run())[KEYS[1]].model == "gemini-3.5-flash-lite"
    bench.server.reset(answered_by="gemini-2.5-flash")
    assert bench.ask().model == "gemini-2.5-flash"


def test_a_request_with_an_unknown_field_fails_with_googles_words(bench: Bench):
    path = bench.folder / "a.jsonl"
    path.write_text(json.dumps({"key": "a", "request": body("a") | {"tempratur": 1}}) + "\n")
    job = bench.provider.create(MODEL, bench.provider.upload(path, "cloze-1"), "cloze-1")
    [answer] = bench.fetch(bench.finish(job))
    assert answer.state is State.FAILED
    assert 'Unknown name "tempratur"' in str(answer.reason)


# -- Downloads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["short", "503", "reset", "reset_after"])
def test_a_download_that_breaks_is_repeated_and_never_half_there(bench: Bench, kind: str):
    job = bench.finish(bench.submit())
    bench.server.faults.append(Fault(kind, call=bench.download_call, times=2))
    assert len(by_key(bench.fetch(job))) == len(KEYS)
    assert not list(bench.folder.glob(".*"))


def test_a_download_that_never_comes_whole_leaves_no_result(bench: Bench):
    job = bench.finish(bench.submit())
    bench.server.faults.append(Fault("short", call=bench.download_call, times=99))
    with pytest.raises(UncertainError, match="download"):
        bench.fetch(job)
    assert not (bench.folder / "cloze-1.answers.jsonl").exists()


def test_a_download_that_only_seems_whole_is_noticed_and_repeated(bench: Bench, caplog: pytest.LogCaptureFixture):
    job = bench.finish(bench.submit())
    bench.server.faults.append(Fault("cut", call=bench.download_call))
    assert len(by_key(bench.fetch(job))) == len(KEYS)
    assert re.search("bytes came|checksum is wrong", caplog.text)


def test_answers_are_not_lost_because_google_will_not_tell_their_size(
    developer: Bench, caplog: pytest.LogCaptureFixture
):
    job = developer.finish(developer.submit())
    developer.server.faults.append(Fault("refuse", call="file"))
    assert len(by_key(developer.fetch(job))) == len(KEYS)
    assert "taking the download as whole" in caplog.text


# -- Single requests --------------------------------------------------------------------------------------------------


def test_a_single_request_is_sent_as_a_batch_would_send_it(bench: Bench):
    picture = {"inlineData": {"mimeType": "image/jpeg", "data": "+/+/AAAA"}}
    asked = body("a", picture) | {"systemInstruction": {"parts": [{"text": "Be brief."}]}}
    schema = {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object", "properties": {"a_b": {}}},
    }
    asked["generationConfig"] = asked["generationConfig"] | schema
    bench.server.reset(json.dumps)
    answer = bench.ask_with("a", asked)
    # The SDK spells base64 with another alphabet, and the service takes both.
    sent = json.loads(str(answer.text).replace("-_-_", "+/+/"))
    assert sent["systemInstruction"].pop("role", "user") == "user"
    assert sent == asked


def test_many_single_requests_at_once_are_answered_each_by_its_key(bench: Bench):
    async def all_of_them() -> list[Answer]:
        provider = bench.interactive()
        answers = await asyncio.gather(*(provider.ask(MODEL, key, body(key)) for key in KEYS))
        await provider.close()
        return answers

    answers = asyncio.run(all_of_them())
    assert [(answer.key, answer.text) for answer in answers] == [(key, f"Label of {key}") for key in KEYS]
    assert {bill.times for bill in bench.server.bills().values()} == {1}


@pytest.mark.parametrize(
    ("kind", "value", "error", "wait_s"),
    [
        ("429", 17, BusyError, 17),
        ("429_info", 2.5, BusyError, 2.5),
        ("503", None, BusyError, 0),
        ("500", None, UncertainError, None),
        ("503_after", None, UncertainError, None),
        ("reset", None, UncertainError, None),
        ("reset_after", None, UncertainError, None),
        ("short", None, UncertainError, None),
        ("garbage", None, UncertainError, None),
        ("refuse", 400, RefusedError, None),
        ("refuse", 401, DeniedError, None),
        ("refuse", 403, DeniedError, None),
    ],
)
def test_a_single_request_that_fails_is_sent_once_and_says_what_is_known(
    bench: Bench, kind: str, value: float | None, error: type[Exception], wait_s: float | None
):
    bench.server.faults.append(Fault(kind, call="generate", value=value))
    started = time.monotonic()
    with pytest.raises(error) as caught:
        bench.ask()
    assert time.monotonic() - started < 1, "the client waits and repeats by itself"
    assert bench.server.calls["generate"] == 1
    assert getattr(caught.value, "wait_s", None) == wait_s


# -- Keys and the environment -----------------------------------------------------------------------------------------


def test_the_key_appears_in_no_error_and_no_log(developer: Bench, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    job = developer.submit()
    told = []
    for call in ("upload", "create", "get", "list", "generate", "download"):
        developer.server.faults += [Fault("refuse", call=call), Fault("reset", call=call, times=9)]
        for _ in range(2):
            try:
                if call == "generate":
                    developer.ask()
                elif call == "download":
                    developer.fetch(Job(job.name, "x", JobState.SUCCEEDED, "", "files/batch-job1"))
                elif call == "list":
                    developer.provider.find("x")
                elif call == "get":
                    developer.provider.get(job.name)
                else:
                    developer.submit(f"again-{call}")
            except (RefusedError, UncertainError) as error:
                told.append("".join(traceback.format_exception(error)))
        developer.server.faults.clear()
    assert len(told) == 12
    assert sum("[hidden]" in text for text in told) == 6
    assert developer.server.api_key not in "".join(told) + caplog.text


def test_a_wrong_key_is_refused_without_being_shown(developer: Bench):
    provider = GeminiBatch("AIza-wrong", developer.server.url, pause_s=0)
    with pytest.raises(DeniedError, match=r"API key not valid.*check the credentials") as caught:
        provider.get("batches/1")
    assert "AIza-wrong" not in str(caught.value)


def test_without_a_key_the_variables_are_named(monkeypatch: pytest.MonkeyPatch):
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingInputError, match="set GEMINI_API_KEY or GOOGLE_API_KEY"):
        open_batch(vertex=False)
    monkeypatch.setenv("GOOGLE_API_KEY", "AIza secret")
    with pytest.raises(MissingInputError, match="GOOGLE_API_KEY holds blanks") as caught:
        open_interactive(vertex=False)
    assert "secret" not in str(caught.value)


def test_without_a_project_or_a_bucket_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    for name in ("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingInputError, match="GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_LOCATION"):
        open_batch(vertex=True, bucket="gs://bucket")
    with pytest.raises(SettingsError, match="bucket is ''"):
        open_batch(vertex=True)


def test_without_credentials_it_is_said_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, server: FakeGemini, tmp_path: Path
):
    for name, value in {**server.environment(), "NO_GCE_CHECK": "true", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingInputError, match="gcloud auth application-default login"):
        open_interactive(vertex=True)


@pytest.mark.parametrize("vertex", [False, True])
def test_the_environment_alone_brings_both_ways_to_the_server(
    vertex: bool, monkeypatch: pytest.MonkeyPatch, server: FakeGemini, tmp_path: Path
):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.write_credentials(tmp_path / "adc.json")))
    provider = open_batch(vertex, "gs://bucket/folder/" if vertex else "")
    job = provider.create(MODEL, provider.upload(write_requests(tmp_path / "a.jsonl"), "cloze-1"), "cloze-1")
    provider.download(provider.get(job.name), tmp_path / "answers.jsonl")
    assert len(list(provider.answers(tmp_path / "answers.jsonl"))) == len(KEYS)
    answer = asyncio.run(open_interactive(vertex).ask(MODEL, "a", body("a")))
    assert answer.text == "Label of a"


# -- The fake itself --------------------------------------------------------------------------------------------------


def test_a_bug_of_the_fake_is_a_500_and_comes_to_light():
    def broken(body: object) -> str:
        raise ZeroDivisionError("a bug")

    def meet_it() -> None:
        with FakeGemini(broken) as server:
            provider = GeminiInteractive.with_key(server.api_key, server.url)
            with pytest.raises(UncertainError, match="a bug of the fake"):
                asyncio.run(provider.ask(MODEL, "a", body("a")))

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        meet_it()


def test_the_fake_takes_every_version_of_the_api_and_pages_answers_to_inlined_requests(server: FakeGemini):
    from google.genai import Client, types

    for version in ("v1", "v1beta", ""):
        options = types.HttpOptions(base_url=server.url, api_version=version)
        client = Client(vertexai=False, api_key=server.api_key, http_options=options)
        requests = [types.InlinedRequest(contents=f"say {n}", metadata={"key": str(n)}) for n in range(3)]
        job = client.batches.create(model=MODEL, src=requests, config={"display_name": "inlined"})
        ended = client.batches.get(name=str(job.name))
        assert ended.dest
        answered = ended.dest.inlined_responses or []
        assert {a.metadata["key"]: a.response.text for a in answered if a.metadata and a.response} == {
            str(n): f"Label of say {n}" for n in range(3)
        }
        client.batches.delete(name=str(job.name))
        assert list(client.batches.list()) == []


def test_the_list_may_lag_behind(developer: Bench):
    developer.server.reset(list_lag=2)
    developer.submit()
    assert [len(developer.provider.find("cloze-1")) for _ in range(4)] == [0, 0, 1, 1]


def test_every_kind_of_fault_is_tested_here():
    source = Path(__file__).read_text()
    kinds = LINE_FAULTS | BATCH_LINE_FAULTS | JOB_FAULTS | CALL_FAULTS
    assert len(kinds) > 20
    assert [kind for kind in sorted(kinds) if f'"{kind}"' not in source] == []
