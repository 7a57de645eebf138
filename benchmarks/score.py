"""Claim: scoring is at least 50 times as fast as plain `rouge_score`, and 54,530 predictions take under 3 minutes.

    python -m benchmarks.score                    # all parts
    python -m benchmarks.score --rows 5000        # the last two with fewer rows

Texts are generated from a seed: 54,530 predictions of about 140 words of which a third is the reference's, two labels
of 120, lettering of 30; words follow Zipf's law. The first part takes turns in one process, ours and `rouge_score`
(stemmer, ROUGE-1, -2 and -L) over the same pairs, in seconds of processor and of clock; then NLTK's sentence BLEU and
ours. The second scores the predictions against three references. The third is the whole `eval` stage: reading, the same
for every floor, names, dialogue and scene, measures of all texts, 10,000 resamples, and all tables.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cloze.scoring.bleu import cores, sentence_bleu
from cloze.scoring.evaluation import EvalSettings, evaluate
from cloze.scoring.metrics import ROUGE, text_scores
from cloze.scoring.references import read_examples, read_references
from cloze.settings import parse
from cloze.stage import Workspace
from cloze.tables import table, write_table

FULL = 54_530  # test sequences of the full study
BOOKS = 217
PAIRS = 150  # a turn
TURNS = 7
WORDS = 20_000


def texts(rng: np.random.Generator, n: int, words: int, of: list[str] | None = None) -> list[str]:
    """Texts of about that many words; a third of each is taken from the text of the same place in `of`."""
    vocabulary = np.array([_word(i) for i in range(WORDS)])
    ends = np.cumsum(1 / (np.arange(WORDS) + 2.7))  # Zipf's law as Mandelbrot has it
    made = []
    for i in range(n):
        length = int(rng.integers(words * 3 // 4, words * 5 // 4))
        drawn = list(vocabulary[np.searchsorted(ends, rng.random(length) * ends[-1])])
        if of:
            shared = of[i].split()[: length // 3]
            drawn[: len(shared)] = shared
        made.append(" ".join(drawn) + ".")
    return made


def _word(number: int) -> str:
    """A word of its own for each number, short for the frequent ones, some with an ending that a stemmer takes off."""
    letters = ""
    rest = number
    while True:
        rest, digit = divmod(rest, 20)
        letters += "bcdfghjklmnpqrstvwxz"[digit] + "aeiou"[(digit + rest) % 5]
        if not rest:
            return letters + ("", "", "ing", "s", "ed")[number % 5]


def ratio(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> None:
    """Take turns; ours is repeated, so that both take long enough to be timed."""
    found = {"processor": [], "clock": []}  # type: dict[str, list[float]]
    for _ in range(TURNS):
        mine, other = _seconds(lambda: [ours() for _ in range(repeats)]), _seconds(theirs)
        for kind, a, b in zip(found, mine, other, strict=True):
            found[kind].append(b / (a / repeats))
    for kind, ratios in found.items():
        print(
            f"{name}: {statistics.median(ratios):.1f} times as fast by {kind} "
            f"({min(ratios):.1f} to {max(ratios):.1f} in {TURNS} turns of {PAIRS} pairs)"
        )


def _seconds(work: Callable[[], Any]) -> tuple[float, float]:
    start = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - start[0], time.perf_counter() - start[1]


def compare() -> None:
    from nltk.translate.bleu_score import SmoothingFunction
    from nltk.translate.bleu_score import sentence_bleu as nltk_bleu
    from rouge_score.rouge_scorer import RougeScorer

    rng = np.random.default_rng(0)
    references = texts(rng, PAIRS, 120)
    predictions = texts(rng, PAIRS, 140, references)
    pairs = list(zip(predictions, references, strict=True))
    plain, smooth = RougeScorer(list(ROUGE), use_stemmer=True), SmoothingFunction().method1
    expected = [plain.score(reference, prediction)["rougeL"].fmeasure for prediction, reference in pairs]
    assert text_scores(predictions, references, ROUGE)["rougeL"].tolist() == expected
    ratio(
        "ROUGE against rouge_score",
        lambda: text_scores(predictions, references, ROUGE),
        lambda: [plain.score(reference, prediction) for prediction, reference in pairs],
        repeats=20,
    )
    ratio(
        "BLEU against NLTK",
        lambda: [sentence_bleu(pair) for pair in pairs],
        lambda: [nltk_bleu([b.lower().split()], a.lower().split(), smoothing_function=smooth) for a, b in pairs],
        repeats=3,
    )


def inputs(folder: Path, n: int) -> dict[str, str]:
    """Tables of n sequences, as the steps before `eval` leave them."""
    rng = np.random.default_rng(1)
    ids = [f"{i * BOOKS // n}/{i // 8}_{i % 8}" for i in range(n)]
    lettering = texts(rng, n + 5, 30)
    labels = {"descp": texts(rng, n, 120)}
    labels["pred"] = texts(rng, n, 120, labels["descp"])
    panels = [{"panel_id": f"0/0_{i}", "image": None, "text": text} for i, text in enumerate(lettering)]
    rows: dict[str, list[dict[str, Any]]] = {
        "sequences": [
            {"sequence_id": key, "book": int(key.split("/")[0]), "story": 0, "group": int(key.split("/")[0])}
            | {"split": "test", "context": panels[i : i + 5], "target": panels[i + 5]}
            for i, key in enumerate(ids)
        ],
        "predictions": [
            {"sequence_id": key, "prediction": text, "finish_reason": "stop"}
            for key, text in zip(ids, texts(rng, n, 140, labels["pred"]), strict=True)
        ],
    }
    paths = {name: folder / f"{name}.parquet" for name in rows}
    for name, path in paths.items():
        write_table(table(name, rows[name]), path)
    for paradigm, said in labels.items():
        ok = [
            {"sequence_id": key, "paradigm": paradigm, "state": "ok", "text": text}
            for key, text in zip(ids, said, strict=True)
        ]
        paths[f"{paradigm}_labels"] = folder / f"{paradigm}.parquet"
        write_table(table("labels", ok), paths[f"{paradigm}_labels"])
    return {name: str(path) for name, path in paths.items()}


def whole(n: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = inputs(folder, n)
        (folder / "out").mkdir()
        workspace = Workspace(folder / "out", folder, lambda metrics, step: None, folder)
        before = _processor()
        start = time.perf_counter()
        examples = read_examples(given["predictions"], given["sequences"])
        for reference in read_references({p: given[f"{p}_labels"] for p in ("pred", "descp")}, "", examples):
            text_scores(examples.predictions, reference.texts, processes=cores())
        print(
            f"{n:,} predictions against 3 references by ROUGE and BLEU: {time.perf_counter() - start:.0f} s, "
            f"{_processor() - before:.0f} s of processor"
        )
        before = _processor()
        start = time.perf_counter()
        found = evaluate(parse(EvalSettings, given), workspace)
        clock, processor = time.perf_counter() - start, _processor() - before
        size = sum(file.stat().st_size for file in (folder / "out").iterdir()) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"eval of {n:,} predictions against 3 references with all floors and 10,000 resamples: {clock:.0f} s, "
        f"{processor:.0f} s of processor, peak {peak:.1f} GiB, tables of {size:.0f} MiB"
    )
    print(f"  rougeL against pred {found['eval/pred/rougeL']:.4f}, foreign {found['floor/foreign/pred/rougeL']:.4f}")


def _processor() -> float:
    """Seconds of processor of this process and of those that it has ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=FULL)
    chosen = options.parse_args()
    compare()
    whole(chosen.rows)


if __name__ == "__main__":
    main()
