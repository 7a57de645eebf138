"""A Stable Diffusion small enough to be made and used on a laptop: diffusers' own classes, a few million parameters."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from cloze.rendering.patch_vae import PatchVAE

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 64  # pixels
WINDOW = 32  # tokens
_HIDDEN = 64
_PATCH, _CHANNELS = 4, 16
_START, _END, _PAD = "<|startoftext|>", "<|endoftext|>", "<|pad|>"


def make_tokenizer(captions: Sequence[str]) -> CLIPTokenizer:
    """A tokenizer whose merges were learnt from these captions; any text can be written in it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [_START, _END, _PAD]
    trainer = trainers.BpeTrainer(
        vocab_size=1200, special_tokens=special, initial_alphabet=alphabet, end_of_word_suffix="</w>"
    )
    learner.train_from_iterator(captions, trainer)
    model = json.loads(learner.to_str())["model"]
    vocabulary = dict(model["vocab"])
    for letter in sorted(alphabet):  # at the end of a word, too, whatever the captions had there
        vocabulary.setdefault(f"{letter}</w>", len(vocabulary))
    merges = [tuple(merge.split()) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,  # type: ignore[arg-type]  # pairs are taken, too
        model_max_length=WINDOW,
        bos_token=_START,
        eos_token=_END,
        unk_token=_END,
        pad_token=_PAD,
    )


def make_pipeline(tokenizer: CLIPTokenizer, pictures: "Tensor", seed: int) -> StableDiffusionPipeline:
    """A pipeline with random weights, but for its autoencoder, which is fitted to pictures (n, 3, SIZE, SIZE)."""
    torch.manual_seed(seed)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=_HIDDEN,
            intermediate_size=4 * _HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=WINDOW,
            projection_dim=_HIDDEN,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=SIZE // _PATCH,
        in_channels=_CHANNELS,
        out_channels=_CHANNELS,
        block_out_channels=(48, 64, 96),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=_HIDDEN,
        addition_embed_type="text",  # the whole prompt goes with the level of noise: it teaches sooner who is there
        addition_embed_type_num_heads=4,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    vae = PatchVAE(patch=_PATCH, latent_channels=_CHANNELS)
    vae.fit(pictures)
    scheduler = DPMSolverMultistepScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="sample", algorithm_type="dpmsolver++", steps_offset=1
    )
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet.to(memory_format=torch.channels_last),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save_pipeline(pipeline: Any, folder: Path) -> None:
    """Write a pipeline as safetensors in half precision: half the bytes, and at most one step of 255 in a picture."""
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.vae):
        part.half()
    pipeline.save_pretrained(folder, safe_serialization=True)
