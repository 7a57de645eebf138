"""Several processes of `torchrun`: the one of rank 0 leads, talks to MLflow and finds inputs; the others follow it.

The leader hands its settings, with local paths in them, to the followers through the store that `torchrun` keeps.
"""

import json
import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.settings import Settings, parse, words
from cloze.stage import Workspace

if TYPE_CHECKING:
    from mlflow_projects.program import Program

_LONGEST_WAIT = timedelta(days=2)  # the leader may have to make labels first


def n_processes() -> int:
    """How many processes share the work."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def lead(settings: Settings, key: str) -> None:
    """Hand settings and step key to the followers, if there are any."""
    if n_processes() > 1:
        _store().set(_entry(), json.dumps({"settings": words(settings), "key": key}))


def follow(program: "Program") -> None:
    """Take part in the leader's work; what is left behind here is thrown away."""
    from mlflow_projects.program import cache_folder, state_folder

    given = json.loads(_store().get(_entry()))
    with tempfile.TemporaryDirectory(prefix="cloze-") as folder:
        workspace = Workspace(Path(folder), cache_folder(), lambda metrics, step: None, state_folder(), given["key"])
        program.stage(parse(program.settings, given["settings"]), workspace)


def _entry() -> str:
    return f"cloze/settings/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def _store() -> Any:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(host, port, is_master=False, timeout=_LONGEST_WAIT)
