"""What there is to judge: predictions joined with the panels or labels that they are compared with, and the control."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cloze.digests import drawn
from cloze.errors import DataError
from cloze.judging.prompt import LABEL, PANEL
from cloze.judging.questions import FOREIGN, PREDICTION, Item
from cloze.scoring.floors import foreign
from cloze.scoring.references import Examples, Reference, label_reference, read_examples
from cloze.tables import read_table


@dataclass(frozen=True)
class Cases:
    """The predictions that can be judged.

    Attributes:
        against: `panel` or `label`.
        truths: by example the lettering of its target, or its label.
        labellers: who wrote the labels, as rows of paradigm, labeller and model; none where the panel is shown.
        n_without: how many predictions were left out, because they have no label.
    """

    examples: Examples
    against: str
    truths: Sequence[str]
    labellers: Sequence[dict[str, Any]]
    n_without: int

    def taken(self, places: Sequence[int]) -> "Cases":
        """Some of them."""
        return replace(self, examples=_taken(self.examples, places), truths=[self.truths[i] for i in places])


def read_cases(predictions: str, sequences: str, labels: str, limit: int) -> Cases:
    """Join the tables.

    Args:
        labels: path of a labels table; empty to compare with the panel itself.
        limit: so many predictions, drawn the same way each time; 0 for all.

    Raises:
        DataError: a table that does not belong to the others, or that holds nothing to judge.
    """
    examples = read_examples(predictions, sequences)
    if not labels:
        cases = Cases(examples, PANEL, [panel["text"] for panel in examples.target], (), 0)
    else:
        cases = _with_labels(examples, Path(labels))
    ids = cases.examples.ids
    return cases.taken(drawn(ids, limit)) if limit and limit < len(ids) else cases


def items_of(cases: Cases, control: float, seed: int) -> list[Item]:
    """Every prediction as it stands, then the control: for a share of the sequences another book's prediction.

    The draw depends on the seed and the set of sequences. There is no control where there is but one book.
    """
    examples = cases.examples
    items = [_item(cases, place, PREDICTION, text) for place, text in enumerate(examples.predictions)]
    others = foreign(_as_reference(examples), examples, seed, {})
    chosen = drawn(examples.ids, math.ceil(control * len(examples)), f"{seed}/")
    return [*items, *(_item(cases, place, FOREIGN, text) for place in chosen if (text := others[place]) is not None)]


def require_pictures(items: Sequence[Item], sequences: str) -> None:
    """Raise DataError where a panel that the judge must see has no picture."""
    for item in items:
        for panel in item.panels:
            if not panel["image"]:
                where = f"{sequences}: sequence {item.sequence_id}"
                raise DataError(
                    where, f"panel {panel['panel_id']} has no picture", "a judge must see what it judges by"
                )


def _with_labels(examples: Examples, path: Path) -> Cases:
    rows = read_table(path, "labels", ["paradigm", "labeller", "model"])
    paradigms = sorted(set(rows["paradigm"].to_pylist()))
    texts = label_reference(path, paradigms[0] if paradigms else "", examples).texts
    cases = Cases(
        examples, LABEL, texts, rows.group_by(rows.column_names).aggregate([]).sort_by("model").to_pylist(), 0
    )
    labelled = [place for place, text in enumerate(texts) if text.strip()]
    if not labelled:
        raise DataError(path, "has no label in state ok for any of the predictions", "leave labels empty")
    return replace(cases.taken(labelled), n_without=len(texts) - len(labelled))


def _item(cases: Cases, place: int, kind: str, text: str) -> Item:
    examples = cases.examples
    target = [examples.target[place]] if cases.against == PANEL else []
    return Item(examples.ids[place], kind, text, [*examples.context[place], *target], cases.truths[place])


def _as_reference(examples: Examples) -> Reference:
    """The predictions, where they stand for something else."""
    return Reference("prediction", examples.predictions, examples.predictions, lambda texts: {})


def _taken(examples: Examples, places: Sequence[int]) -> Examples:
    return Examples(
        ids=[examples.ids[i] for i in places],
        predictions=[examples.predictions[i] for i in places],
        groups=examples.groups[list(places)],
        context=[examples.context[i] for i in places],
        target=[examples.target[i] for i in places],
    )
