"""What was predicted, and what it is scored against: predictions joined with sequences, labels and facts."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cloze.errors import DataError
from cloze.scoring.bleu import cores
from cloze.scoring.contents import Contents
from cloze.scoring.facts import Fact, fact_scores, read_facts
from cloze.scoring.metrics import BERTSCORE, DEFAULT, has_words, text_scores
from cloze.tables import prompt_of, read_table

Scorer = Callable[[Sequence[str]], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Examples:
    """The predicted sequences; entry i of every column belongs to the same one.

    Attributes:
        ids: sequence ids, in the order of the predictions table.
        predictions: the model's texts.
        groups: (n,) the book of each sequence; books that share reprints count as one.
        context: the panels that were shown, as rows of panel_id and text.
        target: the panel that was not.
        prompt: the instructions that the model was given, without lettering; empty where unknown.
    """

    ids: list[str]
    predictions: list[str]
    groups: np.ndarray
    context: list[list[dict[str, str]]]
    target: list[dict[str, str]]
    prompt: str = ""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Reference:
    """Something that predictions are scored against, one entry per example.

    Attributes:
        name: `pred`, `descp`, `lettering` or `facts`.
        texts: the reference in words; empty where an example has none.
        panel5: what the last context panel has of the same kind, in words.
        score: scores of one text per example, by metric; NaN where the reference is empty.
        missing: how many examples lack an `ok` label, or any fact; None where nothing can be missing.
        is_text: it is scored by text metrics. `score` leaves BERTScore out, which takes all references together.
    """

    name: str
    texts: list[str]
    panel5: list[str]
    score: Scorer
    missing: int | None = None
    is_text: bool = True

    @property
    def n_empty(self) -> int:
        """How many examples cannot be scored, because the reference is missing or holds no words."""
        return sum(not has_words(text) for text in self.texts)


def read_examples(predictions: Path | str, sequences: Path | str, split: str = "all") -> Examples:
    """Join predictions with the sequences they were made for.

    Raises:
        DataError: no predictions, a NULL or bytes that are not UTF-8 among them, one that is there twice, or one of an
            unknown sequence or of another split.
    """
    rows = read_table(predictions, "predictions", ["sequence_id", "prediction"])
    if not len(rows):
        raise DataError(predictions, "holds no predictions", "nothing can be scored; see the counts of the predict run")
    for column in rows.column_names:
        _refuse_nulls(predictions, rows, column)
    ids = rows["sequence_id"].to_pylist()
    _refuse_repeats(predictions, ids)
    known = _sequences(sequences, rows["sequence_id"])
    for number, sequence_id in enumerate(ids):
        if sequence_id not in known:
            remedy = "give the sequences table that the predictions were made from"
            raise DataError(f"{predictions}: row {number}", f"{sequence_id} is not a sequence of {sequences}", remedy)
        found = known[sequence_id]["split"]
        if split not in ("all", found):
            problem = f"{sequence_id} is in the split {found} of {sequences}; split is {split}"
            raise DataError(f"{predictions}: row {number}", problem, f"say split={found}, or all, if you mean these")
    joined = [known[sequence_id] for sequence_id in ids]
    return Examples(
        ids=ids,
        predictions=rows["prediction"].to_pylist(),
        groups=np.array([row["group"] for row in joined]),
        context=[row["context"] for row in joined],
        target=[row["target"] for row in joined],
        prompt=prompt_of(rows),
    )


def read_references(
    labels: Mapping[str, str], facts: str, examples: Examples, metrics: Sequence[str] = DEFAULT
) -> list[Reference]:
    """Everything there is to score against.

    Args:
        labels: by paradigm the path of its labels table; empty where there is none.
        facts: path of the facts table; empty where there is none.
        examples: what is to be scored.
        metrics: the text metrics to score by.
    """
    found = [label_reference(Path(path), paradigm, examples, metrics) for paradigm, path in labels.items() if path]
    found.append(lettering_reference(examples, metrics))
    return [*found, facts_reference(Path(facts), examples)] if facts else found


def lettering_reference(examples: Examples, metrics: Sequence[str] = DEFAULT) -> Reference:
    """The text that really stands in the target panel."""
    return text_reference("lettering", [panel["text"] for panel in examples.target], examples, metrics)


def label_reference(path: Path, paradigm: str, examples: Examples, metrics: Sequence[str] = DEFAULT) -> Reference:
    """The labels of one paradigm; only those whose state is `ok` can be scored against.

    Raises:
        DataError: a label of another paradigm, one that is there twice, or no row for any example.
    """
    rows = read_table(path, "labels", ["sequence_id", "paradigm", "state", "text"])
    others = set(rows["paradigm"].to_pylist()) - {paradigm}
    if others:
        raise DataError(path, f"column paradigm holds {', '.join(sorted(map(str, others)))}; expected {paradigm} only")
    _refuse_repeats(path, rows["sequence_id"].to_pylist())
    labels = {row["sequence_id"]: row["text"] or "" for row in rows.to_pylist() if row["state"] == "ok"}
    _refuse_strangers(path, set(rows["sequence_id"].to_pylist()), examples.ids, "the predicted sequences")
    missing = sum(sequence_id not in labels for sequence_id in examples.ids)
    texts = [labels.get(key, "") for key in examples.ids]
    shown = [" ".join(panel["text"] for panel in panels) for panels in examples.context]
    contents = Contents(texts, shown, examples.groups)
    found = text_reference(paradigm, texts, examples, metrics, missing)
    return replace(found, score=partial(_score_all, (found.score, contents.score)))


def facts_reference(path: Path, examples: Examples) -> Reference:
    """What is known to be so in the target panel (the sample only).

    Raises:
        DataError: a bad row, or no fact of any target panel.
    """
    facts = read_facts(path)
    targets = [panel["panel_id"] for panel in examples.target]
    _refuse_strangers(path, facts, targets, "the target panels")
    wanted = [facts.get(panel, []) for panel in targets]
    return Reference(
        name="facts",
        texts=[_values(known) for known in wanted],
        panel5=[_values(facts.get(context[-1]["panel_id"], [])) for context in examples.context],
        score=partial(fact_scores, facts=wanted),
        missing=sum(not known for known in wanted),
        is_text=False,
    )


def text_reference(
    name: str, texts: list[str], examples: Examples, metrics: Sequence[str] = DEFAULT, missing: int | None = None
) -> Reference:
    """A reference in words, one text per example."""
    panel5 = [context[-1]["text"] if context else "" for context in examples.context]
    cheap = [metric for metric in metrics if metric not in BERTSCORE]
    score = partial(text_scores, references=texts, metrics=cheap, processes=cores())
    return Reference(name, texts, panel5, score, missing)


def _score_all(scorers: Sequence[Scorer], texts: Sequence[str]) -> dict[str, np.ndarray]:
    return {metric: values for scorer in scorers for metric, values in scorer(texts).items()}


def _values(facts: Iterable[Fact]) -> str:
    return ", ".join(fact.value for fact in facts)


def _sequences(path: Path | str, wanted: pa.ChunkedArray) -> dict[str, dict[str, Any]]:
    table = read_table(path, "sequences", ["sequence_id", "group", "split", "context", "target"])
    table = table.filter(pc.is_in(table["sequence_id"], value_set=wanted.combine_chunks()))
    _refuse_repeats(path, table["sequence_id"].to_pylist())
    return {row["sequence_id"]: row for row in table.to_pylist()}


def _refuse_nulls(path: Path | str, table: pa.Table, column: str) -> None:
    if table[column].null_count:
        row = table[column].is_null().index(True).as_py()
        raise DataError(f"{path}: row {row}", f"{column} is NULL; an empty text was expected where there is none")


def _refuse_repeats(path: Path | str, ids: Sequence[str]) -> None:
    repeated, times = Counter(ids).most_common(1)[0] if ids else ("", 0)
    if times > 1:
        rows = [str(number) for number, key in enumerate(ids) if key == repeated]
        raise DataError(
            path, f"sequence_id {repeated} is there {times} times (rows {', '.join(rows[:5])}); once expected"
        )


def _refuse_strangers(path: Path, found: Collection[str], wanted: Sequence[str], what: str) -> None:
    """A table that has nothing on any of the examples belongs to something else."""
    if not any(key in found for key in wanted):
        raise DataError(path, f"has no row for any of {what} ({wanted[0]}, ...)", "give the table of the same comics")
