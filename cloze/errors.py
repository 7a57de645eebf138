"""Everything this project raises on purpose.

    ClozeError                  exit status 1
    └── UserError               the caller can mend it: exit status 2, no traceback
        ├── SettingsError       a parameter has a value that will not do
        ├── DataError           a file, row or column is not what it must be
        └── MissingInputError   a run, model or file that was named cannot be used

Anything else that escapes is a bug of ours and keeps its traceback.
"""

from pathlib import Path


class ClozeError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class UserError(ClozeError):
    """What went wrong can be mended by the caller."""

    exit_code = 2


class SettingsError(UserError):
    """A parameter has a value that will not do."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        shown = f"{value!r}" if isinstance(value, str) else f"{value}"
        super().__init__(f"{name} is {shown}; it must be {expected}")


class DataError(UserError):
    """A file, row or column is not what it must be.

    Args:
        where: the file (and row, where there is one).
        problem: what is wrong with it and what was expected.
        remedy: what to do next.
    """

    def __init__(self, where: Path | str, problem: str, remedy: str = "") -> None:
        super().__init__(f"{where}: {problem}" + (f"; {remedy}" if remedy else ""))


class MissingInputError(UserError):
    """A run, model or file that was named cannot be used as an input."""
