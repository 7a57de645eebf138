import json
import shutil
import time

import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from cloze import hub
from cloze.digests import folder_digest
from cloze.errors import DataError, MissingInputError
from cloze.model.base import SAMPLE_FOLDER, load_base, load_chat, pixels
from cloze.model.conversation import Chat
from cloze.model.miniature import PICTURE_SIZE


def test_the_sample_base_ships_with_the_project_and_has_the_real_classes():
    base = load_base("sample")
    assert type(base.model).__name__ == "LlavaOnevisionForConditionalGeneration"
    assert json.loads((SAMPLE_FOLDER / "processor_config.json").read_text())["processor_class"] == (
        "LlavaOnevisionProcessor"
    )
    assert sum(path.stat().st_size for path in SAMPLE_FOLDER.iterdir()) < 8e6
    assert base.digest == folder_digest(SAMPLE_FOLDER)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_base_is_loaded_frozen_in_the_precision_asked_for(base_folder, precision, dtype):
    base = load_base(str(base_folder), precision)
    assert {parameter.dtype for parameter in base.model.parameters()} == {dtype}
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert not base.model.training


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "no config.json; a model folder was expected"),
        ("processor_config.json", r"the base has no processor \(processor_config.json\); copy it from the model"),
        ("tokenizer.json", "processor has no tokenizer"),
        ("model.safetensors", "has no weights"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused_by_name(base_folder, tmp_path, name, message):
    folder = tmp_path / "base"
    shutil.copytree(base_folder, folder)
    (folder / name).unlink()
    with pytest.raises(DataError, match=message):
        load_base(str(folder))


def test_a_model_of_another_kind_is_refused(base_folder, tmp_path):
    folder = tmp_path / "base"
    shutil.copytree(base_folder, folder)
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "llava"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="model_type is llava; it must be llava_onevision"):
        load_base(str(folder))


def test_a_base_that_is_nowhere_is_refused_with_what_it_could_be():
    with pytest.raises(MissingInputError, match=r"base nobody/nothing: no such folder.*it must be `sample`, a folder"):
        load_base("nobody/nothing")


def test_the_pixels_of_a_picture_do_not_depend_on_its_company(base):
    pictures = [Image.effect_noise((70, 50 + n), 40).convert("RGB") for n in range(3)]
    together = pixels(base.chat, pictures)
    assert [tiles.shape for tiles in together] == [(1, 3, PICTURE_SIZE, PICTURE_SIZE)] * 3
    assert torch.equal(pixels(base.chat, pictures[1:2])[0], together[1])


def test_a_picture_cut_by_its_size_is_as_many_tiles_as_fit_it_best_and_the_whole(base):
    chat = Chat(base.chat.processor, "anyres", lambda name: (1, 1))
    pictures = [Image.effect_noise(size, 40).convert("RGB") for size in ((60, 60), (120, 60), (120, 120))]
    assert [len(tiles) for tiles in pixels(chat, pictures)] == [2, 3, 5]


@pytest.fixture
def no_hub(monkeypatch):
    """A hub at an address where nobody listens, and a user who did not say so."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    hub.is_offline.cache_clear()
    yield
    hub.is_offline.cache_clear()


def test_where_the_hub_does_not_answer_nobody_waits_for_its_client_to_give_up(no_hub):
    started = time.monotonic()
    with pytest.raises(MissingInputError, match="the hub does not give it"):
        load_chat("nobody/no-base")
    assert time.monotonic() - started < 20


def test_a_folder_is_loaded_without_asking_the_hub(base_folder, no_hub, monkeypatch):
    monkeypatch.setattr(hub, "urlopen", lambda *_, **__: pytest.fail("the hub was asked"))
    load_base(str(base_folder))
