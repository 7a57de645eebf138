"""A model card: what an adapter was trained on and how, how it scores beside floors, and what that does not show.

Mitchell et al. 2019, "Model Cards for Model Reporting". Every line is made of what runs recorded.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloze.reporting.estimates import TEXT_METRICS, Estimate, estimate_in

MAX_LENGTH = 5000  # characters: what MLflow's database keeps of a description
_MAX_EVALUATIONS = 4  # in the card: with more it would not fit
_MAX_PAST = 5  # of its past as champion
_FEW_BOOKS = 20  # below that, intervals by book are too narrow (docs/scores.md)
_SEEN = {
    "pred": "saw the same panels and said what comes next",
    "descp": "saw the next panel, too, and said what it shows",
}
_METRICS = (*(("own", metric) for metric in ("rougeL", "bleu", "bertscore_f1")), ("facts", "recall"))
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


@dataclass(frozen=True)
class Evaluation:
    """A run of `eval` on an adapter: `hidden` is what the model did not get to see, or `none`."""

    run_id: str
    name: str
    split: str
    hidden: str
    metrics: Mapping[str, float]

    @property
    def n_sequences(self) -> int:
        """Sequences that were predicted."""
        return int(self.metrics["n_predictions"])

    @property
    def n_books(self) -> int:
        """Books that they are of."""
        return int(self.metrics["n_books"])


@dataclass(frozen=True)
class Score:
    """One line of the card's table."""

    evaluation: Evaluation
    reference: str
    metric: str
    value: Estimate


@dataclass(frozen=True)
class Card:
    """What goes into a card.

    Attributes:
        uri: of the version, `models:/NAME/VERSION`.
        seen: what the writer of the labels saw.
        data, training: names and values to read.
        n_older: evaluations that are left out.
        past: when it became champion or was refused, in words.
    """

    uri: str
    base: str
    paradigm: str
    seen: str
    data: Sequence[tuple[str, str]]
    training: Sequence[tuple[str, str]]
    scores: Sequence[Score]
    n_older: int
    limits: Sequence[str]
    past: Sequence[str]


@dataclass(frozen=True)
class Trained:
    """What is known of how an adapter came to be.

    Attributes:
        settings: effective settings of its run.
        metrics: last values of its run's metrics.
        labeller: who wrote the labels, and with which model; empty where a file was given.
        commit: of the code; empty where it was no git checkout.
        is_dirty: the tree differed from that commit.
    """

    uri: str
    run_id: str
    paradigm: str
    base: str
    base_digest: str
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    labeller: str
    commit: str
    is_dirty: bool


def model_card(trained: Trained, evaluations: Sequence[Evaluation], past: Sequence[str] = ()) -> str:
    """The card as Markdown, at most MAX_LENGTH characters.

    Args:
        evaluations: newest first; those that hid something from the model come last.
        past: when it became champion or was refused, in words, oldest first.
    """
    from cloze.reporting.page import environment

    ordered = sorted(evaluations, key=lambda evaluation: evaluation.hidden != "none")
    template = environment().overlay(autoescape=False)  # Markdown: `plain` escapes what was not written here
    template.filters["plain"] = plain
    for n_shown in range(min(_MAX_EVALUATIONS, len(ordered)), -1, -1):
        scores = [row for evaluation in ordered[:n_shown] for row in _scores(evaluation, trained.paradigm)]
        card = Card(
            uri=trained.uri,
            base=trained.base,
            paradigm=trained.paradigm,
            seen=_SEEN[trained.paradigm],
            data=_data(trained),
            training=_training(trained),
            scores=scores,
            n_older=len(ordered) - n_shown,
            limits=_limits(trained, scores),
            past=past[-_MAX_PAST:],
        )
        text = template.get_template("model_card.md.j2").render(card=card).strip() + "\n"
        if len(text) <= MAX_LENGTH:
            return text
    raise ValueError(f"the card of {trained.uri} does not fit {MAX_LENGTH} characters")


def own_figures(metrics: Mapping[str, float], paradigm: str) -> dict[str, float]:
    """Scores against the labels of a run's own paradigm under names that are the same for both, to sort versions by."""
    found: dict[str, float] = {}
    for metric in TEXT_METRICS:
        if value := estimate_in(metrics, paradigm, metric):
            figures = {name: getattr(value, name) for name in ("score", "floor", "lift", "lift_low", "lift_high")}
            found |= {f"own/{name}/{metric}": figure for name, figure in figures.items() if figure is not None}
    return found


def plain(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _scores(evaluation: Evaluation, paradigm: str) -> list[Score]:
    rows = []
    for whose, metric in _METRICS:
        reference = paradigm if whose == "own" else whose
        if value := estimate_in(evaluation.metrics, reference, metric):
            rows.append(Score(evaluation, reference, TEXT_METRICS.get(metric, metric), value))
    return rows


def _data(trained: Trained) -> list[tuple[str, str]]:
    figures = trained.metrics
    return [
        ("run", f"{trained.run_id} at commit {trained.commit[:12] or 'unknown'}"),
        ("sequences", trained.settings["sequences"]),
        ("labels", f"{trained.settings['labels']}, by {trained.labeller or 'an unknown labeller'}"),
        ("examples", f"{figures['examples']:,.0f} of {figures['books']:,.0f} books of the training split"),
        ("left out", f"{figures['dropped_without_label']:,.0f} sequences without a label"),
        ("tokens", f"{figures['tokens']:,.0f}, of which {figures['supervised_tokens']:,.0f} carry loss"),
    ]


def _training(trained: Trained) -> list[tuple[str, str]]:
    given, figures = trained.settings, trained.metrics
    trainable, vision = figures["trainable_parameters"], figures["trainable_parameters_vision"]
    return [
        ("LoRA", f"rank {given['rank']}, alpha {given['alpha']}, dropout {given['dropout']}, on {given['targets']}"),
        (
            "weights",
            f"{trainable:,.0f}, of which {vision:,.0f} in the vision tower; they act on {given['adapted']} tokens",
        ),
        (
            "base",
            f"{trained.base}, digest {trained.base_digest[:20]}, {given['precision']}, 4 bits: {given['quantise']}",
        ),
        ("pictures", given["image_layout"]),
        ("optimizer", f"{given['optimizer']}, learning rate {given['lr']}, warm-up {given['warmup']}"),
        ("batch", f"{given['batch']} x {given['accumulate']}, {figures['steps']:,.0f} steps, {given['epochs']} epochs"),
        ("loss", f"{figures['train/loss_final']:.3f} at the end (nats per answer token)"),
    ]


def _limits(trained: Trained, scores: Sequence[Score]) -> list[str]:
    """What a reader must know before using it, as far as it can be told from the figures."""
    who = trained.labeller or "an unknown labeller"
    found = [
        f"The labels were written by {who}, not by readers: scores say how far it agrees with that labeller.",
        f"It works on the very base of that digest only, shown pictures as {trained.settings['image_layout']}.",
    ]
    if trained.is_dirty:
        found.append("It was trained by code that differed from its commit: that state cannot be fetched again.")
    few = sorted({row.evaluation.n_books for row in scores if row.evaluation.n_books < _FEW_BOOKS})
    if few:
        found.append(f"Intervals rest on {few[0]} books: with so few they are rough.")
    for row in scores:
        unsure = row.value.lift_low is None or row.value.lift_low <= 0
        if unsure and row.evaluation.hidden == "none":
            words = f"{row.metric} against {row.reference}"
            found.append(f"By {words} it is not shown to be better than the floor {row.value.floor_name}.")
    return list(dict.fromkeys(found))
