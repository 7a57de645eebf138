"""Which sequences an adapter is trained on: drawn over all books, never the first ones."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloze.errors import DataError
from cloze.model.finetune_settings import FinetuneSettings
from cloze.tables import images_uri, read_table

Row = Mapping[str, Any]
N_VAL = 32
UNLABELLED = "no row"


@dataclass(frozen=True)
class Chosen:
    """The sequences and labels of a run.

    Attributes:
        rows: of the sequences table.
        label_rows: of the labels table.
        labels: text by sequence_id of the labels whose state is ok.
        labelled: train sequences with such a label.
        train, val: drawn of those with such a label.
        states: of the labels of all train sequences; `no row` where the table has none.
        images: URI of the image root.
    """

    rows: Sequence[Row]
    label_rows: Sequence[Row]
    labels: Mapping[str, str]
    labelled: Sequence[Row]
    train: Sequence[Row]
    val: Sequence[Row]
    states: Mapping[str, int]
    images: str

    def counts(self) -> dict[str, float]:
        """What was kept and dropped, as metrics."""
        n_train = sum(self.states.values())
        return {
            "examples": len(self.train),
            "examples_val": len(self.val),
            "books": len({row["book"] for row in self.train}),
            "dropped_without_label": n_train - len(self.labelled),
        }

    def answers(self) -> list[str]:
        """Label of each train sequence."""
        return [self.labels[row["sequence_id"]] for row in self.train]


def choose(settings: FinetuneSettings) -> Chosen:
    """Read the tables and draw.

    Raises:
        DataError: a table is not what it must be, or there is nothing to train on.
    """
    table = read_table(settings.sequences, "sequences")
    rows = table.to_pylist()
    columns = ["sequence_id", "paradigm", "state", "text"]
    label_rows = read_table(settings.labels, "labels", columns).to_pylist()
    labels = {row["sequence_id"]: row["text"] or "" for row in label_rows if row["state"] == "ok"}
    state_of = {row["sequence_id"]: row["state"] for row in label_rows}
    states = Counter(state_of.get(row["sequence_id"], UNLABELLED) for row in rows if row["split"] == "train")
    labelled = {
        split: [row for row in rows if row["split"] == split and row["sequence_id"] in labels]
        for split in ("train", "val")
    }
    if not labelled["train"]:
        found = f"{len(rows)} sequences, {states.total()} of them in train, {len(labels)} labels that are ok"
        raise DataError(settings.sequences, f"no train sequence with a label ({found})", "label these sequences")
    return Chosen(
        rows=rows,
        label_rows=label_rows,
        labels=labels,
        labelled=labelled["train"],
        train=draw(labelled["train"], settings.examples, settings.seed),
        val=draw(labelled["val"], N_VAL, settings.seed),
        states=states,
        images=images_uri(table),
    )


def draw(rows: Sequence[Row], n: int, seed: int) -> Sequence[Row]:
    """So many of the rows, in their own order; all of them where n is 0."""
    if n == 0 or n >= len(rows):
        return rows
    picked = random.Random(seed).sample(range(len(rows)), n)  # noqa: S311
    return [rows[index] for index in sorted(picked)]


def expected_books(rows: Sequence[Row], n: int) -> float:
    """How many books a draw of n of the rows covers on average: 1 - C(N - k, n) / C(N, n) summed over books of k."""
    total, expected = len(rows), 0.0
    for size in Counter(row["book"] for row in rows).values():
        untouched = 1.0
        for taken in range(size):
            untouched *= max(0, total - n - taken) / (total - taken)
        expected += 1 - untouched
    return expected
