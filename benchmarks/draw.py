"""Claim: the sample's miniature draws a panel in 0.3 s of one core; a base of Stable Diffusion 1.5's shapes in minutes.

    python -m benchmarks.draw
    python -m benchmarks.draw --large --batch 1 --steps 1,3 --rounds 1      # on a processor: a few steps tell of all
    python -m benchmarks.draw --large --device cuda --precision fp16

Wall time with guidance, that is two passes a step. The large base has random weights, which take as long as others.
"""

import argparse
import time
from statistics import median

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from cloze.rendering.diffusion import DTYPES, SAMPLE, How, Painter, draw, load_painter
from cloze.rendering.miniature import make_tokenizer

PROMPT = "In the forest at night, Nell reads closely"


def large(device: str, precision: str) -> Painter:
    """Stable Diffusion 1.5's shapes: 320 to 1,280 channels, tokens of 768 numbers, pictures of 512 pixels."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer([PROMPT])
    tokenizer.model_max_length = 77
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
            max_position_embeddings=77,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DPMSolverMultistepScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(device, DTYPES[precision])
    pipeline.set_progress_bar_config(disable=True)
    if device == "cpu":
        unet.to(memory_format=torch.channels_last)
    return Painter(pipeline, "large", "", 512)


def seconds(painter: Painter, steps: int, batch: int, size: int) -> float:
    """Wall time of a batch."""
    began = time.perf_counter()
    draw(painter, [PROMPT] * batch, range(batch), How(steps, 7.5, "", size))
    if painter.pipeline.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", choices=sorted(DTYPES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", default="12,20")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.large:
        painter = large(given.device, given.precision)
    else:
        painter = load_painter(SAMPLE, lora=None, precision="fp32", memory="none", device=given.device)
    parts = (painter.pipeline.unet, painter.pipeline.vae, painter.pipeline.text_encoder)
    millions = sum(weight.numel() for part in parts for weight in part.parameters()) / 1e6
    print(
        f"{millions:.0f} million parameters, {painter.size} px, {given.batch} at once, {given.device} {given.precision}"
    )
    seconds(painter, 1, given.batch, painter.size)
    found: dict[int, list[float]] = {int(steps): [] for steps in given.steps.split(",")}
    for _ in range(given.rounds):
        for steps, times in found.items():
            times.append(seconds(painter, steps, given.batch, painter.size) / given.batch)
    for steps, times in found.items():
        print(f"{steps} steps: {median(times):.2f} s a picture ({min(times):.2f} to {max(times):.2f})")


if __name__ == "__main__":
    main()
