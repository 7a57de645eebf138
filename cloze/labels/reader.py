"""What a reader of lettering must be able to do; `local_reader.py` has a library do it, `model_reader.py` a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cloze.data.images import ImageFolder
from cloze.labels.answers import State
from cloze.labels.balloons import Balloon


class Unread(NamedTuple):
    """A panel to be read; `image` is its picture's path below the root."""

    book: int
    page: int
    panel: int
    image: str

    @property
    def panel_id(self) -> str:
        """`{book}/{page}_{panel}`."""
        return f"{self.book}/{self.page}_{self.panel}"


@dataclass(frozen=True)
class Reading:
    """What became of one panel.

    Attributes:
        panel: which.
        state: `OK`: lettering was found. `EMPTY`: the picture was read and has none. Any other: it was not read.
        balloons: in reading order; of `OK` only.
        reason: why it was not read.
        seconds: that reading took, also when that was in an earlier run; None where nothing was read.
        is_kept: answered from what an earlier run kept.
    """

    panel: Unread
    state: State
    balloons: tuple[Balloon, ...] = ()
    reason: str | None = None
    seconds: float | None = None
    is_kept: bool = False

    @property
    def is_read(self) -> bool:
        """Whether it is now known what the panel says."""
        return self.state in (State.OK, State.EMPTY)


class Reader(Protocol):
    """Reads panels, one answer for each, in any order.

    What it has read must outlive it: closed or killed at any point and asked again, it goes on where it was.
    """

    figures: dict[str, float]  # of what reading took beyond seconds, once all readings are there

    def __call__(self, panels: Sequence[Unread], images: ImageFolder) -> Iterator[Reading]:
        """Read the panels; a picture that cannot be read is a `FAILED` reading, never an error."""
