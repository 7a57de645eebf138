"""Policies: what a version must show before it becomes champion. YAML files with comments in `policies/`."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from cloze.digests import file_digest
from cloze.errors import DataError, SettingsError
from cloze.reporting.estimates import TEXT_METRICS

POLICIES = Path(__file__).parent / "policies"
SLICED_BY = ("target_lettering", "context_lettering", "group")
_REMEDY = f"see {POLICIES.parent.name}/{POLICIES.name}/default.yaml"


@dataclass(frozen=True, kw_only=True)
class Contamination:
    """So many books of the evaluation may be those of the training, or reprints of them."""

    books: int


@dataclass(frozen=True, kw_only=True)
class Lift:
    """The 95 % interval of the lift over the best floor must begin above this."""

    metric: str
    above: float


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The 95 % interval of the paired difference to the champion must begin above this.

    Attributes:
        may_differ: fields of the fingerprint, besides the adapter's, that need not agree.
    """

    metric: str
    above: float
    may_differ: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Slices:
    """The mean difference to the champion may be no lower than `worst` in a slice of at least so many sequences."""

    metric: str
    by: Sequence[str]
    worst: float
    sequences: int


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules that are asked for."""

    contamination: Contamination | None = None
    lift: Lift | None = None
    champion: Champion | None = None
    slices: Slices | None = None


@dataclass(frozen=True)
class Policy:
    """A policy.

    Attributes:
        name: of the file, with the first digits of its SHA-256.
        text: the whole file.
        predict, eval: words for the parameters of these steps.
    """

    name: str
    text: str
    predict: Mapping[str, str] = field(default_factory=dict)
    eval: Mapping[str, str] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)


_RULES: dict[str, type] = {"contamination": Contamination, "lift": Lift, "champion": Champion, "slices": Slices}


def load_policy(name: str) -> Policy:
    """Read a policy by name or path.

    Raises:
        SettingsError: there is no such policy.
        DataError: its file is not a policy; names the rule and the field.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else POLICIES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in POLICIES.glob("*.yaml")))
        raise SettingsError("policy", name, f"a YAML file or one of {known}")
    text = path.read_text(encoding="utf-8")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(path, f"not YAML ({error})") from error
    parts = _mapping(path, "the file", content, ("predict", "eval", "rules"))
    steps = {}
    for step in ("predict", "eval"):
        given = parts.get(step) or {}
        if not isinstance(given, dict):
            raise DataError(path, f"{step} is {given!r}; parameters were expected", _REMEDY)
        steps[step] = {str(key): str(value) for key, value in given.items()}
    given = _mapping(path, "rules", parts.get("rules"), tuple(_RULES))
    rules = Rules(**{rule: _rule(path, rule, kind, given[rule]) for rule, kind in _RULES.items() if rule in given})
    return Policy(f"{path.stem} {file_digest(path)[:12]}", text, rules=rules, **steps)


def _rule(path: Path, rule: str, kind: type, content: object) -> Any:
    names = [f.name for f in fields(kind)]
    given = _mapping(path, rule, content, names)
    for f in fields(kind):
        if f.default is MISSING and f.name not in given:
            raise DataError(path, f"{rule} has no `{f.name}`", _REMEDY)
    hints = get_type_hints(kind)
    return kind(**{name: _value(path, f"{rule}.{name}", hints[name], value) for name, value in given.items()})


def _value(path: Path, name: str, kind: Any, value: object) -> Any:
    allowed: Sequence[str] = {"metric": tuple(TEXT_METRICS), "by": SLICED_BY}.get(name.partition(".")[2], ())
    if kind in (int, float):
        numbers = (int,) if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, numbers):
            raise DataError(path, f"{name} is {value!r}; a {'whole ' if kind is int else ''}number was expected")
        return kind(value)
    given = [value] if kind is str else value
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise DataError(path, f"{name} is {value!r}; {'a word' if kind is str else 'a list of words'} was expected")
    for item in given:
        if allowed and item not in allowed:
            raise DataError(path, f"{name} names {item!r}; it must be of {', '.join(allowed)}")
    return value if kind is str else tuple(given)


def _mapping(path: Path, what: str, content: object, allowed: Sequence[str]) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise DataError(path, f"{what} is {content!r}; a mapping of {', '.join(allowed)} was expected", _REMEDY)
    for name in content:
        if name not in allowed:
            raise DataError(path, f"{what} has {name!r}; it may have {', '.join(allowed)}", _REMEDY)
    return content
