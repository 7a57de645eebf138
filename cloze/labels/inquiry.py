"""Putting questions to a model: preflight, plan, price, ask; whatever the questions are and however they travel."""

import gzip
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from cloze.errors import SettingsError
from cloze.labels.cost import RESOLUTIONS, price_of
from cloze.labels.pictures import WAYS
from cloze.settings import choices, setting

if TYPE_CHECKING:
    from cloze.data.images import ImageFolder
    from cloze.labels.answers import Answer
    from cloze.labels.ledger_rows import Planned
    from cloze.labels.pictures import Pictures

logger = logging.getLogger(__name__)

MODELS = ("gemini-batch", "gemini", "openai")  # ways to ask one
SERVICES = ("developer", "vertex")
DEFAULT_MODEL = "gemini-3.1-flash-lite"

_TOGETHER = 200  # requests whose pictures are fetched at once
_SAID_EVERY = 2_000  # requests
_MEASURED = 100  # pictures opened to know what size they have

PicturePart = Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What a user may set wherever a vision-language model is asked."""

    model: str = setting(f"Model to ask; empty is {DEFAULT_MODEL}, and must be given for openai.", default="")
    budget_usd: float = setting("Never spend more than this on these answers, all runs together.", default=5.0)
    dry_run: bool = setting("Write the requests and what they would cost, and send nothing.", default=False)
    service: str = setting(
        "Google's service: developer (an API key) or vertex (a project).", default="developer", choices=SERVICES
    )
    bucket: str = setting("gs://BUCKET/FOLDER for requests and answers; vertex only.", default="")
    pictures: str = setting(
        "How pictures travel: inline, upload (each once) or gs (named where they lie).", default="auto", choices=WAYS
    )
    picture_size: int = setting("Longest side in pixels of pictures that are sent.", default=384)
    resolution: str = setting("Tokens that Gemini spends on a picture.", default="low", choices=RESOLUTIONS)
    temperature: float = setting("Sampling temperature.", default=0.3)
    top_p: float = setting("Nucleus sampling.", default=0.9)
    max_output_tokens: int = setting("Longest answer; doubled with each new attempt.", default=512)
    attempts: int = setting("Ask at most so often for one answer.", default=3)
    shard: int = setting("Requests in one batch job at most.", default=10_000)
    rpm: int = setting("Requests a minute, where they are sent one by one.", default=1000)
    poll_s: float = setting("Seconds between two looks at batch jobs.", default=60.0)
    prices: str = setting("INPUT,OUTPUT in USD per million tokens as billed; empty is the published price.", default="")

    def __post_init__(self) -> None:
        for field in fields(self):
            allowed = field.metadata["choices"] and choices(type(self), field.name)
            if allowed and getattr(self, field.name) not in allowed:
                raise SettingsError(field.name, getattr(self, field.name), f"one of {', '.join(allowed)}")
        for name in ("picture_size", "max_output_tokens", "attempts", "shard", "rpm"):
            if getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "1 or more")
        for name in ("budget_usd", "temperature", "poll_s"):
            if not getattr(self, name) >= 0:
                raise SettingsError(name, getattr(self, name), "0 or more")
        if not 0 < self.top_p <= 1:
            raise SettingsError("top_p", self.top_p, "more than 0 and at most 1")

    @property
    def model_name(self) -> str:
        """The model to ask."""
        return self.model or DEFAULT_MODEL

    def require_model(self, way: str) -> None:
        """Refuse what this way of asking cannot do without.

        Raises:
            SettingsError: a parameter is missing.
        """
        if way == "openai" and not self.model:
            raise SettingsError("model", "", "the name under which the server knows its model")
        if way == "gemini-batch" and self.service == "vertex" and not self.bucket.startswith("gs://"):
            raise SettingsError("bucket", self.bucket, "gs://BUCKET/FOLDER: Vertex AI reads and writes batches there")


class Questions(Protocol):
    """What is asked. A row is whatever the questions need to know of one request."""

    def pictures(self) -> list[str]:
        """Names of all pictures that will be shown, each once."""

    def plan(self, sides: tuple[int, int]) -> "Iterator[Planned]":
        """One planned request for each row, in order; `sides` is the size that a picture is taken to have."""

    def rows(self, positions: Sequence[int]) -> list[Any]:
        """Some rows, by their places in the plan."""

    def shown(self, row: Any) -> list[str]:
        """The pictures that a row's request shows."""

    def body(self, row: Any, attempt: int, picture: PicturePart) -> dict[str, Any]:
        """A request; attempts count from 1."""

    def parse(self, answer: "Answer") -> "Answer":
        """An `OK` answer in its final form, or an `UNPARSABLE` one."""


