"""The `label` step: a text for every sequence, or why there is none.

The labeller `world` knows the script of the drawn sample. The others are vision-language models; all of them share one
plan, one ledger and one parser, and differ in how a request travels.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.digests import drawn
from cloze.errors import DataError, SettingsError
from cloze.labels.inquiry import MODELS, Inquiry, ModelSettings, PicturePart
from cloze.labels.parse import FORMS, parse_label
from cloze.labels.prompts import PARADIGMS
from cloze.settings import setting, table_input
from cloze.shards import WHOLE, bounds, parse_shard
from cloze.stage import ReadShards, Workspace

if TYPE_CHECKING:
    import pyarrow as pa

    from cloze.labels.answers import Answer
    from cloze.labels.ledger_rows import Planned

LABELLERS = ("world", *MODELS)

_SPLITS = ("all", "train", "val", "test")
_ROWS = 10_000  # of the labels that are Python objects at once


@dataclass(frozen=True, kw_only=True)
class LabelSettings(ModelSettings):
    """What a user may set when sequences are labelled."""

    sequences: str = table_input(
        "Sequences to label, a Parquet file.", made_by="sequences", artifact="sequences.parquet"
    )
    paradigm: str = setting(
        "pred: the labeller sees the context and predicts the target; descp: it sees all panels and describes it.",
        default="pred",
        choices=PARADIGMS,
    )
    labeller: str = setting(
        "world knows the drawn sample's script; gemini-batch and gemini ask Google's models, by the batch or one by "
        "one; openai asks any server that speaks its protocol.",
        default="world",
        choices=LABELLERS,
    )
    limit: int = setting(
        "Label so many sequences, drawn over all books; 0 is all. A larger number keeps what a smaller one chose.",
        default=0,
    )
    split: str = setting("Which sequences.", default="all", choices=_SPLITS)
    part: str = setting(
        "K/N: of these only the K-th of N parts, from 0, with its part of the budget; all/N: join finished parts.",
        default=WHOLE,
    )
    form: str = setting(
        "A paragraph, or JSON with dialogue, narration, sound effects and scene.", default="paragraph", choices=FORMS
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.limit < 0:
            raise SettingsError("limit", self.limit, "0 or more")
        parse_shard("part", self.part)
        self.require_model(self.labeller)


def label(settings: LabelSettings, workspace: Workspace) -> dict[str, float]:
    """Write one label row per sequence, whatever became of it; only `ok` rows carry text.

    Raises:
        DataError: pictures that cannot be sent, or sequences that `world` does not know.
        SettingsError: the budget does not reach, or a parameter has a value that will not do.
        MissingInputError: no API key, or another process labels with the same ledger.
    """
    from cloze.data.images import open_images
    from cloze.tables import images_uri

    if settings.labeller == "world":
        from cloze.labels.world import label_world

        return label_world(settings.sequences, settings.paradigm, workspace, settings.part)
    sequences = _chosen(settings)
    images = open_images(images_uri(sequences), workspace.cache)
    # A ledger has one writer at a time; both paradigms, and all parts, can be labelled at once.
    folder = workspace.state / "labels" / settings.paradigm
    part, parts = parse_shard("part", settings.part)
    if parts > 1:
        folder /= f"part-{part}-of-{parts}"
        settings = replace(settings, budget_usd=settings.budget_usd / parts)
    with Inquiry(_Sequences(sequences, settings), settings, settings.labeller, images, folder, workspace.out) as asked:
        figures = asked.run()
        if settings.dry_run:
            return figures
        about = {"labeller": settings.labeller}
        rows = ({**row, **about, "sequence_id": row["subject"]} for row in asked.ledger.rows())
        _write_labels(rows, images_uri(sequences), workspace.out / "labels.parquet")
    return {"labels": sequences.num_rows, **_named(figures)}


def join_labels(settings: LabelSettings, workspace: Workspace, read: ReadShards) -> dict[str, float]:
    """Write the table that `label` would have written at once, from its parts.

    Raises:
        DataError: gaps or duplicates.
    """
    from cloze.shards import join_tables
    from cloze.tables import read_table, write_table

    if settings.labeller == "world":  # it labels all there are
        wanted = read_table(settings.sequences, "sequences", ["sequence_id"])
    else:
        wanted = _chosen(settings)
    joined = join_tables(read("labels.parquet"), "labels", wanted["sequence_id"].to_pylist())
    write_table(joined, workspace.out / "labels.parquet")
    states = Counter(joined["state"].to_pylist())
    usd = sum(cost or 0 for cost in joined["cost_usd"].to_pylist())
    return {"labels": joined.num_rows, "cost_usd": usd, **{f"labels_{state}": n for state, n in states.items()}}


class _Sequences:
    """A question about each sequence (`cloze.labels.inquiry.Questions`)."""

    def __init__(self, sequences: "pa.Table", settings: LabelSettings) -> None:
        from cloze.labels.requests import Asking
        from cloze.tables import images_uri

        uri = images_uri(sequences)
        self._table = sequences
        self._asking = Asking(
            paradigm=settings.paradigm,
            form=settings.form,
            model=settings.model_name,
            resolution=settings.resolution,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_output_tokens=settings.max_output_tokens,
            images=uri if uri.startswith("sample:") else "",
        )

    def pictures(self) -> list[str]:
        import pyarrow.compute as pc

        names = set(pc.struct_field(pc.list_flatten(self._table["context"]), "image").to_pylist())
        if self._asking.paradigm == "descp":
            names |= set(pc.struct_field(self._table["target"], "image").to_pylist())
        return sorted(names)

    def plan(self, sides: tuple[int, int]) -> "Iterator[Planned]":
        from cloze.labels.requests import plan_requests

        return plan_requests(self._table, self._asking, sides)

    def rows(self, positions: Sequence[int]) -> list[list[Mapping[str, Any]]]:
        from cloze.labels.requests import shown_panels

        return [shown_panels(row, self._asking.paradigm) for row in self._table.take(positions).to_pylist()]

    def shown(self, row: Sequence[Mapping[str, Any]]) -> list[str]:
        return [panel["image"] for panel in row]

    def body(self, row: Sequence[Mapping[str, Any]], attempt: int, picture: PicturePart) -> dict[str, Any]:
        from cloze.labels.requests import request_body

        return request_body(row, self._asking, attempt, picture)

    def parse(self, answer: "Answer") -> "Answer":
        return parse_label(answer, self._asking.form)


def _write_labels(rows: Iterable[Mapping[str, Any]], images: str, path: Path) -> None:
    import pyarrow as pa

    from cloze.tables import LABELS, with_images, write_table

    iterator, batches = iter(rows), []
    while some := list(islice(iterator, _ROWS)):
        batches.append(pa.RecordBatch.from_pylist(some, schema=LABELS))
    write_table(with_images(pa.Table.from_batches(batches, schema=LABELS), images), path)


def _named(figures: Mapping[str, float]) -> dict[str, float]:
    """Counts by state under the names that the labeller `world` uses, too."""
    from cloze.labels.answers import State

    return {f"labels_{name}" if name in list(State) else name: value for name, value in figures.items()}


def _chosen(settings: LabelSettings) -> "pa.Table":
    """The sequences to label, in the table's order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from cloze.tables import read_table

    table = read_table(settings.sequences, "sequences", ["sequence_id", "split", "context", "target"])
    if settings.split != "all":
        table = table.filter(pc.equal(table["split"], settings.split))
    if settings.limit and settings.limit < table.num_rows:
        table = table.take(pa.array(drawn(table["sequence_id"].to_pylist(), settings.limit)))
    if table.num_rows == 0:
        raise DataError(settings.sequences, f"holds no sequence of split {settings.split}", "choose another split")
    first, end = bounds(table.num_rows, *parse_shard("part", settings.part), settings.sequences)
    return table.slice(first, end - first)
