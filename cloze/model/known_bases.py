"""The shape of a base, from its own files or, where those are not at hand, from what is known of it.

The configuration of the large base is written down here so that its parameters, tokens and memory can be told on a
machine that has neither its weights nor a way to the hub, and so that a benchmark can run its true shapes with random
weights.
"""

import copy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import (
    AutoConfig,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
)
from transformers.initialization import no_init_weights

from cloze.errors import MissingInputError
from cloze.model.base import SAMPLE, SAMPLE_FOLDER
from cloze.model.finetune_settings import TRUE_BASE
from cloze.model.last_layer import spare_last_layer

_TILE = 384


class Shape(NamedTuple):
    """A base's configuration and where it was read."""

    config: Any
    source: str


def true_config() -> LlavaOnevisionConfig:
    """The configuration of `llava-hf/llava-onevision-qwen2-7b-ov-hf`, as far as it decides shapes: 8,029,890,080."""
    text = Qwen2Config(
        vocab_size=152_000,
        hidden_size=3584,
        intermediate_size=18_944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=False,
    )
    vision = SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=26,
        num_attention_heads=16,
        image_size=_TILE,
        patch_size=14,
        vision_use_head=False,
    )
    return LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=151_646,
        projector_hidden_act="gelu",
        multimodal_projector_bias=True,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        image_grid_pinpoints=[[_TILE * i, _TILE * j] for i in range(1, 7) for j in range(1, 7)],
        tie_word_embeddings=False,
    )


KNOWN = {TRUE_BASE: true_config}


def read_shape(name: str) -> Shape:
    """The configuration of a base: `sample`, a folder, an id on the hub, or a known one that is not at hand.

    Raises:
        MissingInputError: neither a folder nor known, and the hub does not give it.
    """
    place = SAMPLE_FOLDER if name == SAMPLE else Path(name)
    if place.is_dir():
        return Shape(AutoConfig.from_pretrained(place), "its folder")
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=name in KNOWN)
    except OSError as error:
        if name in KNOWN:
            return Shape(KNOWN[name](), "known; its files are not at hand")
        raise MissingInputError(
            f"base {name}: no such folder, and the hub does not give it ({str(error).splitlines()[0]}); "
            f"it must be `sample`, a folder, or a hub id such as {TRUE_BASE}"
        ) from error
    return Shape(config, f"the hub's revision {config._commit_hash}")


def meta_model(config: Any, dtype: torch.dtype = torch.float32) -> Any:
    """A model of this shape, frozen, with no memory behind its parameters."""
    own = copy.deepcopy(config)  # the dtype is written into it
    with torch.device("meta"), no_init_weights():
        model: Any = LlavaOnevisionForConditionalGeneration._from_config(own, dtype=dtype)
    model.tie_weights()
    return spare_last_layer(model.requires_grad_(False))
