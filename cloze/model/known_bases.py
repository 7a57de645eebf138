"""The true base's configuration, known without the hub: a run can be planned before its 16 GB are here.

As published in its `config.json`; a base that is at hand is described by its own.
"""

from transformers import LlavaOnevisionConfig, Qwen2Config, SiglipVisionConfig

from cloze.model.finetune_settings import TRUE_BASE

_SIDE = 384  # pixels of a tile
_UP_TO = 6  # tiles a side


def known_config(name: str) -> LlavaOnevisionConfig | None:
    """The configuration of a base on the hub; None if it is not known."""
    return _seven_billion() if name == TRUE_BASE else None


def _seven_billion() -> LlavaOnevisionConfig:
    sides = [_SIDE * times for times in range(1, _UP_TO + 1)]
    return LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=1152,
            intermediate_size=4304,
            num_hidden_layers=26,
            num_attention_heads=16,
            image_size=_SIDE,
            patch_size=14,
            vision_use_head=False,
        ),
        text_config=Qwen2Config(
            hidden_size=3584,
            intermediate_size=18944,
            num_hidden_layers=28,
            num_attention_heads=28,
            num_key_value_heads=4,
            vocab_size=152000,
            max_position_embeddings=32768,
            rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        ),
        image_token_index=151646,
        video_token_index=151647,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        projector_hidden_act="gelu",
        multimodal_projector_bias=True,
        image_grid_pinpoints=[[height, width] for height in sides for width in sides],
        tie_word_embeddings=False,
    )
