"""The whole sample, drawn once for all tests of `cloze`; a Gemini on loopback for those who ask one."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloze.sample.world import sample_folder

if TYPE_CHECKING:
    from tests.fakes.gemini import FakeGemini

SEED = 42


@pytest.fixture(scope="session")
def drawn(cache) -> Path:
    before = time.process_time()
    folder = sample_folder(cache, SEED)
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"\ndrew the sample in {time.process_time() - before:.1f} CPU-seconds, {n_bytes / 1e6:.1f} MB")
    return folder


@pytest.fixture
def start_gemini(monkeypatch) -> "Iterator[Callable[..., FakeGemini]]":
    """Starts a fake service that this process' environment names: `start_gemini(model, **options of FakeGemini)`."""
    from tests.fakes.gemini import FakeGemini

    with ExitStack() as running:

        def start(model: Callable[[Any], str], **options: Any) -> "FakeGemini":
            whole = {"key_of": lambda body: json.dumps(body["contents"])}
            server = running.enter_context(FakeGemini(model, **whole | options))
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            return server

        yield start
