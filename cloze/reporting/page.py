"""The report as a page: every section's contents, ready for the templates in `reports/`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.reporting.cells import Cell, Described, titles
from cloze.reporting.comparable import Mark, check_comparable
from cloze.reporting.contrasts import Compared, compare, find_contrasts
from cloze.reporting.drawn import DrawnTable, drawn_tables
from cloze.reporting.effects import Effects, tuning_effects
from cloze.reporting.evidence import Evidence, Usage, read_evidence, read_renders, read_sequences, usage
from cloze.reporting.figures import Difference, Training, differences, trainings
from cloze.reporting.forests import effect_forest, lift_forest
from cloze.reporting.labelling import Labelling, labellings
from cloze.reporting.pictures import Gallery, Thumbnail
from cloze.reporting.score_tables import ScoreTable, ablation, fact_table, score_tables
from cloze.reporting.strips import KINDS, Drawn, Strip, choose, make_strips, ranks
from cloze.reporting.viewer import VIEWER, policy_hash, viewer_data
from cloze.reporting.writing import TraitTable, content_ablation, content_table, n_named, writing_table
from cloze.scoring.measured import SUSPECTS

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parents[2] / "reports"
N_PLAIN = 4  # strips of a kind that can be read without JavaScript
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Collection:
    """Strips from one sequences table.

    Attributes:
        ranking: what the strips were ranked by; empty where nothing could be.
        strips: by kind, with its title; only kinds that have strips.
        gallery: the pictures of the comics.
        drawn: those that were drawn from predictions, by run.
    """

    ranking: str
    strips: list[tuple[str, list[Strip]]]
    gallery: Gallery
    drawn: list[Gallery]

    @property
    def galleries(self) -> list[Gallery]:
        """All that strips show pictures from."""
        return [self.gallery, *self.drawn]

    @property
    def n_strips(self) -> int:
        """How many strips there are of all kinds."""
        return sum(len(strips) for _, strips in self.strips)

    @property
    def plain(self) -> list[tuple[str, list[Strip]]]:
        """The strips that stand in the page itself, by kind."""
        return [(title, strips[:N_PLAIN]) for title, strips in self.strips]

    @property
    def plain_thumbnails(self) -> list[Thumbnail]:
        """The pictures of these, each once."""
        strips = [strip for _, strips in self.plain for strip in strips]
        shown = [panel.picture for strip in strips for panel in (*strip.context, strip.target)]
        shown += [answer.drawn for strip in strips for answer in strip.answers if answer.drawn]
        return list({picture.id: picture for picture in shown if isinstance(picture, Thumbnail)}.values())


@dataclass(frozen=True)
class Page:
    """Everything on the page.

    Attributes:
        rows: title and cell of each run.
        alike: titles of runs that judge the very same predictions.
        scores: one table per text metric.
        lifts: SVG of the lifts of the first of these tables; None where there is none.
        marks: runs that disagree with others of the report, where the user insists on comparing them.
        compared: every comparison that is made.
        tuning: what fine-tuning changes.
        changes: SVG of the first table of differences by reference; None where there is none.
        facts: recall of facts; None where no run has any.
        ablation: None where no run hid anything.
        content_ablation: the same of dialogue, scene and names; None where no such run has labels.
        contents: dialogue, scene and names; None where no run has labels of its own.
        named: by kind of label how many name somebody who could be known.
        writing: how texts are written; None where that was not measured.
        training: curves and figures of the adapters.
        drawn: how near drawn panels come to the true ones.
        labels: states and cost of the labels that the runs were judged by.
        usage: by title what predicting took.
        counts: by name one value per run, None where it was not counted.
        fingerprint: in what the runs' fingerprints differ.
        settings: in what their settings differ.
        collections: strips, by sequences table.
        decisions: about champions, oldest first.
    """

    tracking_uri: str
    rows: list[tuple[str, Cell]]
    alike: list[list[str]]
    scores: list[ScoreTable]
    lifts: str | None
    marks: list[Mark]
    compared: list[Compared]
    tuning: Effects
    changes: str | None
    facts: ScoreTable | None
    ablation: ScoreTable | None
    content_ablation: ScoreTable | None
    contents: ScoreTable | None
    named: list[tuple[str, int]]
    writing: TraitTable | None
    training: Training
    drawn: list[DrawnTable]
    labels: list[Labelling]
    usage: list[tuple[str, Usage]]
    counts: list[tuple[str, list[float | None]]]
    fingerprint: Difference
    settings: Difference
    collections: list[Collection]
    decisions: Sequence[Mapping[str, Any]]


def make_page(described: Described, n_strips: int, cache: Path, *, is_marked: bool = False) -> Page:
    """Read what the cells' tables hold and work out every section.

    Raises:
        DataError: runs disagree in what must agree, and `is_marked` is false.
    """
    evidence, marks = check_comparable([read_evidence(cell) for cell in described.cells], is_marked=is_marked)
    cells = [item.cell for item in evidence]
    compared = compare(find_contrasts(evidence), is_marked=is_marked)
    names = titles(cells)
    scores, tuning = score_tables(cells), tuning_effects(compared)
    return Page(
        tracking_uri=described.tracking_uri,
        rows=list(zip(names, cells, strict=True)),
        alike=_alike(cells, names),
        scores=scores,
        lifts=lift_forest(scores[0]) if scores else None,
        marks=marks,
        compared=compared,
        tuning=tuning,
        changes=effect_forest(tuning.by_metric[0]) if tuning.by_metric else None,
        facts=fact_table(cells),
        ablation=ablation(evidence, compared),
        content_ablation=content_ablation(evidence, compared),
        contents=content_table(cells),
        named=n_named(cells),
        writing=writing_table(cells),
        training=trainings(cells),
        drawn=drawn_tables(cells),
        labels=labellings(cells),
        usage=list(zip(names, map(usage, evidence), strict=True)),
        counts=_counts(cells),
        fingerprint=differences([cell.fingerprint for cell in cells]),
        settings=differences([cell.settings for cell in cells]),
        collections=_collections(evidence, n_strips, cache),
        decisions=described.decisions,
    )


def render(page: Page) -> str:
    """The HTML of the page."""
    script = VIEWER.read_text(encoding="utf-8")
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            cells=[cell for _, cell in page.rows],
            viewer=viewer_data(page.collections),
            n_plain=N_PLAIN,
            script=script,
            script_hash=policy_hash(script),
        )
    )


def _collections(evidence: Sequence[Evidence], n_strips: int, cache: Path) -> list[Collection]:
    """One per sequences table, of the runs that saw everything, where there are any."""
    seeing = [item for item in evidence if not item.cell.is_blind] or list(evidence)
    by_table: dict[str, list[Evidence]] = {}
    for item in seeing:
        by_table.setdefault(str(item.cell.tables["sequences"]), []).append(item)
    return [
        _collection(path, items, n_strips, cache, f"picture-{number}-")
        for number, (path, items) in enumerate(by_table.items())
    ]


def _collection(path: str, evidence: Sequence[Evidence], n_strips: int, cache: Path, prefix: str) -> Collection:
    groups = {key: group for item in evidence for key, group in item.groups.items()}
    ranking, ranked = ranks(evidence)
    chosen = choose(ranked, groups, n_strips)
    rows, uri = read_sequences(path, chosen)
    names = {panel["image"] for row in rows.values() for panel in (*row["context"], row["target"])} - {None}
    gallery = Gallery(uri, cache, prefix, names)
    drawn = _drawn(evidence, chosen, cache, prefix)
    strips = make_strips(evidence, gallery, rows, chosen, ranked, drawn)
    by_kind = [(title, [strip for strip in strips if strip.kind == kind]) for kind, title in KINDS.items()]
    return Collection(
        ranking, [(title, found) for title, found in by_kind if found], gallery, [one.gallery for one in drawn.values()]
    )


def _drawn(evidence: Sequence[Evidence], wanted: Mapping[str, str], cache: Path, prefix: str) -> dict[str, Drawn]:
    """By the path of each table of renders the wanted pictures, which lie beside it."""
    found: dict[str, Drawn] = {}
    for path in dict.fromkeys(item.cell.tables.get("renders") for item in evidence):
        names = {key: name for key, name in read_renders(path).items() if key in wanted}
        if path and names:
            root = str(Path(path).resolve().parent)
            found[path] = Drawn(names, Gallery(root, cache, f"{prefix}drawn{len(found)}-", names.values()))
    return found


def _alike(cells: Sequence[Cell], names: Sequence[str]) -> list[list[str]]:
    by_table: dict[str | None, list[str]] = {}
    for name, cell in zip(names, cells, strict=True):
        by_table.setdefault(cell.tables["predictions"], []).append(name)
    return [alike for alike in by_table.values() if len(alike) > 1]


def _counts(cells: Sequence[Cell]) -> list[tuple[str, list[float | None]]]:
    """Counts of what was scored and what could not be, by name one value per cell."""
    heads = ("n_predictions", "n_books", "empty_predictions", *SUSPECTS, "missing_references/", "empty_references/")
    names = {name for cell in cells for name in cell.metrics if name.startswith(heads)}
    ordered = sorted(names, key=lambda name: ([name.startswith(head) for head in heads].index(True), name))
    words = {name: name.removeprefix("n_").replace("_", " ").replace("/", ": ") for name in ordered}
    return [(words[name], [cell.metrics.get(name) for cell in cells]) for name in ordered]


def environment() -> "Environment":
    """The templates in `reports/`; whatever is put into them is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "allow_nan": False, "separators": (",", ":")}
    environment.filters |= {"figure": figure, "signed": signed, "shown": shown, "probability": probability}
    environment.filters |= {"size": size, "less": less, "dollars": dollars}
    return environment


def figure(value: float | None) -> str:
    """A score as text, `unknown` where there is none."""
    return "unknown" if value is None else f"{value:.3f}".replace("-", _MINUS)


def signed(value: float | None) -> str:
    """A difference as text, with its sign."""
    return "unknown" if value is None else f"{value:+.3f}".replace("-", _MINUS)


def size(value: float) -> str:
    """A measure of any unit as text, with decimals enough to compare."""
    return f"{value:,.{_decimals(value)}f}".replace("-", _MINUS)


def less(value: float) -> str:
    """A difference of measures as text, with its sign."""
    return f"{value:+,.{_decimals(value)}f}".replace("-", _MINUS)


def _decimals(value: float) -> int:
    return 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3


def dollars(value: float | None) -> str:
    """A cost as text, with decimals enough for the price of a few labels."""
    return "not recorded" if value is None else f"{value:,.2f}" if value == 0 or value >= 1 else f"{value:.4f}"


def probability(value: float) -> str:
    """A p value as text."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def shown(value: str | float | None) -> str:
    """A word as it is; a number of things whole, or with as many decimals as it needs to be told from 0."""
    if value is None:
        return "not recorded"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:,.3g}"
