"""A rubric: criteria with an anchor for every grade, read from YAML; and the form of a judgement by it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cloze.errors import DataError
from cloze.labels.answers import Answer, State

DATA_FILES = ("rubrics",)
DEFAULT = Path(__file__).parent / "rubrics" / "default.yaml"
RATIONALE = "rationale"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_REMEDY = f"see {DEFAULT.parent.name}/{DEFAULT.name} in cloze/judging"


@dataclass(frozen=True)
class Criterion:
    """One thing to grade.

    Attributes:
        anchors: what each grade means, lowest first; grades are whole numbers without a gap.
    """

    name: str
    question: str
    anchors: tuple[tuple[int, str], ...]

    @property
    def lowest(self) -> int:
        """The worst grade."""
        return self.anchors[0][0]

    @property
    def highest(self) -> int:
        """The best grade."""
        return self.anchors[-1][0]


@dataclass(frozen=True)
class Rubric:
    """What a judge grades by."""

    criteria: tuple[Criterion, ...]

    @property
    def digest(self) -> str:
        """Twelve hex digits that change whenever a word of the rubric, a grade or an order does; comments are none."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:12]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a judgement: its reasons first, then a grade for each criterion."""
        grades = {
            criterion.name: {"type": "integer", "minimum": criterion.lowest, "maximum": criterion.highest}
            for criterion in self.criteria
        }
        return {
            "type": "object",
            "properties": {RATIONALE: {"type": "string"}, **grades},
            "required": [RATIONALE, *grades],
            "additionalProperties": False,
        }


def read_rubric(path: Path) -> Rubric:
    """The rubric in a YAML file.

    Raises:
        DataError: no such file, or it is no rubric.
    """
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), _Once)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(path, f"cannot be read as a rubric: {error}", _REMEDY) from error
    if not isinstance(found, dict) or not found:
        raise DataError(path, "holds no criteria; a mapping of names to question and anchors was expected", _REMEDY)
    return Rubric(tuple(_criterion(path, name, said) for name, said in found.items()))


def parse_judgement(answer: Answer, rubric: Rubric) -> Answer:
    """An `OK` answer as JSON in the rubric's order, or an `UNPARSABLE` one that says why it is no judgement."""
    try:
        found = json.loads(answer.text or "")
    except (ValueError, RecursionError) as error:
        return _unparsable(answer, f"not JSON: {error}")
    if problem := _problem(found, rubric):
        return _unparsable(answer, problem)
    ordered = {RATIONALE: " ".join(found[RATIONALE].split())}
    ordered |= {criterion.name: found[criterion.name] for criterion in rubric.criteria}
    return replace(answer, text=json.dumps(ordered, ensure_ascii=False))


class _Once(yaml.SafeLoader):
    """Refuses a key that is there twice; the last one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for number, key in enumerate(keys) if key in keys[:number]]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _criterion(path: Path, name: Any, said: Any) -> Criterion:
    where = f"{path}: criterion {name}"
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == RATIONALE:
        raise DataError(where, f"a name of small letters, digits and _ was expected, other than {RATIONALE}")
    if not isinstance(said, Mapping) or set(said) != {"question", "anchors"}:
        raise DataError(where, "question and anchors were expected, and nothing else", _REMEDY)
    question, anchors = said["question"], said["anchors"]
    if not _is_text(question):
        raise DataError(where, "its question is no text")
    if not isinstance(anchors, Mapping) or len(anchors) < 2 or not all(map(_is_text, anchors.values())):
        raise DataError(where, "its anchors are no mapping of two or more grades to texts")
    if not all(type(grade) is int for grade in anchors):
        raise DataError(where, f"its grades are {', '.join(map(str, anchors))}; whole numbers were expected")
    grades = sorted(anchors)
    if grades != list(range(grades[0], grades[-1] + 1)):
        raise DataError(where, f"its grades are {', '.join(map(str, grades))}; there is a gap")
    return Criterion(name, " ".join(question.split()), tuple((n, " ".join(anchors[n].split())) for n in grades))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _problem(found: Any, rubric: Rubric) -> str:
    if not isinstance(found, dict):
        return f"a JSON object was expected, not {type(found).__name__}"
    expected = {RATIONALE, *(criterion.name for criterion in rubric.criteria)}
    if set(found) != expected:
        return f"fields {sorted(found)}; expected {sorted(expected)}"
    if not _is_text(found[RATIONALE]):
        return f"{RATIONALE} is no text"
    for criterion in rubric.criteria:
        grade = found[criterion.name]
        if type(grade) is not int or not criterion.lowest <= grade <= criterion.highest:
            return (
                f"{criterion.name} is {grade!r}; a whole number from {criterion.lowest} to {criterion.highest} expected"
            )
    return ""


def _unparsable(answer: Answer, reason: str) -> Answer:
    return replace(answer, state=State.UNPARSABLE, text=None, reason=reason)
