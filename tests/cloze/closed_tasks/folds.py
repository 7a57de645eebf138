"""Small folds in the published format."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONTEXT = [f"context_text_{i}_{j}" for i in range(3) for j in range(3)]
CANDIDATES = {
    "text-cloze": [f"answer_candidate_{k}_text" for k in range(3)],
    "character-coherence": [f"answer_candidate_{k}_box_{j}" for k in range(2) for j in range(2)],
}
IDS = ["book_id", "page_id", "answer_panel_id", *(f"context_panel_{i}_id" for i in range(3))]


def columns(task: str) -> list[str]:
    return [*IDS, *CONTEXT, *CANDIDATES[task], "correct_answer"]


def text_row(panel: int = 3, book: int | str = 7, answer: int | str = 1, **other: str) -> dict[str, Any]:
    """An item whose second candidate is about what the context is about."""
    row = _row(panel, book, answer)
    row |= {"context_text_0_0": "the spirit hides the UNK treasure", "context_text_2_0": "halt , spirit !"}
    texts = ["lovely weather today", "where is the treasure , spirit ?", "i am hungry and you are not"]
    return row | dict(zip(CANDIDATES["text-cloze"], texts, strict=True)) | other


def order_row(panel: int, boxes: tuple[str, str], said: Mapping[int, tuple[str, ...]], answer: int) -> dict[str, Any]:
    """An item of character coherence as they are published: the printed order is always the second candidate."""
    row = _row(panel, 7, answer)
    for i, before in enumerate(range(panel - 3, panel)):
        row |= {f"context_text_{i}_{j}": text for j, text in enumerate(said.get(before, ()))}
    return row | dict(zip(CANDIDATES["character-coherence"], (boxes[1], boxes[0], *boxes), strict=True))


def write_fold(path: Path, rows: list[dict[str, Any]], task: str = "text-cloze") -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns(task), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _row(panel: int, book: int | str, answer: int | str) -> dict[str, Any]:
    ids = {"book_id": book, "page_id": 4, "answer_panel_id": panel, "correct_answer": answer}
    return ids | {f"context_panel_{i}_id": panel - 3 + i for i in range(3)}
