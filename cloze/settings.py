"""Settings of a stage: a frozen dataclass whose fields carry their own help.

The dataclass is the only list of a step's parameters. The click options and `MLproject` are made from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

from cloze.errors import SettingsError


class Settings(Protocol):
    """Any dataclass of settings."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


S = TypeVar("S", bound=Settings)
SWITCH = ("no", "yes")


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
        many: it names several runs, comma-separated; the stage gets the path of a JSON file that describes them.
    """

    made_by: str
    artifact: str
    passes: tuple[str, ...] = ()
    inherited: bool = False
    optional: bool = False
    many: bool = False


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
    many: bool = False,
) -> Any:
    """A setting that names an input: `runs:/...`, `models:/...`, a path, or empty to have it made or reused.

    The stage itself only ever sees a local path (or an empty string where it is optional).
    """
    source = TableInput(made_by, artifact, tuple(passes), inherited, optional, many)
    return field(default="", metadata={"help": help, "choices": (), "input": source})


def choices(settings: type[Settings], name: str) -> tuple[str, ...]:
    """The words that a setting may be; empty where it is free."""
    if get_type_hints(settings)[name] is bool:
        return SWITCH
    words: tuple[str, ...] = settings.__dataclass_fields__[name].metadata["choices"]
    return words


def inputs(settings: type[Settings]) -> dict[str, TableInput]:
    """The settings that name something another step makes, in their order."""
    return {f.name: f.metadata["input"] for f in fields(settings) if "input" in f.metadata}


def presets(settings: type[Settings]) -> Mapping[str, Mapping[str, Any]]:
    """Values by name of a setting, by name of a preset; empty for settings that have no setting `preset`."""
    return getattr(settings, "PRESETS", {})


def of_preset(settings: type[Settings]) -> frozenset[str]:
    """The settings that an empty word leaves to the preset."""
    return frozenset(name for values in presets(settings).values() for name in values)


def parse(settings: type[S], words: Mapping[str, str]) -> S:
    """Settings from the words of a command line or a study; an empty word of what a preset covers is the preset's.

    Raises:
        SettingsError: an unknown name, a missing one, or a word that is not a value of it.
    """
    known = [f.name for f in fields(settings)]
    for name in words:
        if name not in known:
            raise SettingsError(name, words[name], f"left out; the parameters are {', '.join(known)}")
    missing = [f.name for f in fields(settings) if f.default is MISSING and f.name not in words]
    if missing:
        raise SettingsError(missing[0], "", "given; it has no default")
    covered = of_preset(settings)
    given = {name: _value(settings, name, word) for name, word in words.items() if word or name not in covered}
    preset = (
        presets(settings)[str(given.get("preset", settings.__dataclass_fields__["preset"].default))] if covered else {}
    )
    return settings(**{**preset, **given})


def words(settings: Settings) -> dict[str, str]:
    """The inverse of `parse`: every setting as one word."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return {name: SWITCH[value] if isinstance(value, bool) else str(value) for name, value in values.items()}


def _value(settings: type[Settings], name: str, word: str) -> str | int | float | bool:
    allowed = choices(settings, name)
    if allowed and word not in allowed:
        raise SettingsError(name, word, f"one of {', '.join(allowed)}")
    kind = get_type_hints(settings)[name]
    if kind is bool:
        return word == SWITCH[True]
    try:
        value: str | int | float = kind(word)
    except ValueError:
        raise SettingsError(name, word, {int: "a whole number", float: "a number"}[kind]) from None
    return value
