"""Text metrics behind one function, `text_scores`: ROUGE and BLEU as the published table has them, and others."""

import re
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from cloze.errors import SettingsError
from cloze.scoring import bertscore, bleu, corpus_bleu
from cloze.scoring.bertscore import BertScore
from cloze.scoring.bleu import Pair

ROUGE = ("rouge1", "rouge2", "rougeL")
BERTSCORE = bertscore.METRICS
CORPUS = "sacrebleu"  # the one that is no mean over examples
METRICS = (*ROUGE, "bleu", CORPUS, "sacrebleu_sentence", *BERTSCORE)
DEFAULT = (*ROUGE, "bleu")  # what needs no encoder, and is fast

_WORD = re.compile("[a-z0-9]")


def has_words(text: str) -> bool:
    """Whether there is anything that ROUGE counts as a word (Latin letters and digits)."""
    return _WORD.search(text.lower()) is not None


def chosen_metrics(words: str) -> tuple[str, ...]:
    """The metrics of a comma-separated list, in the order of METRICS.

    Raises:
        SettingsError: an unknown one, one that is there twice, or none.
    """
    names = [word.strip() for word in words.split(",")]
    if not set(names) <= set(METRICS) or len(set(names)) < len(names):
        raise SettingsError("metrics", words, f"a comma-separated list of {', '.join(METRICS)}, each once")
    return tuple(metric for metric in METRICS if metric in names)


def find_bertscore(metrics: Sequence[str], encoder: str, layers: int) -> BertScore | None:
    """The scorer that BERTScore needs, loaded; None where none of `metrics` does.

    Raises:
        MissingInputError: the encoder is not there.
        SettingsError: it does not have that layer.
    """
    return BertScore(encoder, layers, metrics) if set(metrics) & set(BERTSCORE) else None


def text_scores(
    predictions: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str] = DEFAULT,
    encoder: BertScore | None = None,
    processes: int = 1,
) -> dict[str, np.ndarray]:
    """Score each prediction against the reference of the same place.

    ROUGE is the F1 of `rouge_score` with Porter stemmer, to the last bit, from an implementation a hundred times
    faster. `bleu` is NLTK's sentence BLEU-4 with smoothing method 1, of the lower-cased texts cut at white space, to
    the last bit, without NLTK's fractions and without counting orders that cannot match.

    Args:
        predictions: n texts.
        references: n texts.
        metrics: names from METRICS.
        encoder: what BERTScore is computed by; needed for its metrics only.
        processes: how many may share what only one core would do; with more than one, the main module must be one
            that can be imported (`if __name__ == "__main__":`).

    Returns:
        For each metric an array (n,) of values from 0 to 1; for `sacrebleu`, which belongs to all examples together,
        the counts (n, 10) that `aggregate` makes a value of. NaN where the reference has no words: nothing can be
        right then, so the score is unknown. A prediction without any text scores 0 against any other reference.

    Raises:
        ValueError: the lengths differ, or BERTScore is asked for without an encoder.

    Source: facts of the original study: this pair of definitions gives its published values bit for bit.
    """
    scorable = [i for i, (_, reference) in enumerate(zip(predictions, references, strict=True)) if has_words(reference)]
    pairs = [(predictions[i], references[i]) for i in scorable]
    found: dict[str, np.ndarray] = {}
    for metric, values in _scores(pairs, metrics, encoder, processes).items():
        found[metric] = np.full((len(references), *values.shape[1:]), np.nan)
        found[metric][scorable] = values
    return found


def aggregate(metric: str, values: np.ndarray) -> float:
    """The value of a metric over all examples: the mean of those that are known, or the corpus BLEU; else NaN."""
    if np.isnan(values).all():
        return np.nan
    return corpus_bleu.corpus_bleu(values) if metric == CORPUS else float(np.nanmean(values))


def aggregate_samples(metric: str, means: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The same for many samples of the examples.

    Args:
        metric: its name.
        means: (k, c) means of the c columns of `values` (1, or 10 of `sacrebleu`) over each sample.
        values: what was sampled.

    Returns:
        (k,) values.
    """
    if metric != CORPUS:
        return means[:, 0]
    return corpus_bleu.corpus_bleus(means, int((~np.isnan(values[:, 0])).sum()))


def signatures(metrics: Sequence[str] = DEFAULT, encoder: BertScore | None = None) -> dict[str, str]:
    """What made the values of each metric: package, version and settings."""
    rouge = f"f1|stemmer:porter|mean|rouge-score-rs:{version('rouge-score-rs')}"
    known = {metric: f"{metric}|{rouge}" for metric in ROUGE}
    known["bleu"] = f"bleu|sentence|4-gram|method1|lower|split|mean|as nltk:{bleu.NLTK}"
    if any(metric.startswith(CORPUS) for metric in metrics):
        known |= corpus_bleu.signatures()
    if encoder is not None:
        known |= encoder.signatures()
    return {metric: known[metric] for metric in metrics}


def _scores(
    pairs: Sequence[Pair], metrics: Sequence[str], encoder: BertScore | None, processes: int
) -> dict[str, np.ndarray]:
    """Only those that were asked for, each computed together with those that share its work."""
    found: dict[str, np.ndarray] = {}
    if set(metrics) & set(ROUGE):
        found |= _rouge(pairs)
    if "bleu" in metrics:
        found["bleu"] = np.array(bleu.sentence_bleus(pairs, processes))
    if any(metric.startswith(CORPUS) for metric in metrics):
        found[CORPUS] = corpus_bleu.counts(pairs)
    if "sacrebleu_sentence" in metrics:
        found["sacrebleu_sentence"] = corpus_bleu.sentence_scores(found[CORPUS])
    if set(metrics) & set(BERTSCORE):
        if encoder is None:
            raise ValueError("BERTScore needs an encoder")
        found |= encoder.scores(pairs)
    return {metric: found[metric] for metric in metrics}


def _rouge(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    from rouge_score_rs.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGE), use_stemmer=True)
    scored = scorer.score_batch([reference for _, reference in pairs], [prediction for prediction, _ in pairs])
    return {metric: np.array([scores[metric].fmeasure for scores in scored]) for metric in ROUGE}
