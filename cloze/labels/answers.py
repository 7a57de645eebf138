"""What can become of a request, and what one answer says."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a request stands; always exactly one of these. Only `OK` carries text."""

    PLANNED = "planned"
    SUBMITTED = "submitted"
    OK = "ok"
    BLOCKED = "blocked"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    UNPARSABLE = "unparsable"
    FAILED = "failed"
    MISSING = "missing"


# Sent again, a bounded number of times, unless the answer itself is final (`Answer.is_final`).
RETRIED = frozenset({State.BLOCKED, State.TRUNCATED, State.EMPTY, State.UNPARSABLE, State.MISSING})


@dataclass(frozen=True)
class Answer:
    """One answer to one request, classified.

    Attributes:
        key: of the request. Answers are joined by it, never by their order.
        state: `OK`, or why there is no text.
        text: the label, of `OK` only.
        reason: the provider's word for what went wrong, such as `SAFETY`; None for `OK`.
        is_final: asking again would not help, whatever the state says (a request that is itself wrong, say).
        model: the model that answered, by its own word (`modelVersion`); empty where no model did.
        input_tokens: tokens billed as input, those read from a cache included.
        cached_tokens: how many of these were read from a cache.
        output_tokens: tokens billed as output, thoughts included.
        raw: the answer as it came, JSON.
    """

    key: str
    state: State
    text: str | None = None
    reason: str | None = None
    is_final: bool = False
    model: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    raw: str = ""
