"""What benchmarks share: models of true classes with random weights, in two sizes, pictures for them, and a clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    Qwen2Config,
    SiglipVisionConfig,
)

from cloze.model.base import Base, PictureProcessor
from cloze.model.conversation import CHAT_TEMPLATE, Chat
from cloze.model.known_bases import true_config
from cloze.model.last_layer import spare_last_layer
from cloze.model.miniature import make_processor


@dataclass(frozen=True)
class Size:
    """A model and the length of its examples.

    Attributes:
        side: of pictures, in pixels.
        n_words, n_answer: tokens of an example besides its pictures, and how many of them carry loss.
    """

    config: Callable[[int, int], LlavaOnevisionConfig]
    side: int
    n_words: int
    n_answer: int


def small_config(image_id: int, video_id: int) -> LlavaOnevisionConfig:
    """27 million parameters, large enough for its arithmetic to matter on a CPU."""
    return LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=192,
            intermediate_size=768,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=168,
            patch_size=14,
            vision_use_head=False,
        ),
        text_config=Qwen2Config(
            hidden_size=512,
            intermediate_size=1408,
            num_hidden_layers=8,
            num_attention_heads=8,
            num_key_value_heads=2,
            vocab_size=32_000,
            max_position_embeddings=4096,
        ),
        image_token_index=image_id,
        video_token_index=video_id,
        image_grid_pinpoints=[[168, 168]],
        vision_feature_select_strategy="full",
    )


def large_config(image_id: int, video_id: int) -> LlavaOnevisionConfig:
    """The true base's, with this processor's tokens for pictures."""
    config = true_config()
    config.image_token_index, config.video_token_index = image_id, video_id
    return config


SIZES = {"27m": Size(small_config, 168, 117, 21), "7b": Size(large_config, 384, 520, 150)}


def make_base(size: Size, device: str, dtype: torch.dtype) -> Base:
    """A frozen base with the same random weights every time."""
    torch.manual_seed(0)
    processor = make_processor(["the quick brown fox"] * 8)
    config = size.config(processor.image_token_id, processor.video_token_id)
    vision: Any = config.vision_config
    pinpoints: Any = config.image_grid_pinpoints
    pictures = LlavaOnevisionImageProcessorPil(
        size={"height": size.side, "width": size.side}, image_grid_pinpoints=pinpoints
    )
    n_patches = (vision.image_size // vision.patch_size) ** 2
    chat = Chat(PictureProcessor(pictures, processor.tokenizer, n_patches, "full", CHAT_TEMPLATE))
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model: Any = LlavaOnevisionForConditionalGeneration(config)
    torch.set_default_dtype(before)
    return Base("benchmark", "benchmark", spare_last_layer(model.eval().requires_grad_(False)), chat)


def make_pictures(folder: Path, n: int, side: int, random: np.random.Generator) -> list[str]:
    """Pictures of noise, and their names in the folder."""
    names = [f"{number}.png" for number in range(n)]
    for name in names:
        Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)).save(folder / name)
    return names


def now() -> float:
    """Seconds: of a device its time, of a processor what this process had of it, for others may use it, too."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
