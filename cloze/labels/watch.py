"""Whether the model that answered is the one that was asked.

Providers retire models and route what is sent to them elsewhere, at another price; then labels of two models would
stand in one table under one name.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from cloze.errors import SettingsError
from cloze.labels.answers import Answer, State


def is_same_model(asked: str, answered: str) -> bool:
    """Whether an answer's model is the one asked: the same name, or the provider's numbered version of it.

    `gemini-3.1-flash-lite-001` is `gemini-3.1-flash-lite`; `gemini-3.1-flash-lite-preview` is not, and neither is no
    name at all.
    """
    return re.fullmatch(re.escape(asked) + r"(-\d{3})?", answered.removeprefix("models/")) is not None


def as_it_came(answer: Answer) -> Answer:
    """The text of an `OK` answer is the label."""
    return answer


class ModelWatch:
    """Checks answers on their way into the ledger and remembers if one was another model's."""

    def __init__(self, asked: str, parse: Callable[[Answer], Answer] = as_it_came) -> None:
        self._asked, self._parse = asked, parse
        self._n_others = 0
        self._other = ""

    def checked(self, answer: Answer) -> Answer:
        """The answer as it is to be stored: parsed if it is `OK`, `FAILED` if another model gave it."""
        if (answer.model or answer.state is State.OK) and not is_same_model(self._asked, answer.model):
            self._n_others += 1
            self._other = answer.model or "a model that is not named"
            reason = f"answered by {self._other}"
            return replace(answer, state=State.FAILED, text=None, reason=reason, is_final=True)
        if answer.state is not State.OK:
            return answer
        parsed = self._parse(answer)
        # The provider was content with it; whoever asks may ask again.
        return parsed if parsed.state is State.OK else replace(parsed, is_final=False)

    def stop_if_other(self) -> None:
        """Call it after the answers are recorded.

        Raises:
            SettingsError: another model answered; its labels would be no labels of the model that was asked for.
        """
        if self._n_others:
            answered = f"{self._other} gave {self._n_others:,} of the answers (recorded as failed)"
            raise SettingsError("model", self._asked, f"the model that answers; {answered}")
