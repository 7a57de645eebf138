"""Python's regular expressions over a whole column of texts.

Arrow searches with RE2, whose `\\b`, `\\s` and `\\d` know ASCII only; OCR writes `É`, `½` and no-break spaces.
`search(capitals(texts), patterns)` finds exactly what `re.search(pattern, text.upper().strip())` would.
"""

import re
from collections.abc import Iterable

import pyarrow as pa

SPACE = r"\s\x0b\x1c-\x1f\x85\p{Z}"  # the characters that str.isspace holds for
WORD = r"\p{L}\p{N}_"  # the characters of \w
UPPER = r"\p{Lu}\x{2160}-\x{216F}\x{24B6}-\x{24CF}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}"  # isupper

_ASCII_SPACES = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"
_TOKEN = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|.", re.DOTALL)
_BEFORE, _AFTER = f"(?:^|[^{WORD}])", f"(?:$|[^{WORD}])"
_SAID = {"^": f"^[{SPACE}]*", "$": f"[{SPACE}]*$", r"\s": f"[{SPACE}]", r"\d": r"\p{Nd}"}


def capitals(texts: pa.Array) -> pa.Array:
    """`str.upper` and `str.strip` of each text; Arrow's own would not make `SS` of `ß`."""
    import pyarrow.compute as pc

    plain = pc.string_is_ascii(texts)
    odd = [text.upper().strip() for text in texts.filter(pc.invert(plain)).to_pylist()]
    upper = pc.ascii_trim(pc.ascii_upper(pc.if_else(plain, texts, "")), characters=_ASCII_SPACES)
    return pc.replace_with_mask(upper, pc.invert(plain), pa.array(odd, texts.type))


def search(texts: pa.Array, patterns: Iterable[str]) -> pa.Array:
    """Whether any of the patterns is found in each text."""
    import pyarrow.compute as pc

    return pc.match_substring_regex(texts, pattern=re2(patterns))


def re2(patterns: Iterable[str]) -> str:
    """One pattern in RE2's words that is found where any of Python's is.

    Where Python looks at a neighbour, RE2 takes it in. What a word is takes a large table in RE2, so each pattern's
    own would be too much for its fast way (a thousand times slower): patterns share one where they begin and end alike.

    Raises:
        ValueError: a `\\b` in the middle of a pattern: what it takes in could be what the pattern needs next.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for pattern in patterns:
        tokens = _TOKEN.findall(pattern)
        before, after = tokens[0] == r"\b", tokens[-1] == r"\b"
        body = tokens[before : len(tokens) - after]
        if r"\b" in body:
            raise ValueError(f"\\b must begin or end a pattern: {pattern}")
        said = "".join(_SAID.get(t, t.replace(r"\d", r"\p{Nd}") if t.startswith("[") else t) for t in body)
        alike.setdefault((_BEFORE * before, _AFTER * after), []).append(said)
    return "|".join(f"{before}(?:{'|'.join(bodies)}){after}" for (before, after), bodies in alike.items())
