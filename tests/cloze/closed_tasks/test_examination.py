"""From a fold to an accuracy, by each scorer."""

import logging

import pytest

from cloze.closed_tasks import items as items_module
from cloze.closed_tasks.examination import examine
from cloze.closed_tasks.settings import TASKS, ClosedTaskSettings
from cloze.errors import DataError, SettingsError
from tests.cloze.closed_tasks.folds import order_row, text_row, write_fold

COHERENCE = "character-coherence"


@pytest.fixture
def fold(tmp_path):
    rows = [text_row(panel, book, answer=1 if panel < 5 else 0) for book in (7, 8) for panel in range(3, 7)]
    return write_fold(tmp_path / "fold.csv", rows)


@pytest.fixture
def coin(tmp_path):
    """Printed order is always the second candidate, and correct_answer is half of the time."""
    boxes = {n: (f"the {n} is loud", f"where do you go {n}") for n in range(3, 15)}
    said: dict[int, tuple[str, ...]] = boxes | {2: ("loud is the 2",)}
    rows = [order_row(panel, boxes[panel], said, answer=panel % 2) for panel in range(3, 15)]
    return write_fold(tmp_path / "order.csv", rows, COHERENCE)


def test_the_official_dev_fold_is_answered_by_shared_words_alone(real_data, tmp_path):
    path = real_data / "official_folds" / "text_cloze_dev_easy.csv"
    found = examine("text-cloze", path, ClosedTaskSettings(resamples=1000), tmp_path).summary
    assert found["accuracy"] >= 0.580
    assert (found["n"], found["n_books"]) == (10_092, 486)
    assert 0.005 < found["stderr_clustered"] < 0.008
    assert found["ci_low"] > found["controls"]["longest"] > found["controls"]["chance"] == pytest.approx(1 / 3)
    assert found["contexts_without_words"] == 29


def test_an_accuracy_comes_with_what_it_needs(fold, tmp_path):
    found = examine("text-cloze", fold, ClosedTaskSettings(), tmp_path)
    assert (found.summary["accuracy"], found.summary["n"], found.summary["n_books"]) == (0.5, 8, 2)
    assert found.summary["stderr_clustered"] == pytest.approx(0)  # both books are alike
    assert {"task", "scorer", "signature", "items_digest", "ci_low", "ci_high", "ties"} < set(found.summary)
    assert [row["correct"] for row in found.rows] == [1, 1, 0, 0] * 2


def test_what_a_word_weighs_does_not_depend_on_which_answer_is_right(fold, tmp_path):
    scores = [row["scores"] for row in examine("text-cloze", fold, ClosedTaskSettings(), tmp_path).rows]
    rows = [text_row(panel, book, answer=2) for book in (7, 8) for panel in range(3, 7)]
    other = write_fold(tmp_path / "other.csv", rows)
    assert [row["scores"] for row in examine("text-cloze", other, ClosedTaskSettings(), tmp_path).rows] == scores


def test_how_rare_words_are_may_come_from_another_fold(fold, tmp_path):
    train = write_fold(tmp_path / "train.csv", [text_row(9, 1, context_text_0_0="weather of the spirit")])
    own = examine("text-cloze", fold, ClosedTaskSettings(), tmp_path)
    other = examine("text-cloze", fold, ClosedTaskSettings(idf_from=str(train)), tmp_path)
    assert own.rows[0]["scores"] != other.rows[0]["scores"]
    assert other.summary["signature"].split("|")[-2] == "contexts of train.csv"


def test_a_limit_draws_the_same_items_for_the_same_seed(fold, tmp_path):
    def drawn(seed):
        return [
            row["item_id"] for row in examine("text-cloze", fold, ClosedTaskSettings(limit=4, seed=seed), tmp_path).rows
        ]

    assert drawn(1) == drawn(1)
    assert len(drawn(1)) == 4
    assert len({tuple(drawn(seed)) for seed in range(6)}) > 1


def test_answers_that_are_a_coins_are_told_of(coin, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        found = examine(COHERENCE, coin, ClosedTaskSettings(), tmp_path).summary
    assert (found["n"], found["printed_order_known"], found["answers_as_printed"]) == (12, 11, 6)
    assert "prints the two boxes in 6 of the 11 items" in caplog.text


def test_the_printed_order_may_be_the_truth(coin, tmp_path):
    found = examine(COHERENCE, coin, ClosedTaskSettings(truth="printed"), tmp_path)
    assert found.summary["n"] == 11
    assert {row["right"] for row in found.rows} == {1}
    # "... is loud" follows "loud is the 2" and so comes first.
    assert found.rows[0]["choice"] == 1


def test_the_printed_order_must_be_known_and_asked_for_where_it_is_the_task(fold, tmp_path):
    alone = write_fold(tmp_path / "alone.csv", [order_row(3, ("a b c", "d e f"), {}, 0)], COHERENCE)
    with pytest.raises(DataError, match="prints the boxes of no item as context"):
        examine(COHERENCE, alone, ClosedTaskSettings(truth="printed"), tmp_path)
    with pytest.raises(SettingsError, match="truth is 'printed'; it must be file for text-cloze"):
        examine("text-cloze", fold, ClosedTaskSettings(truth="printed"), tmp_path)


def test_the_sample_base_is_examined_without_pictures(fold, tmp_path):
    settings = ClosedTaskSettings(scorer="model", blind="images", normalise="pmi", limit=2, features_gb=0)
    found = examine("text-cloze", fold, settings, tmp_path)
    assert set(found.summary["accuracy_by"]) == {"mean", "total", "pmi"}
    assert found.summary["accuracy"] == found.summary["accuracy_by"]["pmi"]
    assert {"scores", "scores_mean", "scores_total", "scores_pmi"} < set(found.rows[0])
    assert "base:sample" in found.summary["signature"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scorer": "luck"}, "scorer is 'luck'; it must be one of idf, encoder, model"),
        ({"limit": -1}, "limit is -1; it must be 0 or more"),
        ({"batch": 0}, "batch is 0; it must be 1 or more"),
        ({"image_layout": "wide"}, "image_layout is 'wide'; it must be one of multi, anyres, or empty"),
    ],
)
def test_settings_that_will_not_do_are_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        ClosedTaskSettings(**given)


def test_the_tasks_are_the_readers():
    assert TASKS == items_module.TASKS


@pytest.mark.parametrize("given", [{}, {"comics": "x", "blind": "images"}])
def test_a_model_is_given_pictures_or_told_that_there_are_none(fold, tmp_path, given):
    with pytest.raises(SettingsError, match="it must be the folder of pictures; or leave it empty with blind=images"):
        examine("text-cloze", fold, ClosedTaskSettings(scorer="model", **given), tmp_path)
