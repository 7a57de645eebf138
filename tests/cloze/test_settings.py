"""Settings: one dataclass is the whole truth about a step's parameters."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.errors import SettingsError
from cloze.settings import inputs, parse, setting, table_input, words


@dataclass(frozen=True, kw_only=True)
class Example:
    panels: str = table_input("Where the panels are.", made_by="ingest", artifact="panels.parquet")
    kind: str = setting("A word of two.", default="ours", choices=("ours", "official"))
    count: int = setting("A count.", default=5)
    rate: float = setting("A rate.", default=0.1)
    deep: bool = setting("A switch.", default=False)


@dataclass(frozen=True, kw_only=True)
class Required:
    name: str = setting("Has no default.")


@given(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text())
def test_words_and_parse_are_inverse(count, rate, deep, panels):
    example = Example(panels=panels, count=count, rate=rate, deep=deep)
    assert parse(Example, words(example)) == example


@pytest.mark.parametrize(
    ("given_words", "message"),
    [
        ({"count": "7.5"}, "count is '7.5'; it must be a whole number"),
        ({"rate": "fast"}, "rate is 'fast'; it must be a number"),
        ({"deep": "true"}, "deep is 'true'; it must be one of no, yes"),
        ({"kind": "theirs"}, "kind is 'theirs'; it must be one of ours, official"),
        ({"cuont": "7"}, "cuont is '7'; it must be left out; the parameters are panels, kind, count, rate, deep"),
    ],
)
def test_a_word_that_will_not_do_is_refused_by_name(given_words, message):
    with pytest.raises(SettingsError) as caught:
        parse(Example, given_words)
    assert str(caught.value) == message


def test_a_setting_without_default_must_be_given():
    with pytest.raises(SettingsError, match="name is ''; it must be given"):
        parse(Required, {})


def test_inputs_are_the_settings_that_another_step_makes():
    assert {name: source.made_by for name, source in inputs(Example).items()} == {"panels": "ingest"}
