"""The `eval` step: score every prediction against every reference there is, beside floors and with intervals."""

from dataclasses import dataclass

from cloze.errors import SettingsError
from cloze.settings import choices, setting, table_input
from cloze.stage import Workspace

PARADIGMS = ("pred", "descp")


@dataclass(frozen=True, kw_only=True)
class EvalSettings:
    """What a user may set when scoring predictions."""

    sequences: str = table_input(
        "Sequences that the predictions are of.", made_by="sequences", artifact="sequences.parquet", inherited=True
    )
    predictions: str = table_input(
        "Predictions to score.",
        made_by="predict",
        artifact="predictions.parquet",
        passes=("sequences", "base", "adapter", "split", "examples", "blind"),
    )
    pred_labels: str = table_input(
        "Labels of the paradigm pred to score against; `none` where there are none.",
        made_by="label",
        artifact="labels.parquet",
        passes=("sequences", "paradigm:pred"),
        optional=True,
    )
    descp_labels: str = table_input(
        "Labels of the paradigm descp to score against; `none` where there are none.",
        made_by="label",
        artifact="labels.parquet",
        passes=("sequences", "paradigm:descp"),
        optional=True,
    )
    facts: str = table_input(
        "What is known to be so in each panel (the sample only).",
        made_by="",
        artifact="facts.parquet",
        inherited=True,
        optional=True,
    )
    paradigm: str = setting(
        "Whose labels are the run's own in comparisons; `auto` is the adapter's.",
        default="auto",
        choices=("auto", *PARADIGMS),
    )
    base: str = setting("Base model, where predictions have to be made; empty is predict's default.", default="")
    adapter: str = table_input(
        "Adapter, where predictions have to be made; empty is zero-shot.", made_by="", artifact="adapter", optional=True
    )
    split: str = setting(
        "Split that the predictions are of; others are refused.",
        default="test",
        choices=("train", "val", "test", "all"),
    )
    examples: int = setting("How many examples to predict, where predictions have to be made; 0 is all.", default=0)
    blind: str = setting(
        "What to hide from the model, where predictions have to be made.",
        default="none",
        choices=("none", "images", "text", "order"),
    )
    metrics: str = setting("Metrics of texts, comma-separated (docs/scores.md).", default="rouge1,rouge2,rougeL,bleu")
    encoder: str = setting(
        "Encoder of BERTScore, where metrics name it: `minilm`, a folder, or a hub id.", default="roberta-large"
    )
    layers: int = setting("Layer of the encoder to compare; 0 is the published one, of `minilm` the last.", default=0)
    seed: int = setting("Seed of the foreign floor and of the bootstrap.", default=42)
    resamples: int = setting("Bootstrap samples behind each interval.", default=10_000)

    def __post_init__(self) -> None:
        for name in ("paradigm", "split", "blind"):
            if getattr(self, name) not in choices(type(self), name):
                raise SettingsError(name, getattr(self, name), f"one of {', '.join(choices(type(self), name))}")
        for name, least in (("examples", 0), ("layers", 0), ("seed", 0), ("resamples", 100)):
            if getattr(self, name) < least:
                raise SettingsError(name, getattr(self, name), f"{least} or more")
        from cloze.scoring.metrics import chosen_metrics  # with numpy, which no --help should wait for

        chosen_metrics(self.metrics)


def evaluate(settings: EvalSettings, workspace: Workspace) -> dict[str, float]:
    """Score and measure predictions.

    Leaves `scores.parquet`, `floors.parquet`, `measures.parquet`, `examples.parquet` and `signatures.json`.

    Returns:
        Counts of what was scored, what could not be and what looks like no answer; by reference and metric the mean
        score, its floors, its lift over the best of them, and 95 % intervals of score and lift; by measure and text
        the mean, and its interval (docs/scores.md).

    Raises:
        DataError: a table that does not belong to the others, or rows that are there twice.
        MissingInputError: BERTScore is asked for and its encoder is not there.
        SettingsError: the run's own labels are not given, or the encoder does not have that layer.
    """
    from cloze.scoring import contents, facts, measures
    from cloze.scoring.measured import measure_texts, measured_summary, suspects, write_measures
    from cloze.scoring.metrics import chosen_metrics, find_bertscore, signatures
    from cloze.scoring.references import read_examples, read_references
    from cloze.scoring.results import counts, n_known, score, summary, write_examples, write_results

    labels = {"pred": settings.pred_labels, "descp": settings.descp_labels}
    if settings.paradigm in labels and not labels[settings.paradigm]:
        raise SettingsError(f"{settings.paradigm}_labels", "", f"given where paradigm is {settings.paradigm}")
    metrics = chosen_metrics(settings.metrics)
    encoder = find_bertscore(metrics, settings.encoder, settings.layers)
    examples = read_examples(settings.predictions, settings.sequences, settings.split)
    references = read_references(labels, settings.facts, examples, metrics)
    columns = score(examples, references, settings.seed, encoder)
    known = signatures(metrics, encoder) | {metric: facts.signature() for metric in facts.METRICS}
    known |= contents.contents_signatures() | measures.measure_signatures()
    write_results(workspace.out, examples, columns, known)
    write_examples(workspace.out, examples, references, columns)
    measured = measure_texts(examples, references)
    write_measures(workspace.out, examples, measured)
    found = counts(examples, references) | suspects(examples, measured)
    found |= {f"named_references/{name}": float(n) for name, n in n_known(columns, "names").items()}
    found |= {"truncated_texts": float(encoder.n_truncated)} if encoder else {}
    found |= measured_summary(measured, examples.groups, settings.resamples, settings.seed)
    return found | summary(columns, examples.groups, settings.resamples, settings.seed)
