"""What can be made to go wrong at the fake Gemini; `gemini.py` says what each does."""

from dataclasses import dataclass
from typing import Any

LINE_FAULTS = frozenset(
    {
        "safety",
        "recitation",
        "prompt_blocked",
        "max_tokens",
        "empty",
        "no_candidates",
        "blank",
        "finish",
        "thoughts",
        "other_model",
        "error",
    }
)
BATCH_LINE_FAULTS = frozenset({"drop", "duplicate", "torn", "unknown_key"})
JOB_FAULTS = frozenset({"expired", "failed", "partial", "cancelled", "truncated"})
CALL_FAULTS = frozenset(
    {
        "429",
        "429_info",
        "500",
        "503",
        "503_after",
        "reset",
        "reset_after",
        "short",
        "cut",
        "elsewhere",
        "garbage",
        "refuse",
    }
)
CALLS = frozenset(
    {"upload", "chunk", "file", "remove", "download", "create", "get", "list", "cancel", "delete", "generate"}
    | {"gcs_upload", "gcs_chunk", "gcs_list", "gcs_get", "gcs_download"}
)


@dataclass
class Fault:
    """Something that goes wrong; see the module's docstring."""

    kind: str
    key: str = ""
    call: str = ""
    times: int = 1
    value: Any = None

    def __post_init__(self) -> None:
        if self.key:
            assert self.kind in LINE_FAULTS | BATCH_LINE_FAULTS, f"no line fault {self.kind}"
        elif self.call:
            assert self.kind in CALL_FAULTS, f"no call fault {self.kind}"
            assert self.call in CALLS, f"no call {self.call}"
        else:
            assert self.kind in JOB_FAULTS, f"{self.kind} needs a key or a call"
