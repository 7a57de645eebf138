"""The finished shards of a step, found by what they did: a run that joins them needs no list of runs."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cloze.errors import MissingInputError
from cloze.shards import WHOLE, shards_to_join
from mlflow_projects import artifacts, tracking
from mlflow_projects.stepkey import step_key

if TYPE_CHECKING:
    from mlflow.entities import Run

    from mlflow_projects.program import Program
    from mlflow_projects.steps import Resolved


class Joined(NamedTuple):
    """Runs of all shards of a step, in order, and the step key of the run that would have done all at once."""

    runs: "list[Run]"
    key: str
    cache: Path

    def read(self, name: str) -> list[Path]:
        """Local paths of an artifact of each shard."""
        return [artifacts.artifact_path(run, name, self.cache) for run in self.runs]


def find_shards(program: "Program", resolved: "Resolved", cache: Path) -> Joined | None:
    """The shards that a step joins; None where it does its work itself.

    Raises:
        MissingInputError: shards are missing.
    """
    shards = shards_to_join(getattr(resolved.settings, program.shard)) if program.shard else []
    if not shards:
        return None
    found = {shard: finished_shard(program, resolved, shard) for shard in shards}
    if missing := [shard for shard, run in found.items() if run is None]:
        raise MissingInputError(
            f"{program.name}: {len(missing)} of {len(shards)} shards have not finished: {', '.join(missing)}; "
            f"run the same with {program.shard}={missing[0]}, or submit it again with `shards` in the Slurm profile"
        )
    return Joined([run for run in found.values() if run is not None], shard_key(program, resolved, WHOLE), cache)


def finished_shard(program: "Program", resolved: "Resolved", shard: str) -> "Run | None":
    """The newest finished run of one shard of a step."""
    return tracking.find_finished(program.name, shard_key(program, resolved, shard))


def of_shard(program: "Program", resolved: "Resolved", shard: str) -> "Resolved":
    """The same step for one shard."""
    return dataclasses.replace(resolved, settings=dataclasses.replace(resolved.settings, **{program.shard: shard}))


def shard_key(program: "Program", resolved: "Resolved", shard: str) -> str:
    """Step key of one shard of a step."""
    return step_key(of_shard(program, resolved, shard).key_parts())
