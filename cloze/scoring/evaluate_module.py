"""The metrics behind the interface of the package `evaluate`, for those who work with it; nothing is fetched.

    rouge = evaluate.load("/path/to/cloze/scoring/evaluate_module.py", "rouge")
    both = evaluate.combine([rouge, evaluate.load("/path/to/cloze/scoring/evaluate_module.py", "bleu")])
    both.compute(predictions=[...], references=[...])

`evaluate.load` copies this file and reads its imports line by line, so it is one module with a name for each group of
metrics, and all of its numbers come from `text_scores`.
"""

from typing import Any

import datasets
import evaluate

from cloze.scoring.bertscore import PUBLISHED
from cloze.scoring.metrics import BERTSCORE, CORPUS, ROUGE, aggregate, find_bertscore, text_scores

CONFIGS = {
    "rouge": ROUGE,
    "bleu": ("bleu",),
    "sacrebleu": (CORPUS, "sacrebleu_sentence"),
    "bertscore": BERTSCORE,
}


class ClozeMetric(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """The metrics of one group over all pairs: values from 0 to 1, as `eval` logs them; NaN where nothing is known."""

    def _info(self) -> Any:
        if self.config_name not in CONFIGS:
            raise ValueError(f"{self.config_name} is no group of metrics; give one of {', '.join(CONFIGS)}")
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=" ".join((__doc__ or "").split("\n")[:1]),
            citation="",
            features=datasets.Features({"predictions": text, "references": text}),
            inputs_description="predictions and references: texts, one for one",
        )

    def _compute(
        self, *, predictions: list[str], references: list[str], encoder: str = PUBLISHED, layers: int = 0
    ) -> dict[str, float]:
        names = CONFIGS[self.config_name]
        bertscore = find_bertscore(names, encoder, layers)
        scores = text_scores(predictions, references, names, bertscore)
        return {name: aggregate(name, values) for name, values in scores.items()}
