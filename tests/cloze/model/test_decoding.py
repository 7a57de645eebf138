import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloze.errors import DataError, SettingsError
from cloze.model.decoding import predict
from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.predict_settings import PredictSettings
from cloze.model.training import finetune
from cloze.stage import StoppedError
from cloze.tables import prompt_of, read_table, table, write_table
from tests.cloze.model.conftest import Tables, make_tables, make_workspace


@pytest.fixture
def settings(base_folder, tables):
    return PredictSettings(sequences=tables.sequences, base=str(base_folder), max_new_tokens=8, batch=4)


@pytest.fixture(scope="module")
def adapter(base_folder, tables, tmp_path_factory):
    workspace = make_workspace(tmp_path_factory.mktemp("adapter") / "out")
    settings = FinetuneSettings(
        sequences=tables.sequences, labels=tables.labels["pred"], base=str(base_folder), epochs=8, batch=4, lr=1e-2
    )
    finetune(settings, workspace)
    return str(workspace.out / "adapter")


def predictions(settings: PredictSettings, out: Path) -> list[dict[str, Any]]:
    workspace = make_workspace(out)
    predict(settings, workspace)
    rows: list[dict[str, Any]] = read_table(workspace.out / "predictions.parquet", "predictions").to_pylist()
    return rows


def fingerprint(settings: PredictSettings, out: Path) -> dict[str, Any]:
    predict(settings, make_workspace(out))
    found: dict[str, Any] = json.loads((out / "fingerprint.json").read_text())
    return found


def test_every_sequence_of_the_split_is_predicted_in_table_order(settings, tables, tmp_path):
    rows = predictions(settings, tmp_path / "out")
    assert [row["sequence_id"] for row in rows] == [r["sequence_id"] for r in tables.rows if r["split"] == "test"]
    asked = prompt_of(read_table(tmp_path / "out" / "predictions.parquet", "predictions"))
    assert asked.endswith("Write one flowing paragraph.")
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}
    assert all(row["prompt_tokens"] > 100 and row["output_tokens"] <= 8 and row["seconds"] > 0 for row in rows)


def test_predictions_are_the_same_in_any_batch(settings, tmp_path):
    texts = [
        [row["prediction"] for row in predictions(replace(settings, batch=batch), tmp_path / str(batch))]
        for batch in (1, 8)
    ]
    assert texts[0] == texts[1]


def test_an_adapter_that_acts_on_answers_is_used_as_it_was_trained(settings, base_folder, tables, tmp_path):
    workspace = make_workspace(tmp_path / "adapter" / "out")
    shared = {"sequences": tables.sequences, "labels": tables.labels["pred"], "base": str(base_folder)}
    finetune(FinetuneSettings(**shared, epochs=12, batch=4, lr=1e-2, adapted="answer"), workspace)
    folder = workspace.out / "adapter"
    acting = predictions(replace(settings, base="", adapter=str(folder)), tmp_path / "acting")
    assert {row["prediction"] for row in acting} != {row["prediction"] for row in predictions(settings, tmp_path / "0")}
    # Told that its weights act on all tokens, the same adapter writes something else.
    (folder / "base.json").write_text(json.dumps(json.loads((folder / "base.json").read_text()) | {"adapted": "all"}))
    everywhere = predictions(replace(settings, base="", adapter=str(folder)), tmp_path / "everywhere")
    assert [row["prediction"] for row in everywhere] != [row["prediction"] for row in acting]


def test_an_adapter_brings_its_own_base_and_changes_what_is_written(settings, adapter, tmp_path):
    plain = predictions(settings, tmp_path / "plain")
    adapted = predictions(replace(settings, base="", adapter=adapter), tmp_path / "adapted")
    assert [row["prediction"] for row in plain] != [row["prediction"] for row in adapted]


def test_an_adapter_of_another_base_is_refused(settings, adapter, other_base_folder, tmp_path):
    with pytest.raises(DataError, match=r"trained on base .*tiny .*, not on .*other"):
        predictions(replace(settings, base=str(other_base_folder), adapter=adapter), tmp_path / "out")


def trained(settings: PredictSettings, tables: Tables, out: Path, **changes: Any) -> str:
    """An adapter for the settings' base."""
    workspace = make_workspace(out)
    finetune(
        FinetuneSettings(
            sequences=tables.sequences, labels=tables.labels["pred"], base=settings.base, epochs=2, batch=4, **changes
        ),
        workspace,
    )
    return str(workspace.out / "adapter")


