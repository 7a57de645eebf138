"""Promotion: a challenger becomes champion of its model if the policy holds; a champion can be rolled back.

Every decision is a run with its table, the figures of each rule and the policy. Two at once cannot both move the alias.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import click

from cloze.errors import ClozeError, DataError, MissingInputError, SettingsError
from cloze.settings import setting
from cloze.stage import Workspace
from mlflow_projects import champions, tracking
from mlflow_projects.champions import CHALLENGER, CHAMPION, PROMOTED, REFUSED, ROLLED_BACK, Decision
from mlflow_projects.model_card import write_card
from mlflow_projects.registry import check_registered, require_version

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from mlflow_projects.policy import Policy
    from mlflow_projects.program import Finished
    from mlflow_projects.rules import Verdict
    from mlflow_projects.steps import Steps

_BY_HAND = "none"  # policy of a roll-back


class PromotionRefusedError(ClozeError):
    """The policy does not hold: the champion stays."""

    exit_code = 3


@dataclass(frozen=True, kw_only=True)
class PromoteSettings:
    """What a user may set when deciding who is champion."""

    adapter: str = setting(
        "Version that is to be champion: models:/NAME/VERSION, or the run that made it. To roll back: models:/NAME."
    )
    policy: str = setting("What it must show: a name in mlflow_projects/policies, or a YAML file.", default="default")
    rollback: bool = setting("Give the champion's place back to the one before instead.", default=False)


@dataclass(frozen=True)
class _Case:
    """What is decided on: a model, what was decided before, and whose place it is about.

    Attributes:
        past: recorded decisions.
        found: what nobody recorded, and this run does.
    """

    model: str
    past: Sequence[Decision]
    found: Sequence[Decision]
    champion: str | None
    run_id: str

    def decision(self, kind: str, version: str, policy: str, reason: str) -> Decision:
        """What is decided now."""
        after = self.champion if kind == REFUSED else version
        when = champions.after([*self.past, *self.found])
        return Decision(self.model, kind, version, self.champion, after, policy, reason, when, self.run_id)


def promote(settings: PromoteSettings, workspace: Workspace, steps: "Steps") -> dict[str, float]:
    """Decide, and move the alias `champion` where the decision says so.

    Leaves `promotions.parquet`, and where a policy was asked `policy.yaml` and `verdicts.json`.

    Returns:
        How many rules were judged, and how many of them do not hold.

    Raises:
        MissingInputError: no such version, it is the champion already, or there is none to go back to.
        DataError: not a policy; or the files of the version to go back to are not those that were registered.
        StepFailedError: an evaluation that was missing could not be made.
    """
    model, version = _named(settings)
    tracking.set_tags({"cloze.model": model})
    past = champions.history(model, workspace.cache)
    found = champions.found_now(model, past, steps.parent_id)
    case = _Case(model, past, found, champions.alias_of(model, CHAMPION), steps.parent_id)
    verdicts: list[Verdict] = []
    if settings.rollback:
        decided = _go_back(case, version, workspace)
    else:
        verdicts, decided = _ask_policy(case, require_version(f"models:/{model}/{version}"), settings, workspace, steps)
    decided = _move(case, decided)
    champions.write_decisions([*found, decided], workspace.out)
    tracking.set_tags({champions.DECISION: decided.decision})
    if decided.is_change:
        click.echo(f"{decided.decision}: models:/{model}/{decided.version}: {decided.reason}")
    judged = [verdict.holds for verdict in verdicts if verdict.holds is not None]
    return {"rules_judged": len(judged), "rules_broken": judged.count(False)}


def tell(finished: "Finished") -> None:
    """Write the decision where people look, on the model and its versions; a refusal fails the run.

    Raises:
        PromotionRefusedError: the champion stays.
    """
    from mlflow_projects.program import cache_folder

    model, _ = _named(cast("PromoteSettings", finished.resolved.settings))
    *_, decided = made = champions.read_decisions(finished.out / champions.TABLE, finished.run_id)
    touched = {place for each in made for place in (each.version, each.champion_before) if place}
    for version in sorted(touched):
        write_card(f"models:/{model}/{version}")
    champions.describe(model, cache_folder())
    if decided.decision == REFUSED:
        raise PromotionRefusedError(f"models:/{model}/{decided.version} is refused: {decided.reason}")


def _named(settings: PromoteSettings) -> tuple[str, str]:
    """Model and version; the version is empty where only a model was named, to roll it back."""
    uri = settings.adapter
    if uri.startswith("runs:/"):
        uri = tracking.require_finished(uri.removeprefix("runs:/")).data.tags.get("cloze.model_version", uri)
    name = uri.removeprefix("models:/")
    if uri == name or not (settings.rollback or any(mark in name for mark in "/@")):
        raise SettingsError(
            "adapter", settings.adapter, "models:/NAME/VERSION, models:/NAME@ALIAS or a run of finetune"
        )
    if not any(mark in name for mark in "/@"):
        return name, ""
    version = require_version(uri)
    return str(version.name), str(version.version)


def _ask_policy(
    case: _Case, version: "ModelVersion", settings: PromoteSettings, workspace: Workspace, steps: "Steps"
) -> "tuple[list[Verdict], Decision]":
    """Judge a version by the policy, with the champion's evaluation beside it where there is one."""
    from mlflow_projects.policy import load_policy

    policy = load_policy(settings.policy)
    number = str(version.version)
    if number == case.champion:
        raise MissingInputError(f"models:/{case.model}/{number} is the champion already")
    tracking.client().set_registered_model_alias(case.model, CHALLENGER, number)
    (workspace.out / "policy.yaml").write_text(policy.text, encoding="utf-8")
    verdicts = _judge(case, version, policy, workspace, steps)
    shown = [asdict(verdict) for verdict in verdicts]
    (workspace.out / "verdicts.json").write_text(json.dumps(shown, indent=1), encoding="utf-8")
    against = f"the champion, version {case.champion}" if case.champion else "no champion"
    click.echo(f"models:/{case.model}/{number} against {against}, by the policy {policy.name}")
    for verdict in verdicts:
        click.echo(f"  {_WORDS[verdict.holds]:10} {verdict.rule}: {verdict.figures}")
    broken = [f"{verdict.rule}: {verdict.figures}" for verdict in verdicts if verdict.holds is False]
    if broken:
        return verdicts, case.decision(REFUSED, number, policy.name, " | ".join(broken))
    held = [f"{verdict.rule}: {verdict.figures}" for verdict in verdicts if verdict.holds and verdict.rule in _REASONS]
    return verdicts, case.decision(PROMOTED, number, policy.name, " | ".join(held) or "no rule was asked for")


