import json
import shutil
from dataclasses import fields, replace

import pytest

from cloze.data.panels import IngestSettings
from cloze.errors import SettingsError
from cloze.model import pretraining
from cloze.model.base import SAMPLE_FOLDER, load_base
from cloze.model.pretraining import SAMPLE_SEED, PretrainSettings, pretrain


def test_pretraining_leaves_a_base_that_loads_like_any_other(workspace, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "SAMPLE_SEED", 0)  # here it may learn from the world that other tests have drawn
    few = PretrainSettings(worlds=str(SAMPLE_SEED), sight_steps=2, caption_steps=2, context_steps=2)
    metrics = pretrain(few, replace(workspace, cache=drawn.parent))
    assert metrics["panels"] > 3000
    assert {"sight/loss_final", "captions/loss_final", "contexts/loss_final"} < set(metrics)
    base = load_base(shutil.copytree(workspace.out / "base", tmp_path / "base").as_posix())
    assert len(base.chat.tokenizer) == base.model.config.text_config.vocab_size


def test_the_words_of_the_sample_are_mostly_one_token_each():
    tokenizer = load_base("sample").chat.tokenizer
    sentence = "In the forest at night, Pip jumps high and holds the basket."
    assert len(tokenizer.tokenize(sentence)) <= len(sentence.split()) + 3


def test_the_shipped_base_is_of_the_shape_that_the_code_makes():
    from cloze.model.miniature import PATCH_SIZE, PICTURE_SIZE

    vision = json.loads((SAMPLE_FOLDER / "config.json").read_text())["vision_config"]
    assert (vision["image_size"], vision["patch_size"]) == (PICTURE_SIZE, PATCH_SIZE)


def test_the_world_that_is_judged_on_cannot_be_learned_from():
    (seed,) = (field.default for field in fields(IngestSettings) if field.name == "seed")
    assert seed == SAMPLE_SEED
    with pytest.raises(SettingsError, match="worlds is '1001,42'; it must be without 42"):
        PretrainSettings(worlds="1001,42")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("worlds", "first", "seeds separated by commas"), ("sight_steps", 0, "1 or more"), ("lr", -1.0, "more than 0")],
)
def test_settings_out_of_range_are_refused_by_name(name, value, expected):
    with pytest.raises(SettingsError, match=f"{name} is .*; it must be {expected}"):
        PretrainSettings(**{name: value})
