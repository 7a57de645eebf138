import pytest

from cloze.errors import MissingInputError
from cloze.model.finetune_settings import TRUE_BASE
from cloze.model.known_bases import meta_model, read_shape, true_config


def test_the_large_base_is_known_without_its_files():
    shape = read_shape(TRUE_BASE)
    assert shape.config.text_config.num_hidden_layers == 28
    assert shape.config.image_token_index == 151_646
    assert len(shape.config.image_grid_pinpoints) == 36


def test_a_folder_says_its_own_shape(base, base_folder):
    shape = read_shape(str(base_folder))
    assert shape.source == "its folder"
    sizes = {name: parameter.shape for name, parameter in base.model.named_parameters()}
    assert {name: p.shape for name, p in meta_model(shape.config).named_parameters()} == sizes


def test_an_unknown_base_is_an_error_that_says_what_would_do():
    with pytest.raises(
        MissingInputError, match=r"base nobody/nothing: no such folder, .*; it must be `sample`, a fold"
    ):
        read_shape("nobody/nothing")


def test_a_model_on_the_meta_device_has_no_memory_and_nothing_to_train():
    model = meta_model(true_config())
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert not any(parameter.requires_grad for parameter in model.parameters())
