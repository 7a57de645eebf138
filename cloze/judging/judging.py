"""The `judge` step: a vision-language model grades predictions by a rubric.

It asks as the labellers do (one plan, one ledger, one parser, a budget that holds). A share of the sequences is judged
again with another book's prediction in the place of their own: what a judge gives to those is what it gives without any
merit, and a judge that cannot tell them from the others is shown to be one.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloze.errors import DataError, SettingsError
from cloze.labels.inquiry import MODELS, Inquiry, ModelSettings
from cloze.settings import setting, table_input
from cloze.stage import Workspace

if TYPE_CHECKING:
    from cloze.judging.cases import Cases
    from cloze.judging.questions import Item
    from cloze.judging.results import Judgement
    from cloze.judging.rubric import Rubric
    from cloze.labels.requests import Asking

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JudgeSettings(ModelSettings):
    """What a user may set when predictions are judged."""

    sequences: str = table_input(
        "Sequences that the predictions are of.", made_by="sequences", artifact="sequences.parquet", inherited=True
    )
    predictions: str = table_input(
        "Predictions to judge.", made_by="predict", artifact="predictions.parquet", passes=("sequences",)
    )
    labels: str = table_input(
        "Labels to compare with in the place of the panel itself; empty or `none`: the judge sees the panel.",
        made_by="",
        artifact="labels.parquet",
        optional=True,
    )
    judge: str = setting(
        "gemini-batch and gemini ask Google's models, by the batch or one by one; openai asks any server that speaks "
        "its protocol.",
        default="gemini-batch",
        choices=MODELS,
    )
    rubric: str = setting("Rubric, a YAML file; empty is cloze/judging/rubrics/default.yaml.", default="")
    control: float = setting(
        "Share of the sequences that are judged again with another book's prediction, as a floor.", default=0.1
    )
    limit: int = setting(
        "Judge so many predictions, drawn over all books; 0 is all. A larger number keeps what a smaller one chose.",
        default=0,
    )
    temperature: float = setting("Sampling temperature.", default=0.0)
    seed: int = setting("Seed of the control and of the bootstrap.", default=42)
    resamples: int = setting("Bootstrap samples behind each interval.", default=10_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_model(self.judge)
        if not 0 <= self.control <= 1:
            raise SettingsError("control", self.control, "from 0 to 1")
        for name, least in (("limit", 0), ("seed", 0), ("resamples", 100)):
            if getattr(self, name) < least:
                raise SettingsError(name, getattr(self, name), f"{least} or more")


def judge(settings: JudgeSettings, workspace: Workspace) -> dict[str, float]:
    """Write `judgements.parquet`, whatever became of each; `judge.json` says who judged by what.

    Returns:
        Mean, floor, lift and 95 % intervals by criterion (docs/judge.md), counts by state, tokens and cost.

    Raises:
        DataError: tables that do not belong together, a rubric that is none, or pictures that cannot be sent.
        SettingsError: the budget does not reach, or another model answers.
        MissingInputError: no API key, or another process judges with the same ledger.
    """
    from cloze.judging.cases import items_of, read_cases, require_pictures
    from cloze.judging.results import counts, say_if_blind, summary, write_judgements
    from cloze.judging.rubric import DEFAULT, read_rubric

    rubric = read_rubric(Path(settings.rubric or DEFAULT))
    cases = read_cases(settings.predictions, settings.sequences, settings.labels, settings.limit)
    items = items_of(cases, settings.control, settings.seed)
    require_pictures(items, settings.sequences)
    _say_if_own_words(settings.model_name, cases)
    figures, judgements = _ask(items, cases, rubric, settings, workspace)
    if settings.dry_run:
        return figures
    about = _about(settings, cases, rubric)
    write_judgements(judgements, about, workspace.out / "judgements.parquet")
    _write_judge(workspace.out, about, cases, rubric)
    figures |= counts(judgements, cases) | summary(judgements, cases, rubric, settings.resamples, settings.seed)
    say_if_blind(figures, rubric)
    return figures


def _ask(
    items: Sequence["Item"], cases: "Cases", rubric: "Rubric", settings: JudgeSettings, workspace: Workspace
) -> tuple[dict[str, float], list["Judgement"]]:
    """Figures of the inquiry, and what became of each item; no items in a dry run."""
    from cloze.data.images import open_images
    from cloze.judging.questions import Judgements
    from cloze.judging.results import judged
    from cloze.labels.answers import State
    from cloze.tables import images_uri, read_table

    wanted = [item for item in items if item.is_asked]
    if not wanted:
        raise DataError(settings.predictions, "holds no prediction with a word", "there is nothing to judge")
    uri = images_uri(read_table(settings.sequences, "sequences", ["sequence_id"]))
    questions = Judgements(wanted, _asking(settings, uri), cases.against, rubric)
    images, folder = open_images(uri, workspace.cache), workspace.state / "judge"
    with Inquiry(questions, settings, settings.judge, images, folder, workspace.out) as asked:
        figures = {name: value for name, value in asked.run().items() if name not in list(State)}
        if settings.dry_run:
            return figures, []
        answers = {row["key"]: row for row in asked.ledger.rows()}
    return figures, judged(items, questions, answers, rubric)


def _asking(settings: JudgeSettings, images: str) -> "Asking":
    from cloze.labels.requests import Asking

    return Asking(
        paradigm="judge",
        form="rubric",
        model=settings.model_name,
        resolution=settings.resolution,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_output_tokens=settings.max_output_tokens,
        images=images if images.startswith("sample:") else "",
    )


def _about(settings: JudgeSettings, cases: "Cases", rubric: "Rubric") -> dict[str, str]:
    """What all rows share."""
    from cloze.judging.prompt import prompt_digest

    return {
        "judge": settings.judge,
        "model": settings.model_name,
        "against": cases.against,
        "rubric_digest": rubric.digest,
        "prompt_digest": prompt_digest(cases.against, rubric),
    }


def _write_judge(out: Path, about: dict[str, str], cases: "Cases", rubric: "Rubric") -> None:
    """`judge.json`: who judged by what, and whose labels it compared with."""
    content = {**about, "labels": list(cases.labellers), "rubric": asdict(rubric)}
    (out / "judge.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _say_if_own_words(model: str, cases: "Cases") -> None:
    if any(row["model"] == model for row in cases.labellers):
        logger.warning(
            "%s also wrote the labels that it compares with: it is likely to favour what sounds like it", model
        )
