"""`evaluate` loads our metrics from the folder of the project, offline, and gets the values that `eval` logs."""

import json
from pathlib import Path

import pytest

from cloze.scoring import metrics

MODULE = str(Path(metrics.__file__).with_name("evaluate_module.py"))
PAIRS = {
    "predictions": ["a red hat falls off", "the dog", ""],
    "references": ["a red hat falls down", "that dog runs off", "a cat"],
}


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """The package, which decides on import where it copies modules to."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HF_MODULES_CACHE", str(folder / "modules"))
        patched.setenv("HF_EVALUATE_CACHE", str(folder / "cache"))
        patched.setenv("HF_METRICS_CACHE", str(folder / "metrics"))
        import evaluate

        yield evaluate


@pytest.mark.parametrize(
    ("group", "names"),
    [("rouge", metrics.ROUGE), ("bleu", ["bleu"]), ("sacrebleu", ["sacrebleu", "sacrebleu_sentence"])],
)
def test_a_loaded_module_gives_our_values_to_the_last_bit(evaluate, group, names):
    ours = metrics.text_scores(PAIRS["predictions"], PAIRS["references"], names)
    found = evaluate.load(MODULE, group).compute(**PAIRS)
    assert found == {name: metrics.aggregate(name, values) for name, values in ours.items()}
    assert all(0 < value < 1 for value in found.values())


def test_combined_modules_give_the_published_values_to_the_last_bit(evaluate, real_data):
    folder = real_data / "predictions"
    rows = [json.loads(line) for line in (folder / "original_study.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["in_reported_scope"]]
    both = evaluate.combine([evaluate.load(MODULE, group) for group in ("rouge", "bleu")])
    found = both.compute(**{f"{side}s": [row[side] for row in rows] for side in ("prediction", "reference")})
    reported = json.loads((folder / "reported.json").read_text())["zs_cloze_parsed_100"]
    assert found | {"num_evaluated": len(rows)} == reported


def test_a_module_is_loaded_by_the_name_of_a_group(evaluate):
    with pytest.raises(ValueError, match="default is no group of metrics; give one of rouge, bleu, sacrebleu"):
        evaluate.load(MODULE)
