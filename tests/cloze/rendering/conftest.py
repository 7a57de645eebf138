"""A Stable Diffusion with random weights: diffusers' own classes, made in a second."""

from pathlib import Path

import pytest
import torch

from cloze.rendering.diffusion import Painter, load_painter
from cloze.rendering.miniature import SIZE, make_pipeline, make_tokenizer, save_pipeline
from cloze.rendering.scenes import picture, random_scene, seen


@pytest.fixture(scope="session")
def drawn() -> torch.Tensor:
    """Drawn scenes (n, 3, SIZE, SIZE) as numbers in [-1, 1]."""
    scenes = [torch.from_numpy(picture(random_scene(f"fit {i}"), SIZE)) for i in range(60)]
    return torch.stack(scenes).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture(scope="session")
def sd_folder(drawn: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sd") / "base"
    tokenizer = make_tokenizer([seen(random_scene(f"caption {i}")) for i in range(200)])
    save_pipeline(make_pipeline(tokenizer, drawn, seed=0), folder)
    return folder


@pytest.fixture(scope="session")
def painter(sd_folder: Path) -> Painter:
    return load_painter(str(sd_folder), lora=None, precision="fp32", memory="none", device="cpu")
