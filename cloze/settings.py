"""Settings of a stage: a frozen dataclass whose fields carry their own help.

The dataclass is the only list of a step's parameters. The click options and `MLproject` are made from it.
"""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any


@dataclass(frozen=True)
class TableInput:
    """Marks a setting as the place of something another step makes.

    Args:
        made_by: entry point that makes it when the setting is left empty; empty where nothing can.
        artifact: path of it below that run's artifacts, such as `sequences.parquet` or `adapter`.
        passes: settings handed to that entry point, as `own_name` or `own_name=its_name`, or `its_name:value` for a
            fixed value.
        inherited: take it from the lineage of the other inputs before making it.
        optional: the word `none`, or nothing to inherit from, leaves it empty.
    """

    made_by: str
    artifact: str
    passes: tuple[str, ...] = ()
    inherited: bool = False
    optional: bool = False


def setting(help: str, *, default: Any = MISSING, choices: Sequence[str] = ()) -> Any:
    """A dataclass field with its help text and, for words, the choices it has."""
    return field(default=default, metadata={"help": help, "choices": tuple(choices)})


def table_input(
    help: str,
    *,
    made_by: str,
    artifact: str,
    passes: Sequence[str] = (),
    inherited: bool = False,
    optional: bool = False,
) -> Any:
    """A setting that names an input: `runs:/...`, `models:/...`, a path, or empty to have it made or reused.

    The stage itself only ever sees a local path (or an empty string where it is optional).
    """
    source = TableInput(made_by, artifact, tuple(passes), inherited, optional)
    return field(default="", metadata={"help": help, "choices": (), "input": source})
