"""The original study's cleaning, told plainly: one book, one page, one panel at a time. The oracle of rules `v1`."""

import re
from itertools import pairwise
from typing import Any

from cloze.data.adverts import V1_PHRASES
from cloze.data.stories import V1_ENDINGS, V1_TITLES

Panel = dict[str, Any]


def is_title(text: str) -> bool:
    if any(re.search(pattern, text.upper().strip()) for pattern in V1_TITLES):
        return True
    n_upper, n_letters = sum(map(str.isupper, text)), sum(map(str.isalpha, text))
    return 2 <= len(text.split()) <= 6 and n_letters > 0 and n_upper / n_letters > 0.75


def is_ending(text: str) -> bool:
    return any(re.search(pattern, text.upper().strip()) for pattern in V1_ENDINGS)


def is_advert(text: str) -> bool:
    return any(phrase in text.upper() for phrase in V1_PHRASES)


def boundaries(panels: list[Panel]) -> list[int]:
    pages = sorted({panel["page"] for panel in panels})
    found = pages[:1]
    is_pending = False
    for before, page in pairwise(pages):
        texts = [panel["text"] for panel in panels if panel["page"] == page]
        if page - before > 1 or is_pending:
            found.append(page)
            is_pending = False
        else:
            if is_title(texts[0]) and page - found[-1] > 2:
                found.append(page)
            is_pending = is_ending(" ".join(text or "nan" for text in texts))
    return found


def sequences(panels: list[Panel], min_story: int, context: int) -> list[tuple[str, int, list[str]]]:
    """Target, story and context of each sequence."""
    found = []
    for book in sorted({panel["book"] for panel in panels}):
        here = sorted((p for p in panels if p["book"] == book), key=lambda p: (p["page"], p["panel"]))
        here = [panel for panel in here if panel["page"] >= 1 and not is_advert(panel["text"])]
        begins = boundaries(here)
        for story, (start, end) in enumerate(pairwise([*begins, 10**9])):
            run = [panel for panel in here if start <= panel["page"] < end]
            if len(run) < min_story:
                continue
            for i in range(context, len(run)):
                window = run[i - context : i + 1]
                if all(panel["image"] for panel in window):
                    found.append((run[i]["panel_id"], story, [panel["panel_id"] for panel in window[:-1]]))
    return found
