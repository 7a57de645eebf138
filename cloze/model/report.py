"""What the doctor found, as a tree of plain values: for a terminal, for a file, for a program."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from cloze.errors import UserError
from cloze.model.census import Census
from cloze.model.memory import Estimate

GIB = 1 << 30
_PACE = 400e12  # FLOP/s: half of what matrix products in bf16 reach on an H200
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    Attributes:
        severity: `fault` stops a run, `warning` does not, `fact` is neither.
        subject: what it is about.
    """

    severity: str
    subject: str
    text: str


@dataclass(frozen=True)
class BaseFacts:
    """The base: its name, where its shape was read, what tells it from another, its parameters."""

    name: str
    source: str
    digest: str
    parameters: Census


@dataclass(frozen=True)
class Spread:
    """Smallest, middle and largest of some counts."""

    minimum: int
    median: int
    maximum: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Self:
        """Of values, at least one."""
        return cls(min(values), round(statistics.median(values)), max(values))


@dataclass(frozen=True)
class TokenFacts:
    """Tokens of an example and its parts.

    Attributes:
        basis: what they were counted on.
        layout: the one that the run uses.
        pictures, total: by layout.
        in_run: tokens that the run reads, over all its epochs.
    """

    basis: str
    layout: str
    pictures: Mapping[str, Spread]
    lettering: Spread | None
    words: Spread
    answer: Spread
    total: Mapping[str, Spread]
    in_run: int


@dataclass(frozen=True)
class LoraFacts:
    """LoRA weights by component, and by last name of the layers that get them."""

    trainable: Census
    adapted: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class MaskFacts:
    """The audit of masks.

    Attributes:
        examples: that were audited.
        ratio: share of their tokens without loss.
        supervised: their tokens with loss.
        shown: decoded text that carries loss, by sequence.
    """

    examples: int
    ratio: float
    supervised: int
    shown: Mapping[str, str]


@dataclass(frozen=True)
class BatchFacts:
    """Batches and steps.

    Attributes:
        configured: examples that a step of the optimizer should see.
        found: that the largest step really gets from the collator; None where no example could be made.
        last: in the last step of an epoch.
    """

    batch: int
    accumulate: int
    processes: int
    configured: int
    found: int | None
    examples: int
    steps: int
    steps_per_epoch: int
    last: int


@dataclass(frozen=True)
class BookFacts:
    """Books of the examples, of the whole train split, on average of a draw, and of the first N examples."""

    covered: int
    in_train: int
    expected: float
    of_the_first: int


@dataclass(frozen=True)
class DataFacts:
    """Labels of the train sequences by state, and what train shares with val and test."""

    label_states: Mapping[str, int]
    shared_groups: Sequence[int]
    shared_books: Sequence[int]


@dataclass(frozen=True)
class MemoryFacts:
    """Memory of a step on the largest batch, activations kept or computed again, and what was decided.

    Attributes:
        checkpointed: None where it was not asked: a run keeps its activations, or prompts leave few.
    """

    device: str
    available: int
    batch: str
    kept: Estimate
    checkpointed: Estimate | None
    checkpointing: bool

    @property
    def needed(self) -> Estimate:
        """Of the step as it will be."""
        return self.checkpointed if self.checkpointing and self.checkpointed else self.kept


@dataclass(frozen=True)
class ArithmeticFacts:
    """Floating-point operations of the largest batch, and of the whole run."""

    batch: float
    run: float


@dataclass(frozen=True)
class Report:
    """All that was found; a part that could not be looked at is None, and a finding says why."""

    base: BaseFacts
    lora: LoraFacts
    tokens: TokenFacts
    batches: BatchFacts
    memory: MemoryFacts
    arithmetic: ArithmeticFacts
    masks: MaskFacts | None = None
    books: BookFacts | None = None
    data: DataFacts | None = None
    findings: Sequence[Finding] = ()
    errors: Sequence[UserError] = field(default=(), repr=False)

    @property
    def faults(self) -> list[Finding]:
        """Findings that stop a run."""
        return [finding for finding in self.findings if finding.severity == "fault"]

    def stop_on_faults(self) -> None:
        """Let no run start that has a fault.

        Raises:
            UserError: the first fault, and how many more there are.
        """
        if not self.errors:
            return
        first = self.errors[0]
        if n_more := len(self.errors) - 1:
            first.args = (f"{first} (and {n_more} more; `cloze doctor` with the same options shows all)",)
        raise first

    def metrics(self) -> dict[str, float]:
        """Counts of it, to be logged."""
        found: dict[str, float] = {
            "doctor/warnings": sum(finding.severity == "warning" for finding in self.findings),
            "doctor/memory_gib": self.memory.needed.total / GIB,
            "doctor/tflop": self.arithmetic.run / 1e12,
            **{f"doctor/tokens_{layout}": spread.median for layout, spread in self.tokens.total.items()},
        }
        if self.masks:
            found |= {"masking_ratio": self.masks.ratio, "supervised_tokens": self.masks.supervised}
        return found

    def as_json(self) -> str:
        """The tree as JSON."""
        parts = {name: value for name, value in asdict(replace(self, errors=())).items() if name != "errors"}
        return json.dumps(parts, indent=2, ensure_ascii=False) + "\n"

    def as_text(self) -> str:
        """Tables for a terminal."""
        parts = (
            self.base,
            self.lora,
            self.tokens,
            self.masks,
            self.batches,
            self.books,
            self.data,
            self.memory,
            self.arithmetic,
        )
        shown = [_TEXTS[type(part)](part) for part in parts if part is not None]
        return "\n\n".join([*shown, _findings(self.findings)]) + "\n"


