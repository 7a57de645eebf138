"""What a stage gets from whoever runs it. A stage is `stage(settings, workspace) -> metrics`.

The settings hold local paths for inputs. Everything the stage leaves in `workspace.out` is its result: tables as
`<name>.parquet`, anything else as it likes. The returned metrics (counts of what was kept and dropped among them)
are logged once; curves go through `workspace.log_metrics` while it runs.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cloze.errors import ClozeError

if TYPE_CHECKING:
    from PIL.Image import Image


class MetricsLogger(Protocol):
    """Takes metrics of one step of a curve."""

    def __call__(self, metrics: Mapping[str, float], step: int) -> None:
        """Log `metrics` at `step`, both of the curve they belong to."""


class PictureLogger(Protocol):
    """Takes a picture of how far work has come."""

    def __call__(self, name: str, picture: "Image", step: int) -> None:
        """Log a picture under a name, at a step."""


def _keep_none(name: str, picture: "Image", step: int) -> None:
    """For work that nobody looks at."""


@dataclass(frozen=True)
class Workspace:
    """Where a stage writes, what it may keep between runs, and how it reports while it runs.

    Attributes:
        out: an empty folder; what is there when the stage returns is its result.
        cache: a folder that outlives the run, for what can be made again (the drawn sample, features).
        log_metrics: reports metrics of one step; printing it is the caller's business.
        state: a folder that outlives the run, for what must never be lost (what was paid for).
        key: digest of everything that decides the result; half-done work is filed under it.
        log_picture: shows a picture of one step.
    """

    out: Path
    cache: Path
    log_metrics: MetricsLogger
    state: Path
    key: str = ""
    log_picture: PictureLogger = _keep_none

    @property
    def checkpoints(self) -> Path:
        """Where half-done work is kept until it is done."""
        return self.state / "checkpoints" / (self.key or "unkeyed")


# Variables that name files: the first one's existence asks work to stop; the second is made by work that did.
STOP_FILE, REQUEUE_FILE = "CLOZE_STOP_FILE", "CLOZE_REQUEUE_FILE"


class StoppedError(ClozeError):
    """Work was stopped because somebody asked for it, and what is done is kept: the same run goes on from there."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: ask again


def rank() -> int:
    """Number of this process among those that `torchrun` started; 0 where it did not. Rank 0 speaks for all."""
    return int(os.environ.get("RANK", "0"))


Stage = Callable[..., Mapping[str, float]]
# Paths of the artifact of a name, of each shard in its order.
ReadShards = Callable[[str], list[Path]]