_WORDS = {True: "holds", False: "BROKEN", None: "not judged"}
_REASONS = ("lift", "champion")  # of a promotion; the other rules say that nothing is wrong


def _judge(
    case: _Case, version: "ModelVersion", policy: "Policy", workspace: Workspace, steps: "Steps"
) -> "list[Verdict]":
    from mlflow_projects.candidates import candidates
    from mlflow_projects.rules import Verdict, judge

    champion = require_version(f"models:/{case.model}/{case.champion}") if case.champion else None
    verdicts = []
    for whose, checked in (("files", version), ("champion's files", champion)):
        if checked is not None:
            try:
                digest = check_registered(checked, workspace.cache)
            except DataError as error:
                verdicts.append(Verdict(whose, False, str(error)))
            else:
                verdicts.append(Verdict(whose, True, f"SHA-256 {digest[:12]}, in the run and in the registry"))
    if not all(verdict.holds for verdict in verdicts):
        asked = [name for name, rule in vars(policy.rules).items() if rule]
        return verdicts + [Verdict(name, None, "nothing is evaluated with such files") for name in asked]
    ours, theirs, rows = candidates(version, champion, policy, workspace.cache, steps)
    return verdicts + judge(policy.rules, ours, theirs, rows)


def _go_back(case: _Case, version: str, workspace: Workspace) -> Decision:
    """The decision to give the place back to the champion before."""
    if version not in ("", case.champion):
        raise SettingsError(
            "adapter", version, f"models:/{case.model}, where rollback is yes: it concerns the champion"
        )
    before = [each for each in champions.reigning([*case.past, *case.found]) if each not in (None, case.champion)]
    if not before:
        raise MissingInputError(f"{case.model} had no other champion before that could be gone back to")
    check_registered(require_version(f"models:/{case.model}/{before[-1]}"), workspace.cache)
    reason = f"rolled back from version {case.champion}" if case.champion else "there was no champion"
    return case.decision(ROLLED_BACK, str(before[-1]), _BY_HAND, reason)


def _move(case: _Case, decided: Decision) -> Decision:
    """Move the alias, unless somebody else decides at the same time: then this is refused."""
    if decided.decision == REFUSED:
        return decided
    holder = champions.claim_succession(case.model, case.past, case.run_id)
    if holder != case.run_id:
        reason = f"runs:/{holder} decided at the same time; ask again"
        return case.decision(REFUSED, decided.version, decided.policy, reason)
    if champions.alias_of(case.model, CHAMPION) != case.champion:
        reason = "the alias was moved while this was being decided; ask again"
        return case.decision(REFUSED, decided.version, decided.policy, reason)
    store = tracking.client()
    store.set_registered_model_alias(case.model, CHAMPION, decided.version)
    if champions.alias_of(case.model, CHALLENGER) == decided.version:
        store.delete_registered_model_alias(case.model, CHALLENGER)
    return decided
