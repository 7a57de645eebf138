"""Lift over the best floor: sound whichever floor is best, and none where predictions say nothing."""

import numpy as np
import pytest

from cloze.scoring.intervals import LEVEL, effective_clusters, percentile_interval, resampled_means
from cloze.scoring.metrics import text_scores
from cloze.scoring.references import Examples, Reference
from cloze.scoring.results import Column, lift_interval, score, summary

WORDS = [f"w{i}" for i in range(40)]


def labelled(seed: int, n_books: int = 20, rows: int = 8) -> tuple[Examples, list[Reference]]:
    """Labels in one style, with words of their book and of their own; predictions are the labels with some errors."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n_books).repeat(rows)
    own = [rng.choice(WORDS, 6).tolist() for _ in groups]
    texts = [" ".join(["then", "we", "see", f"book{group}", *words]) for group, words in zip(groups, own, strict=True)]
    ids = [f"{group}/0_{i}" for i, group in enumerate(groups)]
    panels = [[{"panel_id": "p", "text": "LOOK OUT"}]] * len(ids)
    predictions = [" ".join([*text.split()[:-2], "and", "more"]) for text in texts]
    examples = Examples(ids, predictions, groups, panels, [])
    reference = Reference("lettering", texts, ["LOOK OUT"] * len(ids), lambda given: text_scores(given, texts))
    return examples, [reference]


def permuted(examples: Examples, seed: int) -> Examples:
    """Each prediction is given to a sequence of another book."""
    rng = np.random.default_rng(seed)
    books = np.unique(examples.groups)
    shift = int(rng.integers(1, len(books))) * (len(examples) // len(books))
    texts = np.roll(examples.predictions, shift).tolist()
    return Examples(examples.ids, texts, examples.groups, examples.context, examples.target)


def lift(examples: Examples, references: list[Reference], seed: int, metric: str = "rouge1") -> tuple[float, float]:
    columns = score(examples, references, seed)
    found = summary(columns, examples.groups, 500, seed)
    return found[f"ci_low/lift/lettering/{metric}"], found[f"ci_high/lift/lettering/{metric}"]


def test_predictions_of_the_right_sequence_are_above_every_floor():
    assert lift(*labelled(0), seed=0)[0] > 0.2


def test_permuted_labels_have_a_lift_whose_interval_covers_0():
    hits, trials = 0, 30
    for trial in range(trials):
        examples, references = labelled(trial)
        perfect = Examples(examples.ids, references[0].texts, examples.groups, examples.context, [])
        low, high = lift(permuted(perfect, trial), references, trial)
        hits += low <= 0 <= high
    assert hits / trials >= 0.86  # 0.95 less 2.3 standard errors


def test_permuted_predictions_are_never_above_the_floors():
    highs = []
    for trial in range(10):
        examples, references = labelled(trial)
        low, high = lift(permuted(examples, trial), references, trial)
        assert low <= 0
        highs.append(high)
    assert np.mean(highs) < 0.05


def test_choosing_the_best_of_equal_floors_does_not_cost_coverage():
    rng = np.random.default_rng(1)
    books, hits, naive_hits, trials = np.arange(30).repeat(5), 0, 0, 300
    for trial in range(trials):
        values = rng.normal(0, 1, (30, 7)).repeat(5, axis=0)  # a score and six floors, all of mean 0: the lift is 0
        means = resampled_means(values, books, 400, trial)
        n = float(effective_clusters(values, books)[0])
        low, high = lift_interval([(means[:, 0] - means[:, floor], n) for floor in range(1, 7)])
        hits += low <= 0 <= high
        best = 1 + int(values[:, 1:].mean(axis=0).argmax())
        naive = percentile_interval(means[:, 0] - means[:, best], n)
        naive_hits += naive.low <= 0 <= naive.high
    assert hits / trials >= LEVEL - 0.02
    assert naive_hits / trials < 0.92  # what the lift over the floor that came out best alone would do


def test_another_label_takes_no_part_in_the_lift():
    n = 8
    values = {"": 0.5, "foreign": 0.3, "labels": 0.9}
    columns = {Column(floor, "pred", "bleu"): np.full(n, value) for floor, value in values.items()}
    found = summary(columns, np.arange(n), 200, 0)
    assert found["floor/labels/pred/bleu"] == 0.9
    assert found["lift/pred/bleu"] == pytest.approx(0.2)
