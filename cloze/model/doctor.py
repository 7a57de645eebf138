"""The doctor: is this run what it is meant to be, and will it fit? In seconds, before a GPU-hour is spent.

`finetune` lets the same examination decide whether it starts; `cloze doctor` shows it to a person. Whatever needs data,
a tokenizer or pictures that are not at hand is left out, and a finding says so.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from cloze.digests import folder_digest
from cloze.errors import DataError, MissingInputError, SettingsError, UserError
from cloze.labels.prompts import lettering
from cloze.model.adapter import lora_config
from cloze.model.base import SAMPLE, SAMPLE_FOLDER, load_chat
from cloze.model.batches import Batch, collate, epoch_order
from cloze.model.census import Plan, plan
from cloze.model.conversation import Chat, Example
from cloze.model.examples import Chosen, choose, draw, expected_books
from cloze.model.finetune_settings import LAYOUTS, FinetuneSettings
from cloze.model.known_bases import Shape, read_shape
from cloze.model.layouts import Size, picture_tiles, picture_tokens
from cloze.model.masking import audit_batch, audit_examples, audit_labels
from cloze.model.memory import Device, Load, estimate, needs_checkpointing, this_device
from cloze.model.report import (
    GIB,
    ArithmeticFacts,
    BaseFacts,
    BatchFacts,
    BookFacts,
    DataFacts,
    Finding,
    LoraFacts,
    MaskFacts,
    MemoryFacts,
    Report,
    Spread,
    TokenFacts,
)

Collator = Callable[[Sequence[Example], int], Batch]

# Of what takes long for each example the doctor looks at so many, drawn over all books.
LOOKED_AT = 256
_N_SHOWN = 3
# Where no data is at hand. Five such panels as tiles, with these words, are the 13,5xx tokens of the original study's
# example; as one tile each, 4,170.
_ASSUMED_SIZE: Size = (700, 450)
_ASSUMED_PICTURES = 5
_ASSUMED_WORDS = 400
_ASSUMED_ANSWER = 120
_ASSUMED_OPENING = 3  # tokens that open the assistant's turn
# Weights of a folder larger than this take longer to read than an examination may.
_DIGEST_BYTES = 2 * GIB


@dataclass(frozen=True)
class Examination:
    """The report, and what was prepared on the way: a run goes on with it.

    Attributes:
        chosen: sequences and labels; None without data, or where they cannot be used.
        examples: of `chosen.train`, all of them if it was examined for a run.
    """

    report: Report
    chosen: Chosen | None
    examples: Sequence[Example]


class Pictures(NamedTuple):
    """Sizes of the pictures of some examples, and what they were read from."""

    sizes: Sequence[Sequence[Size]]
    source: str


@dataclass
class _Notes:
    """Collects findings; a fault has its error."""

    findings: list[Finding] = field(default_factory=list)
    errors: list[UserError] = field(default_factory=list)

    def fault(self, subject: str, error: UserError) -> None:
        self.findings.append(Finding("fault", subject, str(error)))
        self.errors.append(error)

    def warning(self, subject: str, text: str) -> None:
        self.findings.append(Finding("warning", subject, text))

    def fact(self, subject: str, text: str) -> None:
        self.findings.append(Finding("fact", subject, text))


def examine(
    settings: FinetuneSettings,
    cache: Path,
    *,
    is_run: bool = False,
    processes: int = 1,
    device: Device | None = None,
    chat: Chat | None = None,
    collator: Collator = collate,
) -> Examination:
    """Look at everything that a fine-tuning run would use.

    Args:
        settings: with local paths as inputs; without sequences, what needs no data is examined.
        cache: folder where a drawn sample lies.
        is_run: every example is made and audited, and a step that does not fit the device is a fault.
        processes: that would train together.
        device: that it would run on; None is this machine's.
        chat: makes the tokens; None takes the base's own.
        collator: puts examples side by side.

    Raises:
        MissingInputError: the base is neither a folder, nor known, nor given by the hub.
        SettingsError: the names in `targets` match no layer at all.
    """
    notes = _Notes()
    shape = read_shape(settings.base)
    layers = plan(shape.config, lora_config(settings))
    _judge_lora(layers, settings, notes)
    chosen = _choose(settings, notes)
    chat = chat or _chat(settings, chosen, cache, notes)
    rows: Sequence[Mapping[str, Any]] = ()
    if chosen:
        rows = chosen.train if is_run else draw(chosen.train, LOOKED_AT, settings.seed)
    examples = _encode(rows, chosen, chat, notes) if chosen and chat else []
    complete = len(examples) == len(rows)
    masks = _audit(examples, rows, chosen, chat, notes) if chosen and chat and examples and complete else None
    pictures = _sizes(chosen, rows, cache, notes) if chosen else None
    tokens, load = _tokens(settings, shape, rows, chosen, examples if complete else [], chat, pictures, notes)
    memory = _memory(settings, shape, load, device or this_device(), notes, is_run=is_run)
    flops = memory.needed.flops
    report = Report(
        base=BaseFacts(settings.base, shape.source, _digest(settings.base, shape), layers.base),
        lora=LoraFacts(layers.trainable, layers.adapted),
        tokens=tokens,
        masks=masks,
        batches=_batches(settings, chosen, examples, chat, collator, processes, notes),
        books=_books(settings, chosen, notes) if chosen else None,
        data=_data(chosen, notes) if chosen else None,
        memory=memory,
        arithmetic=ArithmeticFacts(flops, flops * tokens.in_run / (load.rows * (load.prompt + load.tokens))),
        findings=notes.findings,
        errors=notes.errors,
    )
    return Examination(report, chosen, examples if complete else [])


def _digest(name: str, shape: Shape) -> str:
    place = SAMPLE_FOLDER if name == SAMPLE else Path(name)
    if not place.is_dir():
        return shape.source if shape.source.startswith("the hub") else "unknown: its files are not at hand"
    n_bytes = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    return folder_digest(place) if n_bytes <= _DIGEST_BYTES else f"not read: {n_bytes / GIB:.1f} GiB; a run reads it"


def _judge_lora(layers: Plan, settings: FinetuneSettings, notes: _Notes) -> None:
    for fault in layers.faults(settings.target_names, vision=settings.vision_lora):
        notes.fault("LoRA", SettingsError("targets", settings.targets, f"right for its layers: {fault}"))
    if namesakes := layers.namesakes():
        names = ", ".join(namesakes)
        notes.fact("LoRA", f"{names} name layers of the vision tower, too; they are left alone (vision_lora=no)")
    if layers.trainable.vision and settings.vision_lora:
        notes.fact("LoRA", f"{layers.trainable.vision:,} weights adapt the vision tower (vision_lora=yes)")
    if settings.adapted == "answer":
        notes.fact("LoRA", "its weights act on answers only, the frozen base reads the prompts (adapted=answer)")


def _choose(settings: FinetuneSettings, notes: _Notes) -> Chosen | None:
    if not (settings.sequences and settings.labels):
        missing = " and ".join(name for name in ("sequences", "labels") if not getattr(settings, name))
        notes.fact("data", f"not looked at: no {missing} given, so no labels, masks, books and overlaps were checked")
        return None
    try:
        chosen = choose(settings)
    except DataError as error:
        notes.fault("data", error)
        return None
    try:
        audit_labels(chosen.label_rows, settings.paradigm)
    except DataError as error:
        notes.fault("labels", error)
    if settings.examples and len(chosen.train) < settings.examples:
        notes.warning("examples", f"{settings.examples:,} asked for, {len(chosen.train):,} are there")
    return chosen


def _chat(settings: FinetuneSettings, chosen: Chosen | None, cache: Path, notes: _Notes) -> Chat | None:
    from cloze.data.images import open_images

    try:
        size_of = open_images(chosen.images, cache).size if chosen else None
        return load_chat(settings.base, settings.image_layout if size_of else "multi", size_of)
    except MissingInputError:
        absent = f"the tokenizer of {settings.base} is neither here nor given by the hub"
        notes.warning("tokens", f"{absent}: words are assumed, masks and batches were not audited")
        return None


def _encode(rows: Sequence[Mapping[str, Any]], chosen: Chosen, chat: Chat, notes: _Notes) -> list[Example]:
    examples, errors = [], []
    for row in rows:
        try:
            examples.append(chat.encode(row, chosen.labels[row["sequence_id"]]))
        except DataError as error:
            errors.append(error)
    _fault_of_many("examples", errors, notes)
    return examples


def _audit(
    examples: Sequence[Example], rows: Sequence[Mapping[str, Any]], chosen: Chosen, chat: Chat, notes: _Notes
) -> MaskFacts:
    errors = []
    for example, row in zip(examples, rows, strict=True):
        try:
            audit_examples([example], [row], [chosen.labels[row["sequence_id"]]], chat)
        except DataError as error:
            errors.append(error)
    _fault_of_many("masks", errors, notes)
    n_tokens, n_supervised = sum(len(e.ids) for e in examples), sum(sum(e.supervised) for e in examples)
    return MaskFacts(
        examples=len(examples),
        ratio=1 - n_supervised / n_tokens,
        supervised=n_supervised,
        shown={e.sequence_id: _with_loss(e, chat) for e in examples[:: max(1, len(examples) // _N_SHOWN)][:_N_SHOWN]},
    )


def _with_loss(example: Example, chat: Chat) -> str:
    ids = [token for token, is_answer in zip(example.ids, example.supervised, strict=True) if is_answer]
    return str(chat.tokenizer.decode(ids))


def _fault_of_many(subject: str, errors: Sequence[DataError], notes: _Notes) -> None:
    """One fault for all errors of a kind: the first, and in how many other examples."""
    if errors:
        first = errors[0]
        if len(errors) > 1:
            first.args = (f"{first} (and {len(errors) - 1:,} more examples)",)
        notes.fault(subject, first)


def _sizes(chosen: Chosen, rows: Sequence[Mapping[str, Any]], cache: Path, notes: _Notes) -> Pictures | None:
    """Sizes of the pictures of some rows; None where they cannot be read."""
    from PIL import Image

    from cloze.data.images import open_images

    looked_at = draw(rows, LOOKED_AT, seed=0)
    known: dict[str, Size] = {}
    try:
        images = open_images(chosen.images, cache)
        for name in {panel["image"] for row in looked_at for panel in row["context"]} - {None}:
            with Image.open(BytesIO(images.read(name))) as picture:
                known[name] = picture.size
    except DataError as error:
        notes.fault("pictures", error)
        return None
    except OSError as error:
        notes.fault("pictures", DataError(chosen.images, f"a picture cannot be read ({error})", "run `ingest` again"))
        return None
    sizes = [[known[panel["image"]] for panel in row["context"] if panel["image"]] for row in looked_at]
    return Pictures(sizes, f"pictures of {len(looked_at):,} examples")


def _tokens(
    settings: FinetuneSettings,
    shape: Shape,
    rows: Sequence[Mapping[str, Any]],
    chosen: Chosen | None,
    examples: Sequence[Example],
    chat: Chat | None,
    pictures: Pictures | None,
    notes: _Notes,
) -> tuple[TokenFacts, Load]:
    """Tokens of an example under both layouts, and the largest batch."""
    pictures = pictures or Pictures(
        [[_ASSUMED_SIZE] * _ASSUMED_PICTURES], "panels assumed {} x {}".format(*_ASSUMED_SIZE)
    )
    config = shape.config
    seen = {
        layout: [sum(picture_tokens(config, layout, size) for size in sizes) for sizes in pictures.sizes]
        for layout in LAYOUTS
    }
    of_lettering = None
    if examples and chat:
        answers = [sum(example.supervised) for example in examples]
        in_lettering = [_lettering_tokens(row, chat) for row in rows]
        of_lettering = Spread.of(in_lettering)
        prompts = [len(e.ids) - e.ids.count(chat.image_id) - n for e, n in zip(examples, answers, strict=True)]
        words = [n - m for n, m in zip(prompts, in_lettering, strict=True)]
        basis = f"{len(examples):,} examples; {pictures.source}"
    else:
        answers, prompts = [_ASSUMED_ANSWER], [_ASSUMED_WORDS]
        words = prompts
        basis = f"{_ASSUMED_WORDS} words and {_ASSUMED_ANSWER} of the answer assumed; {pictures.source}"
    texts = Spread.of([n + m for n, m in zip(prompts, answers, strict=True)])
    spreads = {layout: Spread.of(values) for layout, values in seen.items()}
    totals = {layout: _together(spread, texts) for layout, spread in spreads.items()}
    n_examples = len(chosen.train) if chosen else settings.examples
    typical = totals[settings.image_layout]
    longest = getattr(config.text_config, "max_position_embeddings", math.inf)
    if typical.maximum > longest:
        problem = f"up to {typical.maximum:,} tokens an example, the base reads {longest:,}"
        notes.fault("tokens", SettingsError("image_layout", settings.image_layout, f"one that fits: {problem}"))
    tiles = max(sum(picture_tiles(config, settings.image_layout, size) for size in s) for s in pictures.sizes)
    rows_of_batch = min(settings.batch, n_examples) if n_examples else settings.batch
    opening = len(chat.opening) if chat else _ASSUMED_OPENING
    with_lora = opening + max(answers) if settings.adapted == "answer" else typical.maximum
    load = Load(
        rows=rows_of_batch,
        tokens=with_lora,
        supervised=rows_of_batch * max(answers),
        picture_tokens=rows_of_batch * spreads[settings.image_layout].maximum,
        tiles=rows_of_batch * tiles,
        prompt=typical.maximum - with_lora,
    )
    facts = TokenFacts(
        basis=basis,
        layout=settings.image_layout,
        pictures=spreads,
        lettering=of_lettering,
        words=Spread.of(words),
        answer=Spread.of(answers),
        total=totals,
        in_run=round(settings.epochs * n_examples * typical.median),
    )
    return facts, load


def _together(pictures: Spread, texts: Spread) -> Spread:
    return Spread(pictures.minimum + texts.minimum, pictures.median + texts.median, pictures.maximum + texts.maximum)


def _lettering_tokens(row: Mapping[str, Any], chat: Chat) -> int:
    texts = [lettering(panel["text"]) for panel in row["context"]]
    return sum(len(ids) for ids in chat.tokenizer(texts, add_special_tokens=False)["input_ids"])


def _batches(
    settings: FinetuneSettings,
    chosen: Chosen | None,
    examples: Sequence[Example],
    chat: Chat | None,
    collator: Collator,
    processes: int,
    notes: _Notes,
) -> BatchFacts:
    configured = settings.batch * settings.accumulate
    n_examples = len(chosen.train) if chosen else settings.examples
    per_epoch = math.ceil(n_examples / configured)
    found = _effective_batch(settings, examples, chat, collator, notes) if examples and chat else None
    last = n_examples - (per_epoch - 1) * configured if n_examples else 0
    if settings.accumulate % processes:
        expected = f"a multiple of the {processes} processes, which share the batches of a step"
        notes.fault("batches", SettingsError("accumulate", settings.accumulate, expected))
    if n_examples and n_examples < configured:
        notes.warning("batches", f"{n_examples} examples are fewer than the {configured} of one step")
    elif last < configured and n_examples:
        notes.fact("batches", f"the last step of an epoch sees {last} examples of {configured}")
    return BatchFacts(
        batch=settings.batch,
        accumulate=settings.accumulate,
        processes=processes,
        configured=configured,
        found=found,
        examples=n_examples,
        steps=max(1, round(settings.epochs * per_epoch)),
        steps_per_epoch=per_epoch,
        last=last,
    )


def _effective_batch(
    settings: FinetuneSettings, examples: Sequence[Example], chat: Chat, collator: Collator, notes: _Notes
) -> int:
    """Audit every batch of the first epoch; the examples that its largest step sees."""
    n_rows, errors = [], []
    for indices in epoch_order([len(example.ids) for example in examples], settings.batch, settings.seed, 0):
        together = [examples[index] for index in indices]
        batch = collator(together, chat.pad_id)
        n_rows.append(len(batch.ids))
        try:
            audit_batch(batch, together, chat)
        except DataError as error:
            errors.append(error)
    if errors and sum(n_rows) < len(examples):
        seen = f"of {len(examples):,} examples an epoch would train {sum(n_rows):,}"
        errors[0].args = (f"{errors[0]}; {seen}",)
    if errors:
        notes.fault("batches", errors[0])
    steps = range(0, len(n_rows), settings.accumulate)
    return max(sum(n_rows[first : first + settings.accumulate]) for first in steps)


def _books(settings: FinetuneSettings, chosen: Chosen, notes: _Notes) -> BookFacts:
    train = [row for row in chosen.rows if row["split"] == "train"]
    n = len(chosen.train)
    covered = len({row["book"] for row in chosen.train})
    facts = BookFacts(
        covered=covered,
        in_train=len({row["book"] for row in train}),
        expected=expected_books(train, n),
        of_the_first=len({row["book"] for row in chosen.labelled[:n]}),
    )
    if covered < facts.expected / 2:
        problem = (
            f"its {n:,} labelled examples come from {covered:,} of {facts.in_train:,} books; "
            f"a draw over all would cover {facts.expected:,.0f}"
        )
        notes.fault("books", DataError(settings.labels, problem, "label sequences of all books, not the first ones"))
    return facts


def _data(chosen: Chosen, notes: _Notes) -> DataFacts:
    held_out = [row for row in chosen.rows if row["split"] != "train"]
    train = [row for row in chosen.rows if row["split"] == "train"]
    shared = {
        name: sorted({row[name] for row in train} & {row[name] for row in held_out}) for name in ("group", "book")
    }
    for name, values in shared.items():
        if values:
            shown = ", ".join(str(value) for value in values[:5]) + (", ..." if len(values) > 5 else "")
            problem = f"{len(values)} {name}s lie in train and in val or test ({shown})"
            remedy = "what is tested would be learned; run `sequences` again, which splits by group"
            notes.fault("splits", DataError("sequences", problem, remedy))
    unlabelled = {state: n for state, n in chosen.states.items() if state != "ok"}
    if unlabelled:
        listed = ", ".join(f"{n:,} {state}" for state, n in sorted(unlabelled.items()))
        of = sum(chosen.states.values())
        notes.warning("labels", f"{sum(unlabelled.values()):,} of {of:,} train sequences have no label: {listed}")
    return DataFacts(dict(chosen.states), shared["group"], shared["book"])


def _memory(
    settings: FinetuneSettings, shape: Shape, load: Load, device: Device, notes: _Notes, *, is_run: bool
) -> MemoryFacts:
    kept, again = estimate(shape.config, settings, load, checkpointing=False), None
    checkpointing = settings.adapted == "all" and needs_checkpointing(settings.checkpointing, kept, device)
    if checkpointing or (settings.adapted == "all" and not is_run):
        again = estimate(shape.config, settings, load, checkpointing=True)
    chosen = again if checkpointing and again else kept
    if not device.fits(chosen):
        least = f"a step takes {chosen.total / GIB:.1f} GiB, {device.name} has {device.free_bytes / GIB:.1f} free"
        if is_run:
            notes.fault("memory", SettingsError("batch", settings.batch, f"smaller (or quantise nf4): {least}"))
        else:
            notes.warning("memory", f"{least}: it would not start here")
    return MemoryFacts(
        device=device.name,
        available=device.free_bytes,
        batch=f"{load.rows} x {load.prompt + load.tokens:,} tokens, {load.supervised:,} with loss, {load.tiles} tiles",
        kept=kept,
        checkpointed=again,
        checkpointing=checkpointing,
    )
