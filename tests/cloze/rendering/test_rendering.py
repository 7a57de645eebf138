"""Predictions become pictures: each from its own seed, counted where there is none, and never drawn twice."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cloze.errors import DataError, SettingsError
from cloze.rendering import diffusion
from cloze.rendering.render_settings import RenderSettings
from cloze.rendering.rendering import render
from cloze.tables import images_uri, read_table, table, write_table
from tests.cloze.model.conftest import Tables, make_tables, make_workspace

TEXTS = [
    'In the next panel, we see Mara in the cave at night. Mara says, "HELP!"',
    "On the city street at sunset, Gus runs fast and holds the pan.",
    "",
    '"NEVER!"',
    "In the forest by day, Nell climbs up. " * 500,
]


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Tables:
    return make_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture
def predictions(tables, tmp_path) -> str:
    rows = [
        {
            "sequence_id": row["sequence_id"],
            "prediction": text,
            "finish_reason": "stop",
            "prompt_tokens": 1,
            "output_tokens": 1,
            "seconds": 0.1,
        }
        for row, text in zip(tables.rows, TEXTS, strict=False)
    ]
    path = tmp_path / "predictions.parquet"
    write_table(table("predictions", rows), path)
    return str(path)


@pytest.fixture
def settings(tables, predictions, sd_folder):
    def settings(**more: Any) -> RenderSettings:
        usual: dict[str, Any] = {"base_sd": str(sd_folder), "steps": 2, "batch": 2, "lettering": False}
        return RenderSettings(sequences=tables.sequences, predictions=predictions, **(usual | more))

    return settings


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_can_be_seen_is_drawn_and_the_rest_is_counted(settings, tables, tmp_path):
    space = make_workspace(tmp_path / "out")
    metrics = render(settings(), space)
    made = read_table(space.out / "renders.parquet", "renders")
    rows = made.to_pylist()
    assert images_uri(made) == str(tables.pictures)
    assert [row["sequence_id"] for row in rows] == [tables.rows[i]["sequence_id"] for i in (0, 1, 4)]
    assert (metrics["renders"], metrics["predictions_unseen"], metrics["pictures_ok"]) == (3, 2, 3)
    assert metrics["prompts_cut"] == 1
    assert metrics["tokens_cut"] > 4000
    for row in rows:
        assert Image.open(space.out / row["image"]).size == (64, 64)
        assert "says" not in row["prompt"]
        assert "next panel" not in row["prompt"]
    assert len({row["seed"] for row in rows}) == 3
    prompts = json.loads((space.out / "prompts.json").read_text())
    assert prompts[rows[0]["sequence_id"]]["speech"][0]["text"] == "HELP!"


def test_the_same_settings_give_the_same_bytes_and_what_was_drawn_is_not_drawn_again(settings, tmp_path, monkeypatch):
    first, second = make_workspace(tmp_path / "one" / "out"), make_workspace(tmp_path / "two" / "out")
    render(settings(), first)
    render(settings(), second)
    assert files(second.out) == files(first.out)

    def never(*given):
        raise AssertionError("drawn again")

    monkeypatch.setattr(diffusion, "draw", never)
    again = make_workspace(tmp_path / "one" / "again")
    assert again.cache == first.cache
    render(settings(), again)
    assert files(again.out) == files(first.out)


def test_what_was_drawn_before_it_was_killed_is_kept(settings, tmp_path, monkeypatch):
    whole, space = make_workspace(tmp_path / "one" / "out"), make_workspace(tmp_path / "two" / "out")
    render(settings(), whole)
    batches = []
    real = diffusion.draw

    def dying(*given):
        batches.append(given[1])
        if len(batches) == 2:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(diffusion, "draw", dying)
    with pytest.raises(KeyboardInterrupt):
        render(settings(), space)
    assert len(list((space.cache / "renders").glob("*/*.png"))) == 2
    render(settings(), space)
    assert [len(batch) for batch in batches] == [2, 1, 1]
    assert files(space.out) == files(whole.out)


def test_another_seed_draws_other_pictures(settings, tmp_path):
    first, second = make_workspace(tmp_path / "first"), make_workspace(tmp_path / "second")
    render(settings(), first)
    render(settings(seed=1), second)
    a, b = (min((space.out / "panels").rglob("*.png")) for space in (first, second))
    assert a.name == b.name
    assert not np.array_equal(np.asarray(Image.open(a)), np.asarray(Image.open(b)))


def test_predictions_of_other_sequences_are_refused(settings, tmp_path):
    stranger = tmp_path / "stranger.parquet"
    rows = [{"sequence_id": "9/9_9", "prediction": "x", "finish_reason": "stop", "prompt_tokens": 1, "output_tokens": 1,
             "seconds": 0.1}]  # fmt: skip
    write_table(table("predictions", rows), stranger)
    given = {**vars(settings()), "predictions": str(stranger)}
    with pytest.raises(DataError, match="9/9_9 is not a sequence"):
        render(RenderSettings(**given), make_workspace(tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "value"), [("size", 100), ("guidance", 0.5), ("strength", 1.5), ("steps", 0), ("memory", "less")]
)
def test_settings_that_cannot_be_are_refused(name, value):
    with pytest.raises(SettingsError, match=name):
        RenderSettings(**{name: value})


def test_a_large_base_on_a_processor_says_how_long_it_will_take_before_it_begins(
    settings, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(diffusion.Painter, "is_slow", True)
    with caplog.at_level("INFO"):
        render(settings(), make_workspace(tmp_path / "out"))
    assert re.search(r"3 pictures, \d+ s each on this processor: about \d+\.\d h", caplog.text)
