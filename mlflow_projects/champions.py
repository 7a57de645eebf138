"""Who was champion of a model when and why: an append-only history, one table in the run of every decision.

The alias `champion` can be moved by hand, too; the next decision finds that out and records it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cloze.errors import MissingInputError
from mlflow_projects import artifacts, tracking

if TYPE_CHECKING:
    from mlflow.entities import Run

CHAMPION, CHALLENGER = "champion", "challenger"
PROMOTED, REFUSED, ROLLED_BACK, FOUND = "promoted", "refused", "rolled back", "found"
_CARD_WORDS = {
    PROMOTED: "became champion",
    REFUSED: "was refused as champion",
    ROLLED_BACK: "became champion again, by a roll-back",
    FOUND: "was found to be champion; the alias had been moved by hand",
}
_MORE = "\nOlder ones: `cloze sql champion_history`\n"
DECISION = "cloze.decision"  # tag of a run of `promote`
TABLE = "promotions.parquet"
_CLAIM = "cloze.succeeded_by"


@dataclass(frozen=True)
class Decision:
    """One row of `promotions`.

    Attributes:
        decision: promoted, refused, rolled back, or found: the alias had been moved by something else.
        version: that was decided on.
        champion_before, champion_after: versions; None where there was no champion.
        run_id: of `promote`.
    """

    model: str
    decision: str
    version: str
    champion_before: str | None
    champion_after: str | None
    policy: str
    reason: str
    decided_at: datetime
    run_id: str

    @property
    def is_change(self) -> bool:
        """Whether there was another champion afterwards."""
        return self.decision != REFUSED


def history(model: str, cache: Path) -> list[Decision]:
    """All decisions about a model, oldest first."""
    runs = tracking.find_runs(f"tags.`cloze.step` = 'promote' and tags.`cloze.model` = '{model}'")
    return sorted(
        (
            decision
            for run in runs
            if f"cloze.digest.{TABLE}" in run.data.tags  # else it was cut short before it decided
            for decision in read_decisions(artifacts.artifact_path(run, TABLE, cache), run.info.run_id)
        ),
        key=lambda each: each.decided_at,
    )


def write_decisions(decisions: Sequence[Decision], folder: Path) -> None:
    """Write the table that a run of `promote` leaves."""
    from cloze.tables import table, write_table

    write_table(table("promotions", [asdict(each) for each in decisions]), folder / TABLE)


def read_decisions(path: Path, run_id: str) -> list[Decision]:
    """What a run of `promote` decided; which run that was is known from where the table lies."""
    from cloze.tables import read_table

    return [Decision(**row, run_id=run_id) for row in read_table(path, "promotions").to_pylist()]


def reigning(decisions: Sequence[Decision]) -> list[str | None]:
    """Champions that a roll-back can go back through, the present one last.

    One that was rolled back is not gone back to; None stands for a time without a champion.
    """
    stack: list[str | None] = []
    for each in decisions:
        if each.decision == ROLLED_BACK:
            while stack and stack[-1] != each.champion_after:
                stack.pop()
        elif each.is_change:
            stack.append(each.champion_after)
    return stack


def alias_of(model: str, alias: str) -> str | None:
    """The version that an alias names now; None where there is no such alias.

    Raises:
        MissingInputError: the registry has no such model.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = tracking.client().get_registered_model(model)
    except MlflowException as error:
        raise MissingInputError(f"{model}: {error.message}; `mlflow ui` lists the models") from error
    version = found.aliases.get(alias)
    return None if version is None else str(version)


def found_now(model: str, decisions: Sequence[Decision], run_id: str) -> list[Decision]:
    """What the alias says, where that is not what the last decision left."""
    now, recorded = alias_of(model, CHAMPION), next(iter(reigning(decisions)[-1:]), None)
    if now == recorded:
        return []
    reason = f"the alias was moved by something else than promote: it was found at {now or 'no version'}"
    return [Decision(model, FOUND, now or "", recorded, now, "", reason, after(decisions), run_id)]


def after(decisions: Sequence[Decision]) -> datetime:
    """Now, or as early as it comes after every decision where the clock of another machine was ahead."""
    now = datetime.now(UTC).replace(microsecond=0)
    return max([now, *(each.decided_at + timedelta(milliseconds=1) for each in decisions)])


def claim_succession(model: str, decisions: Sequence[Decision], run_id: str) -> str:
    """Claim the right to say who follows the present champion; the id of the run that has it, ours or another.

    A parameter of a run can be written once, by whichever of two writers the store lets come first. It is written on
    the run that made the present champion; for a first champion, on the run that trained the oldest version. A claim
    of a run that ended without having decided does not count.
    """
    changes = [each for each in decisions if each.is_change]
    anchor = changes[-1].run_id if changes else _oldest_training(model)
    for number in itertools.count(1):
        holder = tracking.write_once(anchor, f"{_CLAIM}.{number}", run_id)
        if holder == run_id or _counts(tracking.get_run(holder)):
            return holder
    raise AssertionError("itertools.count ended")


def _counts(run: "Run") -> bool:
    is_recorded = f"cloze.digest.{TABLE}" in run.data.tags
    return run.info.status == "RUNNING" or (is_recorded and run.data.tags.get(DECISION) in (PROMOTED, ROLLED_BACK))


def _oldest_training(model: str) -> str:
    versions = tracking.client().search_model_versions(f"name = '{model}'")
    return str(min(versions, key=lambda version: int(version.version)).run_id)


def describe(model: str, cache: Path) -> None:
    """Write the history on the model's page in the registry, newest first."""
    from cloze.reporting.model_card import MAX_LENGTH, plain

    store = tracking.client()
    rows = []
    for each in reversed(history(model, cache)):
        facts = (f"{each.decided_at:%Y-%m-%d %H:%M:%S}", each.decision, each.version, each.champion_after or "none")
        padded = " | ".join(f"{fact}&nbsp;" for fact in facts)
        rows.append(f"| {padded} | {plain(each.reason)} | `{each.run_id[:8]}` |")
    text = f"LoRA adapters of the model {model}.\n\n### Champions\n\n"
    text += "| when (UTC) | decision | version | champion then | why | run |\n|---|---|---|---|---|---|\n"
    for row in rows:
        if len(text) + len(row) > MAX_LENGTH - len(_MORE):
            text += _MORE
            break
        text += row + "\n"
    store.update_registered_model(model, text)


def reigns(model: str, version: str, cache: Path) -> list[str]:
    """What the history says of one version, in words, oldest first."""
    return [
        f"{each.decided_at:%Y-%m-%d %H:%M} UTC: {_CARD_WORDS[each.decision]} (runs:/{each.run_id})"
        if each.version == version
        else f"{each.decided_at:%Y-%m-%d %H:%M} UTC: gave place to version {each.champion_after or 'none'}"
        for each in history(model, cache)
        if version == each.version or (each.is_change and version == each.champion_before)
    ]
