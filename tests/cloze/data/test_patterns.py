import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloze.data.patterns import SPACE, UPPER, WORD, capitals, re2, search
from cloze.data.stories import V1_ENDINGS, V1_TITLES
from tests.cloze.data.comics_files import texts

# Unicode 15.0 is the newest that Python 3.11 and RE2 agree on; later letters are of no comic.
KNOWN = [chr(code) for code in range(0x11000) if not 0xD800 <= code < 0xE000]
SCRAPS = [
    "THE END",
    " ",
    "\xa0",
    "É",
    "½",
    "_",
    "BY",
    "VS",
    ".",
    "IN:",
    "\x1f",
    "CAPTAIN",
    "٣",
    "PART",
    "ß",
    "ﬁ",
    "nis",
    "\n",
]


def matched(pattern: str) -> set[str]:
    found = pc.match_substring_regex(texts(*KNOWN), pattern=f"^[{pattern}]$")
    return {character for character, is_found in zip(KNOWN, found.to_pylist(), strict=True) if is_found}


@pytest.mark.parametrize(("ours", "python"), [(SPACE, r"\s"), (WORD, r"\w"), (r"\p{Nd}", r"\d")])
def test_character_classes_are_pythons(ours, python):
    assert matched(ours) == {character for character in KNOWN if re.match(python, character)}


def test_upper_is_what_isupper_holds_for():
    assert matched(UPPER) == {character for character in KNOWN if character.isupper()}


@given(st.lists(st.text(max_size=30)))
def test_capitals_are_pythons(values):
    assert capitals(pa.array(values, pa.string())).to_pylist() == [value.upper().strip() for value in values]


@given(st.lists(st.sampled_from(SCRAPS), max_size=6).map("".join))
@settings(max_examples=60)
def test_searching_a_column_finds_what_python_finds(text):
    for patterns in (V1_TITLES, V1_ENDINGS, (r"^END$", r"\bEND\b", r"END\b", r"\bEND")):
        expected = any(re.search(pattern, text.upper().strip()) for pattern in patterns)
        assert search(capitals(texts(text)), patterns).to_pylist() == [expected]


def test_a_word_boundary_in_the_middle_is_refused():
    with pytest.raises(ValueError, match="must begin or end"):
        re2([r"NO\bWAY"])
