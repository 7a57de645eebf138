"""One judgement as a request: the panels, the prediction, and the rubric."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cloze.judging.prompt import PANEL, judge_prompt, prompt_digest
from cloze.judging.rubric import Rubric, parse_judgement
from cloze.labels.answers import Answer
from cloze.labels.cost import picture_tokens, text_tokens
from cloze.labels.inquiry import PicturePart
from cloze.labels.ledger_rows import Planned
from cloze.labels.prompts import Part, Words
from cloze.labels.requests import Asking, generation_config, user_turn

PREDICTION, FOREIGN = "prediction", "foreign"  # kinds of what is judged

_RATIONALE_TOKENS, _GRADE_TOKENS = 70, 8  # of a typical answer


@dataclass(frozen=True)
class Item:
    """One text to judge.

    Attributes:
        kind: `prediction`, or `foreign`: the prediction of a sequence of another book, shown for this one.
        text: what is judged.
        panels: those that the judge is shown, as rows of image and text; the target last, if it is among them.
        truth: lettering of the target, or a label of it.
    """

    sequence_id: str
    kind: str
    text: str
    panels: Sequence[Mapping[str, Any]]
    truth: str

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to judge: a letter or a digit of any script."""
        return any(letter.isalnum() for letter in self.text)


class Judgements:
    """A question about each item (`cloze.labels.inquiry.Questions`).

    Args:
        against: `panel` or `label`: what items are compared with.
    """

    def __init__(self, items: Sequence[Item], asking: Asking, against: str, rubric: Rubric) -> None:
        self._items, self._asking, self._against, self._rubric = items, asking, against, rubric
        self._digest = prompt_digest(against, rubric)
        self._common = json.dumps([asdict(asking), self._digest, rubric.digest, rubric.schema])

    def pictures(self) -> list[str]:
        """Names of all pictures that are shown, each once."""
        return sorted({name for item in self._items for name in self.shown(item)})

    def plan(self, sides: tuple[int, int]) -> Iterator[Planned]:
        """One planned request for each item, in order."""
        asking = self._asking
        per_picture = picture_tokens(asking.model, asking.resolution, *sides)
        answer_tokens = _RATIONALE_TOKENS + _GRADE_TOKENS * len(self._rubric.criteria)
        for item in self._items:
            parts = self._parts(item)
            n_letters = sum(len(part.text) for part in parts if isinstance(part, Words))
            digest = self._request_digest(item, parts)
            yield Planned(
                key=_key(item, digest),
                subject=item.sequence_id,
                paradigm=asking.paradigm,
                prompt_digest=self._digest,
                model=asking.model,
                request_digest=digest,
                est_input_tokens=text_tokens(n_letters) + per_picture * len(item.panels),
                est_output_tokens=min(answer_tokens, asking.max_output_tokens),
            )

    def key(self, item: Item) -> str:
        """Under which the ledger knows it. Equal texts about a sequence are one question, whoever wrote them."""
        return _key(item, self._request_digest(item, self._parts(item)))

    def rows(self, positions: Sequence[int]) -> list[Item]:
        """Some items, by their places."""
        return [self._items[position] for position in positions]

    def shown(self, row: Item) -> list[str]:
        """The pictures that an item's request shows."""
        return [panel["image"] for panel in row.panels]

    def body(self, row: Item, attempt: int, picture: PicturePart) -> dict[str, Any]:
        """The request of an item; attempts count from 1."""
        parts = [
            {"text": part.text} if isinstance(part, Words) else picture(row.panels[part.panel]["image"])
            for part in self._parts(row)
        ]
        return user_turn(parts, generation_config(self._asking, attempt, self._rubric.schema))

    def parse(self, answer: Answer) -> Answer:
        """An `OK` answer in its final form, or an `UNPARSABLE` one."""
        return parse_judgement(answer, self._rubric)

    def _parts(self, item: Item) -> list[Part]:
        context = item.panels[:-1] if self._against == PANEL else item.panels
        texts = [panel["text"] for panel in context]
        return judge_prompt(texts, item.truth, self._against, item.text, self._rubric)

    def _request_digest(self, item: Item, parts: Sequence[Part]) -> str:
        """Sixteen hex digits of everything that an answer may depend on."""
        words = [part.text if isinstance(part, Words) else None for part in parts]
        return hashlib.sha256(json.dumps([self._common, words, self.shown(item)]).encode()).hexdigest()[:16]


def _key(item: Item, digest: str) -> str:
    return f"judge/{item.sequence_id}/{digest}"
