"""Why a step ran, or was reused: its key's parts beside those of the earlier run that did the most similar work."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.errors import MissingInputError
from mlflow_projects import artifacts, tracking

if TYPE_CHECKING:
    from mlflow.entities import Run

PARTS = "step.json"
_NO_PARTS = f"it recorded no {PARTS}: it ended before its inputs were known"
_MOST = 20  # earlier runs that are looked at, the newest
_SHORT = 12  # digits of a digest


@dataclass(frozen=True)
class Reason:
    """Why one step ran or did not.

    Attributes:
        name, step: of the run.
        decision: `ran` or `reused`.
        because: in words, one line each.
        compared_with: id of the earlier run; empty where there is none.
    """

    run_id: str
    name: str
    step: str
    decision: str
    because: tuple[str, ...]
    compared_with: str = ""


def explain(run_id: str, cache: Path) -> list[Reason]:
    """Why a run ran, then why each step that it needed ran or was reused.

    Raises:
        MissingInputError: no such run, or not a step of ours.
    """
    tracking.require_store()
    run = tracking.get_run(run_id)
    if "cloze.step" not in run.data.tags:
        raise MissingInputError(f"run {run_id} is not a step of ours: it has no tag cloze.step")
    return [_why_it_ran(run, cache), *_reused(run), *(_why_it_ran(child, cache) for child in _children(run))]


def _children(run: "Run") -> "list[Run]":
    found = tracking.find_runs(f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    return sorted(found, key=lambda child: child.info.start_time)


def _reused(run: "Run") -> Iterator[Reason]:
    for tag, uri in sorted(run.data.tags.items()):
        if tag.startswith(tracking.REUSED):
            run_id = uri.removeprefix("runs:/")
            other = tracking.get_run(run_id)
            because = f"{uri} has the same step key ({other.data.tags['cloze.step_key'][:_SHORT]}) and all its results"
            yield Reason(run_id, tag.removeprefix(tracking.REUSED), other.data.tags["cloze.step"], "reused", (because,))


def _why_it_ran(run: "Run", cache: Path) -> Reason:
    step, name = run.data.tags["cloze.step"], run.info.run_name or ""
    parts = artifacts.logged_json(run, PARTS, cache)
    if parts is None:
        return Reason(
            run.info.run_id, name, step, "ran", (f"it recorded no {PARTS}: it ended before its inputs were known",)
        )
    nearest: tuple[list[str], Run] | None = None
    for earlier in _earlier(run, step):
        other = artifacts.logged_json(earlier, PARTS, cache)
        if other is not None:
            found = differences(other, parts)
            if nearest is None or len(found) < len(nearest[0]):
                nearest = (found, earlier)
    if nearest is None:
        because: tuple[str, ...] = (f"no earlier run of {step} had finished in {tracking.public_tracking_uri()}",)
        return Reason(run.info.run_id, name, step, "ran", because)
    changed, earlier = nearest
    because = tuple(changed) or (
        "an earlier run did exactly this: a step that is asked for by name always runs, and so does one whose earlier "
        "results are gone",
    )
    return Reason(run.info.run_id, name, step, "ran", because, earlier.info.run_id)


def _earlier(run: "Run", step: str) -> "list[Run]":
    """Finished runs of the step that had ended before this one began, newest first."""
    found = tracking.find_runs(f"attributes.status = 'FINISHED' and tags.`cloze.step` = '{step}'")
    before = [other for other in found if (other.info.end_time or 0) <= run.info.start_time]
    return [other for other in before if other.info.run_id != run.info.run_id][:_MOST]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between the parts of two step keys, in words."""
    found: list[str] = []
    for part, one in (("settings", "setting"), ("inputs", "input"), ("contents", "the contents of"), ("code", "code")):
        old, new = _flat(before.get(part, {})), _flat(after.get(part, {}))
        changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        found += [_said(one, name, old.get(name), new.get(name)) for name in changed]
    return found


def _flat(part: Any) -> dict[str, str]:
    """Runs of before the code's files were listed have one digest of all."""
    return {name: str(value) for name, value in part.items()} if isinstance(part, dict) else {"(all files)": str(part)}


def _said(kind: str, name: str, old: str | None, new: str | None) -> str:
    if kind == "setting":
        return f"setting {name}: {'(unset)' if old is None else old!r} -> {'(unset)' if new is None else new!r}"
    if old is None or new is None:
        return f"{kind} {name}: {'new' if old is None else 'gone'}"
    return f"{kind} {name} changed: {old[:_SHORT]} -> {new[:_SHORT]}"
