"""What a stage gets from whoever runs it. A stage is `stage(settings, workspace) -> metrics`.

The settings hold local paths for inputs. Everything the stage leaves in `workspace.out` is its result: tables as
`<name>.parquet`, anything else as it likes. The returned metrics (counts of what was kept and dropped among them)
are logged once; curves go through `workspace.log_metrics` while it runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class MetricsLogger(Protocol):
    """Takes metrics of one step of a curve."""

    def __call__(self, metrics: Mapping[str, float], step: int) -> None:
        """Log `metrics` at `step`, both of the curve they belong to."""


@dataclass(frozen=True)
class Workspace:
    """Where a stage writes, what it may keep between runs, and how it reports while it runs.

    Attributes:
        out: an empty folder; what is there when the stage returns is its result.
        cache: a folder that outlives the run, for what can be made again (the drawn sample, features).
        log_metrics: reports metrics of one step; printing it is the caller's business.
        state: a folder that outlives the run, for what must never be lost (what was paid for).
    """

    out: Path
    cache: Path
    log_metrics: MetricsLogger
    state: Path


Stage = Callable[..., Mapping[str, float]]
