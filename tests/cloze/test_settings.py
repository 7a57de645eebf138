"""Settings: one dataclass is the whole truth about a step's parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.errors import SettingsError
from cloze.settings import inputs, of_preset, parse, setting, table_input, words


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


@dataclass(frozen=True, kw_only=True)
class WithPresets:
    preset: str = setting("Values of what is left empty.", default="small", choices=("small", "large"))
    base: str = setting("A name.", default="sample")
    rate: float = setting("A rate.", default=0.1)
    seed: int = setting("No preset's.", default=42)

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"small": {}, "large": {"base": "seven", "rate": 0.5}}


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


def test_what_is_left_empty_is_the_presets_and_what_is_given_is_not():
    assert of_preset(WithPresets) == {"base", "rate"}
    assert parse(WithPresets, {"preset": "large", "base": "", "rate": ""}) == WithPresets(
        preset="large", base="seven", rate=0.5
    )
    assert parse(WithPresets, {"preset": "large", "rate": "0.2"}) == WithPresets(preset="large", base="seven", rate=0.2)
    assert parse(WithPresets, {"base": "", "rate": ""}) == WithPresets()


def test_settings_from_a_preset_come_back_as_words_that_need_none():
    settings = parse(WithPresets, {"preset": "large"})
    assert words(settings) == {"preset": "large", "base": "seven", "rate": "0.5", "seed": "42"}
    assert parse(WithPresets, words(settings)) == settings


def test_an_unknown_preset_is_refused():
    with pytest.raises(SettingsError, match="preset is 'huge'; it must be one of small, large"):
        parse(WithPresets, {"preset": "huge"})


def test_an_empty_word_of_what_no_preset_covers_is_a_value():
    with pytest.raises(SettingsError, match="seed is ''; it must be a whole number"):
        parse(WithPresets, {"seed": ""})
