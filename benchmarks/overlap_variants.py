"""How much the `idf` scorer's accuracy depends on choices that nobody can justify (docs/closed-tasks.md has the table).

`python -m benchmarks.overlap_variants FOLD.csv`; without a fold, the official dev fold where the real data lies.
"""

import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cloze.closed_tasks.items import TEXT_CLOZE, Item, read_fold
from cloze.closed_tasks.overlap import words
from cloze.closed_tasks.result import choose
from cloze.scoring.intervals import clustered_stderr

DATA = Path(os.environ.get("CLOZE_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FOLD = DATA / "official_folds" / "text_cloze_dev_easy.csv"

Words = frozenset[str]
WEIGHTS: dict[str, Callable[[int, int], float]] = {
    "smooth idf": lambda n, df: math.log((1 + n) / (1 + df)) + 1,
    "plain idf": lambda n, df: math.log((1 + n) / (1 + df)),
    "no idf": lambda n, df: 1.0,
}
PANELS = {"equal": (1.0, 1.0, 1.0), "last twice": (1.0, 1.0, 2.0), "last only": (0.0, 0.0, 1.0)}
NORMS = ("cosine", "sum", "per root of length", "share of candidate")


def documents(items: Sequence[Item], of: str) -> list[Words]:
    contexts = [words(item.context_text) for item in items]
    boxes = {(panel.panel_id, box): words(box) for item in items for panel in item.context for box in panel.boxes}
    candidates = [words(boxes[0]) for item in items for boxes in item.candidates]
    return {"contexts": contexts, "boxes": list(boxes.values()), "boxes + candidates": [*boxes.values(), *candidates]}[
        of
    ]


def scores(items: Sequence[Item], of: str, weighting: str, panels: str, norm: str) -> list[list[float]]:
    held = documents(items, of)
    counts = Counter(word for document in held for word in document)
    new = WEIGHTS[weighting](len(held), 0)
    weight = {word: WEIGHTS[weighting](len(held), count) for word, count in counts.items()}

    def total(some: Sequence[str], power: int) -> float:
        return math.fsum(weight.get(word, new) ** power for word in some)

    def score(context: dict[str, float], candidate: Words) -> float:
        shared = [word for word in candidate if word in context]
        power = 2 if norm == "cosine" else 1
        overlap = math.fsum(context[word] * weight.get(word, new) ** power for word in shared)
        if not overlap:
            return 0.0
        length = math.fsum((context[word] * weight.get(word, new)) ** 2 for word in context)
        return (
            overlap
            / {
                "cosine": math.sqrt(length * total(list(candidate), 2)),
                "sum": 1.0,
                "per root of length": math.sqrt(len(candidate)),
                "share of candidate": total(list(candidate), 1),
            }[norm]
        )

    found = []
    for item in items:
        context: dict[str, float] = {}
        for panel, factor in zip(item.context, PANELS[panels], strict=True):
            for word in words(panel.text):
                context[word] = max(context.get(word, 0.0), factor)
        found.append([score(context, words(boxes[0])) for boxes in item.candidates])
    return found


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLD
    if not path.is_file():
        print(f"no fold at {path}: nothing to measure")
        return
    items = read_fold(path, TEXT_CLOZE)
    books = np.array([item.book for item in items])
    base = ("contexts", "smooth idf", "equal", "cosine")
    variants: set[tuple[str, ...]] = {base}
    for place, values in enumerate((("contexts", "boxes", "boxes + candidates"), WEIGHTS, PANELS, NORMS)):
        variants |= {(*base[:place], value, *base[place + 1 :]) for value in values}
    variants |= {("boxes", weighting, "equal", norm) for weighting in WEIGHTS for norm in NORMS}
    print("| documents | weight of a word | panels | score | accuracy | clustered s.e. |\n|---|---|---|---|--:|--:|")
    for variant in sorted(variants, key=lambda variant: (variant != base, variant)):
        credit = choose(items, scores(items, *variant)).credit
        print(f"| {' | '.join(variant)} | {credit.mean():.4f} | {clustered_stderr(credit, books):.4f} |", flush=True)


if __name__ == "__main__":
    main()