def _base(part: BaseFacts) -> str:
    n = part.parameters
    return _section(
        f"base {part.name}",
        [
            ("shape", part.source),
            ("digest", part.digest),
            ("parameters", f"{n.total:,}"),
            ("", f"language {n.language:,}, projector {n.projector:,}, vision {n.vision:,}"),
        ],
    )


def _lora(part: LoraFacts) -> str:
    n = part.trainable
    rows = [("trainable", f"{n.total:,} = language {n.language:,} + projector {n.projector:,} + vision {n.vision:,}")]
    for name, weights in part.adapted.items():
        rows.append((name, " + ".join(f"{where} {count:,}" for where, count in sorted(weights.items()))))
    attention = [part.adapted[name] for name in _ATTENTION if name in part.adapted]
    if 0 < len(attention) < len(part.adapted):
        in_language = sum(weights.get("language", 0) for weights in attention)
        total = sum(sum(weights.values()) for weights in attention)
        rows.append(("attention alone", f"{total:,}, of them language {in_language:,}"))
    return _section("LoRA weights", rows)


def _tokens(part: TokenFacts) -> str:
    spreads = {f"pictures, {layout}": spread for layout, spread in part.pictures.items()}
    spreads |= {"lettering": part.lettering} if part.lettering else {}
    spreads |= {"words of the prompt": part.words, "answer": part.answer}
    spreads |= {f"in all, {layout}": spread for layout, spread in part.total.items()}
    rows = [("", f"{'least':>9}{'median':>9}{'most':>9}")]
    rows += [(n, f"{s.minimum:>9,}{s.median:>9,}{s.maximum:>9,}") for n, s in spreads.items()]
    rows += [("the run reads", f"{part.in_run:,} in all, as {part.layout}"), ("counted on", part.basis)]
    return _section("tokens of an example", rows)


def _masks(part: MaskFacts) -> str:
    rows = [
        ("audited", f"{part.examples:,} examples, {100 * part.ratio:.1f} % of their tokens without loss"),
        ("with loss", f"{part.supervised:,} tokens; the text of some:"),
    ]
    return _section("masks", rows + [(name, _cut(text)) for name, text in part.shown.items()])


def _batches(part: BatchFacts) -> str:
    shape = f"{part.configured} examples = {part.batch} x {part.accumulate}, on {part.processes} process(es)"
    found = "not looked at: no example could be made" if part.found is None else f"{part.found} examples"
    return _section(
        "batches",
        [
            ("a step should see", shape),
            ("the largest gets", found),
            ("steps", f"{part.steps:,} ({part.steps_per_epoch:,} an epoch of {part.examples:,} examples)"),
            ("last of an epoch", f"{part.last} examples"),
        ],
    )


def _books(part: BookFacts) -> str:
    return _section(
        "books",
        [
            ("covered", f"{part.covered:,} of {part.in_train:,} in train"),
            ("a draw over all", f"{part.expected:,.1f} on average"),
            ("the first N", f"{part.of_the_first:,}"),
        ],
    )


def _data(part: DataFacts) -> str:
    states = ", ".join(f"{state} {n:,}" for state, n in sorted(part.label_states.items()))
    return _section(
        "labels and splits",
        [
            ("labels of train", states),
            ("train shares", f"{len(part.shared_groups)} groups and {len(part.shared_books)} books with val and test"),
        ],
    )


def _memory(part: MemoryFacts) -> str:
    columns = [part.kept, part.checkpointed] if part.checkpointed else [part.kept]
    names = ("weights", "lora", "features", "activations", "logits", "working", "total")
    rows = [("GiB", "".join(f"{title:>16}" for title in ("kept", "computed again")[: len(columns)]))]
    rows += [(name, "".join(f"{getattr(column, name) / GIB:>16.2f}" for column in columns)) for name in names]
    decision = "computed again (gradient checkpointing)" if part.checkpointing else "kept"
    rows += [
        ("batch", part.batch),
        ("device", f"{part.device}: {part.available / GIB:.1f} GiB free"),
        ("activations are", decision),
    ]
    return _section("memory of a step", rows)


def _arithmetic(part: ArithmeticFacts) -> str:
    minutes = part.run / _PACE / 60
    return _section(
        "arithmetic",
        [
            ("the largest batch", f"{part.batch / 1e12:,.1f} TFLOP"),
            ("the run", f"{part.run / 1e12:,.0f} TFLOP: {minutes:,.0f} min at {_PACE / 1e12:.0f} TFLOP/s"),
        ],
    )


def _findings(findings: Sequence[Finding]) -> str:
    order = {"fault": 0, "warning": 1, "fact": 2}
    ranked = sorted(findings, key=lambda finding: order[finding.severity])
    lines = [
        f"  {f.severity.upper() if f.severity == 'fault' else f.severity:<8} {f.subject}: {f.text}" for f in ranked
    ]
    n_faults = sum(finding.severity == "fault" for finding in findings)
    verdict = (
        "no fault found" if n_faults == 0 else f"{n_faults} fault{'s' if n_faults > 1 else ''}: no run would start"
    )
    return "\n".join(["findings", *lines, "", verdict])


def _section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join([title, *(f"  {name:<20} {text}".rstrip() for name, text in rows)])


def _cut(text: str, width: int = 96) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


_TEXTS: dict[type, Any] = {
    BaseFacts: _base,
    LoraFacts: _lora,
    TokenFacts: _tokens,
    MaskFacts: _masks,
    BatchFacts: _batches,
    BookFacts: _books,
    DataFacts: _data,
    MemoryFacts: _memory,
    ArithmeticFacts: _arithmetic,
}