class Inquiry:
    """One run of questions by way of one ledger.

    Args:
        way: one of `MODELS`.
        images: where the pictures lie.
        folder: of the ledger; made where it is not.
        out: where the request template, or the whole of a dry run, is written.

    Raises:
        MissingInputError: another process uses the ledger.
        SettingsError: the model's price is not known, or pictures cannot travel as they were told to.
    """

    def __init__(
        self, questions: Questions, settings: ModelSettings, way: str, images: "ImageFolder", folder: Path, out: Path
    ) -> None:
        from cloze.labels.ledger import Ledger
        from cloze.labels.pictures import way_of

        settings.require_model(way)
        self._questions, self._settings, self._way, self._images, self._out = questions, settings, way, images, out
        self._is_batch = way == "gemini-batch"
        self._price = price_of(settings.model_name, settings.prices, batch=self._is_batch)
        is_vertex = settings.service == "vertex"
        self._travel = way_of(settings.pictures, images, vertex=is_vertex, batch=self._is_batch)
        self._positions: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger: Ledger = Ledger(folder / "ledger.sqlite")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.ledger.close()

    def run(self) -> dict[str, float]:
        """Ask until every request is final or out of attempts, or only plan it (`dry_run`); the figures.

        Raises:
            DataError: a picture cannot be sent.
            SettingsError: the budget does not reach, or another model answers.
        """
        self._timed("preflight", self._preflight)
        self._timed("plan", self._plan)
        estimated = self._estimate()
        if self._settings.dry_run:
            self._write_requests()
            return estimated | self._times()
        self._refuse_over_budget(estimated["estimate/cost_usd"])
        self._write_template()
        self._timed("ask", self._ask_in_files if self._is_batch else self._ask_one_by_one)
        return estimated | self._figures() | self._times()

    def _preflight(self) -> None:
        from cloze.labels.pictures import require_usable

        names = self._questions.pictures()
        require_usable(self._images, names)
        longest = 0 if self._travel == "gs" else self._settings.picture_size
        self._sides = _typical_sides(self._images, names, longest)

    def _plan(self) -> None:
        def noted() -> "Iterator[Planned]":
            for position, request in enumerate(self._questions.plan(self._sides)):
                self._positions[request.key] = position
                yield request

        self.ledger.plan(noted())

    def _estimate(self) -> dict[str, float]:
        """What is still to be asked for, and for how much."""
        found = self.ledger.estimate(self._price)
        logger.info("%s: %d of %d requests to send", self._settings.model_name, found.n, len(self._positions))
        logger.info("about %d tokens in, %d out: %.4f USD", found.input_tokens, found.output_tokens, found.usd)
        logger.info("spent on the others before: %.4f USD", self.ledger.cost())
        return {
            "estimate/requests": found.n,
            "estimate/input_tokens": found.input_tokens,
            "estimate/output_tokens": found.output_tokens,
            "estimate/cost_usd": found.usd,
        }

    def _refuse_over_budget(self, estimate: float) -> None:
        spent, budget = self.ledger.cost(), self._settings.budget_usd
        if spent + estimate > budget:
            figures = f"{spent:.4f} USD spent before, about {estimate:.4f} to come"
            expected = f"{spent + estimate:.4f} or more ({figures}), or `limit` smaller; dry_run=yes shows the requests"
            raise SettingsError("budget_usd", budget, expected)

    def _ask_in_files(self) -> None:
        from cloze.labels.batch import BatchOptions, run_batches
        from cloze.labels.gemini import open_batch

        provider = open_batch(self._settings.service == "vertex", self._settings.bucket)
        pictures = self._pictures(getattr(provider, "upload_picture", None))
        options = BatchOptions(
            model=self._settings.model_name,
            price=self._price,
            budget_usd=self._settings.budget_usd,
            max_attempts=self._settings.attempts,
            shard_requests=self._settings.shard,
            poll_s=self._settings.poll_s,
        )
        run_batches(
            self.ledger,
            provider,
            lambda wanted: self._lines(wanted, pictures),
            options,
            wait=time.sleep,
            say=logger.info,
            parse=self._questions.parse,
        )

    def _ask_one_by_one(self) -> None:
        from cloze.labels.gemini import open_interactive
        from cloze.labels.interactive import InteractiveOptions, run_interactive
        from cloze.labels.openai import open_openai

        pictures = self._pictures(None)
        provider = open_openai() if self._way == "openai" else open_interactive(self._settings.service == "vertex")
        options = InteractiveOptions(
            model=self._settings.model_name,
            price=self._price,
            budget_usd=self._settings.budget_usd,
            max_attempts=self._settings.attempts,
            rpm=self._settings.rpm,
        )

        def body(key: str, attempt: int) -> dict[str, Any]:
            (row,) = self._questions.rows([self._positions[key]])
            return self._questions.body(row, attempt, pictures.part)

        run_interactive(self.ledger, provider, body, options, say=logger.info, parse=self._questions.parse)

    def _pictures(self, upload: Callable[[bytes, str], str] | None) -> "Pictures":
        from cloze.labels.pictures import InBucket, Inline, Uploaded

        if self._travel == "gs":
            return InBucket(self._images)
        if self._travel == "upload" and upload:
            memory = self._folder.parent / "uploaded.sqlite"
            return Uploaded(self._images, self._settings.picture_size, upload, memory)
        return Inline(self._images, self._settings.picture_size)

    def _lines(self, wanted: Sequence[tuple[str, int]], pictures: "Pictures") -> Iterator[tuple[str, bytes]]:
        """Lines of a batch file for (key, attempt); some hundred rows are in memory at once."""
        for start in range(0, len(wanted), _TOGETHER):
            some = wanted[start : start + _TOGETHER]
            rows = self._questions.rows([self._positions[key] for key, _ in some])
            pictures.prepare([name for row in rows for name in self._questions.shown(row)])
            for (key, attempt), row in zip(some, rows, strict=True):
                yield key, _line(key, self._questions.body(row, attempt, pictures.part))
            if start % _SAID_EVERY == 0:
                logger.info("%d of %d requests are written, their pictures sent", start + len(some), len(wanted))

    def _write_requests(self) -> None:
        """The whole request file, with pictures named where they lie instead of sent."""
        from cloze.labels.pictures import InBucket

        pairs = [(key, 1) for key in self._positions]
        with gzip.open(self._out / "requests.jsonl.gz", "wb", compresslevel=1) as stream:
            stream.writelines(line for _, line in self._lines(pairs, InBucket(self._images)))

    def _write_template(self) -> None:
        """One request as it is sent, pictures named, and its words as a person reads them."""
        from cloze.labels.pictures import InBucket

        (row,) = self._questions.rows([0])
        body = self._questions.body(row, 1, InBucket(self._images).part)
        (self._out / "request.json").write_text(json.dumps(body, indent=2, ensure_ascii=False), encoding="utf-8")
        parts = [part.get("text") or f"[{part['fileData']['fileUri']}]" for part in body["contents"][0]["parts"]]
        (self._out / "prompt.txt").write_text("".join(parts), encoding="utf-8")

    def _figures(self) -> dict[str, float]:
        """Counts by state, tokens and cost of all attempts."""
        totals = self.ledger.totals()
        return {
            **{str(state): n for state, n in self.ledger.counts().items()},
            "input_tokens": totals.input_tokens,
            "cached_tokens": totals.cached_tokens,
            "output_tokens": totals.output_tokens,
            "cost_usd": totals.usd,
        }

    def _timed(self, name: str, work: Callable[[], None]) -> None:
        started = time.monotonic()
        work()
        self._seconds[name] = time.monotonic() - started

    def _times(self) -> dict[str, float]:
        return {f"seconds/{name}": seconds for name, seconds in self._seconds.items()}


def _typical_sides(images: "ImageFolder", names: Sequence[str], longest: int) -> tuple[int, int]:
    """Median width and height in pixels of some pictures, as sent: shrunk to `longest` a side, unless that is 0."""
    from statistics import median_high

    some = [images.load(name) for name in names[:: max(1, len(names) // _MEASURED)]]
    if longest:
        for picture in some:
            picture.thumbnail((longest, longest))
    return median_high(picture.width for picture in some), median_high(picture.height for picture in some)


def _line(key: str, body: Mapping[str, Any]) -> bytes:
    return json.dumps({"key": key, "request": body}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
