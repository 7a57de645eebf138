"""What a model answered, kept as soon as it is known, so that nothing is asked twice.

Answers are filed under everything that decides them: what predicts (model, adapter, decoding, numbers, libraries, our
own code) names the folder, what is asked (tokens or words, and the contents of the pictures) names the answer. So runs
that were killed, shards, and larger runs over the same sequences all take up what is there. Every process appends to a
file of its own; a line that was cut short by a kill is left out.
"""

import hashlib
import json
import os
import socket
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

_WHAT = "what.json"
_CODE = (Path(__file__).parent, Path(__file__).parents[1] / "labels" / "prompts.py")


@dataclass(frozen=True)
class Answer:
    """What the model wrote.

    Attributes:
        finish_reason: `stop` where it ended its turn, `length` where it was cut; a server may have further ones.
        prompt_tokens, output_tokens: None where a server does not say.
        seconds: share of the time that its batch took.
    """

    text: str
    finish_reason: str
    prompt_tokens: int | None
    output_tokens: int | None
    seconds: float


class AnswerStore:
    """The answers of one predictor, in a folder; a context manager.

    Args:
        root: folder of all stores.
        what: everything that decides the answer to a given question, as JSON can hold it.
    """

    def __init__(self, root: Path, what: Mapping[str, Any]) -> None:
        said = json.dumps({**what, "code": _code_digest()}, sort_keys=True, indent=1)
        self.folder = root / hashlib.sha256(said.encode()).hexdigest()[:32]
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{uuid.uuid4().hex}"
        partial.write_text(said, encoding="utf-8")
        partial.rename(self.folder / _WHAT)
        self._kept = {key: answer for path in sorted(self.folder.glob("*.jsonl")) for key, answer in _read(path)}
        self._stream: IO[str] | None = None

    def get(self, key: str) -> Answer | None:
        """The answer to a question, if it was asked before."""
        return self._kept.get(key)

    def add(self, answers: Mapping[str, Answer]) -> None:
        """Keep answers; they are on disk when this returns."""
        if self._stream is None:
            name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
            self._stream = (self.folder / name).open("a", encoding="utf-8")
        self._stream.writelines(json.dumps({"key": key, **asdict(answer)}) + "\n" for key, answer in answers.items())
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._kept |= answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream:
            self._stream.close()


def question_key(words: str, pictures: Iterable[str]) -> str:
    """Names a question.

    Args:
        words: all that is said, with the places of pictures in it.
        pictures: keys of their contents, in order.
    """
    return hashlib.sha256("\0".join([words, *pictures]).encode()).hexdigest()


def _read(path: Path) -> Iterable[tuple[str, Answer]]:
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):  # else its writer was killed, or is at it
            values = json.loads(line)
            yield values.pop("key"), Answer(**values)


def _code_digest() -> str:
    """Of the code that makes an answer of a question."""
    files = sorted(file for place in _CODE for file in ([place] if place.is_file() else place.glob("*.py")))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
