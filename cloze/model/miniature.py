"""The shape of the sample base: LLaVA-OneVision's own classes, small, with its own vocabulary."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    Qwen2Config,
    Qwen2Tokenizer,
    SiglipVisionConfig,
)

from cloze.model.base import PictureProcessor
from cloze.model.conversation import CHAT_TEMPLATE
from cloze.model.last_layer import spare_last_layer

PICTURE_SIZE = 64
PATCH_SIZE = 16
N_PATCHES = (PICTURE_SIZE // PATCH_SIZE) ** 2
N_MERGES = 1400


def make_processor(texts: Iterable[str]) -> PictureProcessor:
    """A processor whose vocabulary is learned from texts: byte-level pairs as Qwen2 has them; it can write anything."""
    tokenizer = Qwen2Tokenizer().train_new_from_iterator(texts, 256 + N_MERGES, show_progress=False)
    tokenizer.add_special_tokens(
        {"eos_token": "<|im_end|>", "extra_special_tokens": ["<|im_start|>", "<image>", "<video>"]}
    )
    pictures = LlavaOnevisionImageProcessorPil(
        size={"height": PICTURE_SIZE, "width": PICTURE_SIZE},
        image_grid_pinpoints=[[PICTURE_SIZE * i, PICTURE_SIZE * j] for i in (1, 2) for j in (1, 2)],
    )
    return PictureProcessor(
        pictures,
        tokenizer,
        num_image_tokens=N_PATCHES,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
    )


def make_model(processor: Any, seed: int, width: int = 192, layers: int = 4) -> LlavaOnevisionForConditionalGeneration:
    """A model with random weights that fits the processor."""
    tokenizer = processor.tokenizer
    vision = SiglipVisionConfig(
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=PICTURE_SIZE,
        patch_size=PATCH_SIZE,
        vision_use_head=False,
    )
    text = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=width * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=width // 48,
        num_key_value_heads=width // 48,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_grid_pinpoints=processor.image_processor.image_grid_pinpoints,
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model: LlavaOnevisionForConditionalGeneration = spare_last_layer(LlavaOnevisionForConditionalGeneration(config))
    return model


def save_base(model: LlavaOnevisionForConditionalGeneration, processor: PictureProcessor, folder: Path) -> None:
    """Write a base as the hub lays one out: weights in 16 bits, configuration, processor."""
    model.to(torch.float16).save_pretrained(folder)  # type: ignore[arg-type]
    processor.save_pretrained(folder)
    for name in ("processor_config.json", "tokenizer_config.json"):
        path = folder / name
        path.write_text(path.read_text().replace("PictureProcessor", "LlavaOnevisionProcessor"))