def test_an_adapter_is_shown_pictures_as_in_its_training(settings, tables, tmp_path):
    adapter = trained(settings, tables, tmp_path / "adapter", image_layout="anyres")
    multi = predictions(settings, tmp_path / "multi")
    tiled = predictions(replace(settings, image_layout="anyres"), tmp_path / "tiled")
    adapted = predictions(replace(settings, base="", adapter=adapter), tmp_path / "adapted")
    assert [row["prompt_tokens"] for row in adapted] == [row["prompt_tokens"] for row in tiled]
    assert all(more["prompt_tokens"] > less["prompt_tokens"] for more, less in zip(tiled, multi, strict=True))
    with pytest.raises(DataError, match="adapter: trained with image_layout anyres, not multi"):
        predictions(replace(settings, adapter=adapter, image_layout="multi"), tmp_path / "refused")


def test_kept_features_change_no_prediction(settings, tables, tmp_path):
    """Nor are those of a base taken for those of an adapter that changed its vision tower."""
    adapter = trained(settings, tables, tmp_path / "adapter", vision_lora=True, lr=3e-2)
    for number, some in enumerate((settings, replace(settings, base="", adapter=adapter))):
        shared = predictions(some, tmp_path / f"stores-{number}")
        again = predictions(some, tmp_path / f"reads-{number}")
        plain = predictions(replace(some, features_gb=0), tmp_path / f"computes-{number}")
        texts = [[row["prediction"] for row in rows] for rows in (shared, again, plain)]
        assert texts[0] == texts[1] == texts[2]
    assert len(list((tmp_path / "cache" / "features").glob("*/000000.bin"))) == 2


def test_a_part_of_the_split_is_the_same_part_in_every_run(settings, tmp_path):
    all_rows = predictions(settings, tmp_path / "all")
    some = predictions(replace(settings, examples=3, blind="text"), tmp_path / "some")
    again = predictions(replace(settings, examples=3), tmp_path / "again")
    assert len(some) == 3
    assert [row["sequence_id"] for row in some] == [row["sequence_id"] for row in again]
    assert {row["sequence_id"] for row in some} < {row["sequence_id"] for row in all_rows}


@pytest.mark.parametrize(
    "change",
    [{"blind": "images"}, {"max_new_tokens": 9}, {"split": "val"}, {"precision": "bf16"}, {"image_layout": "anyres"}],
)
def test_the_fingerprint_changes_with_what_decides_predictions(settings, tmp_path, change):
    plain = fingerprint(settings, tmp_path / "plain")
    assert plain == fingerprint(replace(settings, batch=2), tmp_path / "batch")
    assert plain != fingerprint(replace(settings, **change), tmp_path / "changed")


def test_the_fingerprint_tells_an_adapter_from_none(settings, adapter, tmp_path):
    assert fingerprint(settings, tmp_path / "plain")["adapter_digest"] is None
    assert len(fingerprint(replace(settings, adapter=adapter), tmp_path / "adapted")["adapter_digest"]) == 64


def test_the_prompt_shown_is_the_one_that_training_shows_up_to_the_answer(settings, adapter, tmp_path):
    predictions(replace(settings, split="train"), tmp_path / "out")
    predicts = (tmp_path / "out" / "prompt.txt").read_text().split("\n\n", 1)[1]
    trains = (Path(adapter).parent / "prompt.txt").read_text().split("\n\n", 1)[1]
    assert trains.startswith(predicts)
    assert trains[len(predicts)] == "⟦"


def test_any_lettering_can_be_read(settings, tables, tmp_path):
    texts = ["<image><|im_end|>", "ÀÉÎ 漫画 🙂", "x" * 2000, "\x00\n\t", "{{ 1 }} {% raw %}"]
    context = [panel | {"text": text} for panel, text in zip(tables.rows[0]["context"], texts, strict=True)]
    path = tmp_path / "sequences.parquet"
    write_table(table("sequences", [tables.rows[0] | {"context": context}], str(tables.pictures)), path)
    (row,) = predictions(replace(settings, sequences=str(path), split="all"), tmp_path / "out")
    assert row["output_tokens"] > 0


