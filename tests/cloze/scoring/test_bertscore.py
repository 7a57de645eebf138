"""BERTScore is `bert_score`'s, with an encoder that is named, and without its faults."""

import json

import numpy as np
import pytest
from bert_score import BERTScorer

from cloze.errors import MissingInputError, SettingsError
from cloze.scoring.bertscore import METRICS, BertScore, find_encoder, scores_together
from cloze.scoring.bleu import Pair
from cloze.scoring.encoders import MINILM, encoder_folder
from cloze.scoring.metrics import text_scores
from tests.cloze.scoring.tiny import label, prediction, run, sequence, write

FOLDER = encoder_folder(MINILM)


@pytest.fixture(scope="module")
def scorer():
    return BertScore(MINILM)


def test_real_predictions_score_what_bert_score_says(scorer, real_data):
    lines = (real_data / "predictions" / "original_study.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    pairs = [(row["prediction"], row["reference"]) for row in rows if len(row["prediction"] + row["reference"]) < 200]
    whole = [i for i, pair in enumerate(pairs) if all(text.strip() for text in pair)]
    assert 10 < len(whole) < len(pairs)
    oracle = BERTScorer(model_type=str(FOLDER), num_layers=6)
    expected = oracle.score(*(list(texts) for texts in zip(*(pairs[i] for i in whole), strict=True)))
    found = scorer.scores(pairs)
    for name, column in zip(METRICS, expected, strict=True):
        np.testing.assert_allclose(found[name][whole], column.numpy(), rtol=0, atol=1e-6)
        assert not np.delete(found[name], whole).any()


def test_a_blank_text_scores_0_and_what_cannot_be_scored_nothing(scorer):
    scores = scorer.scores([("", "a hat"), ("a hat", " \n"), None, ("a hat", "a hat")])
    np.testing.assert_allclose(scores["bertscore_f1"], [0, 0, np.nan, 1], atol=1e-6)
    assert scorer.scores([])["bertscore_f1"].shape == (0,)
    np.testing.assert_array_equal(text_scores(["a hat"], ["! !"], ["bertscore_f1"], scorer)["bertscore_f1"], [np.nan])


def test_a_text_beyond_the_window_is_cut_and_counted_once():
    scorer = BertScore(MINILM, metrics=["bertscore_recall"])
    long = "hat " * 600
    scores = scorer.scores([(long, "a hat"), (long, "a cat"), ("hat " * 400, "a hat")])
    assert list(scores) == ["bertscore_recall"]
    assert (scorer.window, scorer.n_truncated) == (512, 1)


def test_columns_that_share_texts_score_the_same_together(scorer):
    columns: dict[str, list[Pair | None]] = {
        "x": [("a hat", "a dog"), None],
        "y": [("the sea", "a dog"), ("a hat", "blue")],
    }
    together = scores_together(scorer, columns)
    for name, pairs in columns.items():
        np.testing.assert_allclose(together[name]["bertscore_f1"], scorer.scores(pairs)["bertscore_f1"], atol=1e-6)


def test_eval_has_it_for_all_references_and_floors(scorer, tmp_path):
    texts = {1: "a red hat", 2: "the dog runs", 3: "rain falls"}
    rows = [sequence(book, 0, ["start", f"go {text}", f"see {text}"]) for book, text in texts.items()]
    found = run(
        tmp_path,
        sequences=write(tmp_path, "sequences", rows),
        predictions=write(tmp_path, "predictions", [prediction(f"{book}/0_2", text) for book, text in texts.items()]),
        pred_labels=write(tmp_path, "labels", [label(f"{book}/0_2", text) for book, text in texts.items()]),
        metrics="bertscore_f1",
        encoder=MINILM,
    )
    expected = scorer.scores([(text, f"see {text}") for text in texts.values()])["bertscore_f1"].mean()
    assert found["eval/pred/bertscore_f1"] == pytest.approx(1, abs=1e-6)
    assert found["eval/lettering/bertscore_f1"] == pytest.approx(expected, abs=1e-6)
    assert 0 < found["floor/foreign/pred/bertscore_f1"] < found["floor/panel5/pred/bertscore_f1"] < 1
    assert found["truncated_texts"] == 0
    assert not [name for name in found if "bertscore_recall" in name]


def test_the_signature_names_encoder_layer_and_weights_but_no_place(scorer):
    signature = scorer.signatures()["bertscore_f1"]
    assert signature.startswith("bertscore_f1|minilm_L6_no-idf_version=0.3.12(hug_trans=")
    assert "|sha256:" in signature
    assert signature.endswith("|window:512|rescale_with_baseline:no|blank:0|mean|bert-score:0.3.13")
    assert "/" not in signature


def test_a_folder_is_an_encoder_too_and_the_layer_counts(scorer):
    encoder, _ = find_encoder(str(FOLDER), 3)
    assert (encoder.name, encoder.layer, encoder.weights) == ("model", 3, scorer.encoder.weights)


@pytest.mark.parametrize(
    ("name", "layer", "error", "message"),
    [
        ("roberta-large", 0, MissingInputError, "encoder roberta-large: no such folder, and no model of that name"),
        ("/nowhere", 3, MissingInputError, "give the folder of one with its layer, or minilm"),
        (MINILM, 7, SettingsError, "layers is 7; it must be from 1 to 6, which encoder minilm has"),
        (str(FOLDER), 0, SettingsError, "layers is 0; it must be given: bert_score has chosen none"),
        (str(FOLDER.parent), 3, MissingInputError, r"holds no config.json or no \*.safetensors"),
    ],
)
def test_an_encoder_that_is_not_there_is_refused(name, layer, error, message):
    with pytest.raises(error, match=message):
        find_encoder(name, layer)