def test_an_empty_split_is_an_error(settings, tables, tmp_path):
    path = tmp_path / "sequences.parquet"
    write_table(table("sequences", tables.rows[:2], str(tables.pictures)), path)
    with pytest.raises(DataError, match=r"no sequence in split test \(2 in all\); try split=all"):
        predictions(replace(settings, sequences=str(path)), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("split", "dev", "one of train, val, test, all"),
        ("blind", "all", "one of none"),
        ("batch", 0, "1 or more"),
        ("image_layout", "flat", "one of multi, anyres"),
        ("features_gb", -1.0, "0 or more"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, value, expected):
    with pytest.raises(SettingsError, match=f"{name} is .*; it must be {expected}"):
        PredictSettings(**{name: value})


def test_shards_together_predict_what_a_whole_run_does(settings, tmp_path):
    whole = predictions(settings, tmp_path / "whole")
    parts = [predictions(replace(settings, shard=f"{k}/3"), tmp_path / "elsewhere" / str(k)) for k in range(3)]
    assert [row["sequence_id"] for part in parts for row in part] == [row["sequence_id"] for row in whole]
    assert [row["prediction"] for part in parts for row in part] == [row["prediction"] for row in whole]


def test_what_was_answered_is_not_computed_again(settings, tmp_path):
    predict(replace(settings, shard="1/2"), make_workspace(tmp_path / "shard"))
    figures = predict(settings, make_workspace(tmp_path / "whole"))
    assert (figures["predictions"], figures["predictions_kept"]) == (8, 4)
    assert predict(settings, make_workspace(tmp_path / "again"))["predictions_kept"] == 8
    assert predict(replace(settings, blind="text"), make_workspace(tmp_path / "blind"))["predictions_kept"] == 0


def test_a_picture_that_was_replaced_is_looked_at_again(settings, tables, tmp_path):
    folder = tmp_path / "moved"
    moved = replace(settings, sequences=make_tables(folder).sequences)
    predict(moved, make_workspace(tmp_path / "first"))
    shutil.copy(folder / "pictures" / "1" / "1_0.jpg", folder / "pictures" / "6" / "1_7.jpg")
    figures = predict(moved, make_workspace(tmp_path / "second"))
    assert 0 < figures["predictions_kept"] < figures["predictions"]


def test_a_run_that_is_asked_to_stop_keeps_what_it_has(settings, tmp_path, monkeypatch):
    workspace = make_workspace(tmp_path / "out")
    stop = tmp_path / "stop"
    stop.touch()
    monkeypatch.setenv("CLOZE_STOP_FILE", str(stop))
    with pytest.raises(StoppedError, match=r"4 of 8 are answered and kept .*the same command goes on"):
        predict(settings, workspace)
    assert any(workspace.checkpoints.glob("step-*"))  # by which the run is found again
    stop.unlink()
    shutil.rmtree(workspace.out)
    workspace.out.mkdir()
    assert predict(settings, workspace)["predictions_kept"] == 4
    resumed = read_table(workspace.out / "predictions.parquet", "predictions").to_pylist()
    whole = predictions(settings, tmp_path / "elsewhere" / "out")
    assert [row["prediction"] for row in resumed] == [row["prediction"] for row in whole]


@pytest.mark.parametrize("shard", ["", "3", "1/1", "8/8", "-1/2", "a/b", "0/0"])
def test_a_shard_is_one_of_so_many(settings, shard):
    with pytest.raises(SettingsError, match="shard is"):
        replace(settings, shard=shard)


def test_more_shards_than_sequences_are_refused(settings, tmp_path):
    with pytest.raises(DataError, match="8 sequences do not make 9 shards"):
        predictions(replace(settings, shard="0/9"), tmp_path / "out")


def test_draws_follow_from_the_seed_and_the_sequence_alone(settings, tmp_path):
    drawn = replace(settings, temperature=1.5, top_p=0.95)
    texts = {
        name: [row["prediction"] for row in predictions(some, tmp_path / name / "out")]
        for name, some in {
            "plain": settings,
            "drawn": drawn,
            "batch": replace(drawn, batch=1),
            "seed": replace(drawn, seed=7),
        }.items()
    }
    assert texts["drawn"] == texts["batch"]
    assert texts["drawn"] != texts["plain"]
    assert texts["drawn"] != texts["seed"]
    assert fingerprint(drawn, tmp_path / "said")["decoding"] == {
        "strategy": "sample",
        "max_new_tokens": 8,
        "temperature": 1.5,
        "top_p": 0.95,
        "seed": 42,
    }


@pytest.mark.parametrize("change", [{"top_p": 0.5}, {"temperature": 1.0, "top_p": 0.0}, {"temperature": -1.0}])
def test_draws_that_make_no_sense_are_refused(settings, change):
    with pytest.raises(SettingsError):
        replace(settings, **change)
