"""Loading a base: the frozen vision-language model with its processor.

A base is `sample` (the miniature that ships with the project), a folder, or an id on the Hugging Face hub, which may
name a revision: `ID@REVISION`. An adapter remembers the revision it was trained on, whatever the hub gives later.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    LlavaOnevisionProcessor,
)

from cloze.digests import folder_digest
from cloze.errors import DataError, MissingInputError
from cloze.model.conversation import CHAT_TEMPLATE, Chat

DATA_FILES = ("../sample/weights/base",)  # steps that load a base run again where the miniature changed

SAMPLE = "sample"
REVISION = "revision "  # what the digest of a base from the hub begins with
SAMPLE_FOLDER = Path(__file__).parent.parent / "sample" / "weights" / "base"
LATEST = "main"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Base:
    """A loaded base.

    Attributes:
        name: as the user named it.
        digest: of the folder's files, or the hub's revision; two bases with one digest are the same.
    """

    name: str
    digest: str
    model: Any
    chat: Chat


class PictureProcessor(LlavaOnevisionProcessor):
    """LLaVA-OneVision's processor without the half that reads video, which needs torchvision.

    It is used where torchvision is installed, too, so that pictures become the same numbers everywhere.
    """

    # `save_pretrained` writes what the signature names.
    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        num_image_tokens: int | None = None,
        vision_feature_select_strategy: str | None = None,
        chat_template: str | None = None,
        image_token: str = "<image>",  # noqa: S107
        video_token: str = "<video>",  # noqa: S107
        vision_aspect_ratio: str = "anyres_max_9",
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            image_processor,
            tokenizer,
            None,
            num_image_tokens,
            vision_feature_select_strategy,
            chat_template,
            image_token,
            video_token,
            vision_aspect_ratio,
        )

    @classmethod
    def load(cls, place: str | Path, revision: str = LATEST) -> "PictureProcessor":
        """The processor of a folder or hub id as the hub lays it out."""
        options, _ = cls.get_processor_dict(place, revision=revision)
        return cls(
            LlavaOnevisionImageProcessorPil.from_pretrained(place, revision=revision),
            AutoTokenizer.from_pretrained(place, revision=revision),
            options["num_image_tokens"],
            options["vision_feature_select_strategy"],
            CHAT_TEMPLATE,
        )


def device() -> torch.device:
    """The accelerator where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_base(name: str, precision: str = "fp32") -> Base:
    """Load a base, frozen and in evaluation mode, on this machine's device.

    Args:
        name: `sample`, a folder, or an id on the hub with or without `@REVISION`.
        precision: `fp32` or `bf16`, of weights and arithmetic.

    Raises:
        MissingInputError: neither a folder nor something that the hub, or its local cache, gives.
        DataError: the folder lacks the model or the processor, or holds another kind of model.
    """
    place = SAMPLE_FOLDER if name == SAMPLE else Path(name)
    if place.is_dir():
        _check_folder(place)
        return Base(name, folder_digest(place), *_load(place, precision))
    identity, _, wanted = name.partition("@")
    try:
        revision = AutoConfig.from_pretrained(identity, revision=wanted or LATEST)._commit_hash
        return Base(identity, f"{REVISION}{revision}", *_load(identity, precision, revision))
    except OSError as error:
        raise MissingInputError(
            f"base {name}: no such folder, and the hub does not give it ({str(error).splitlines()[0]}); "
            "it must be `sample`, a folder, or a hub id such as llava-hf/llava-onevision-qwen2-7b-ov-hf"
        ) from error


def pixels(chat: Chat, pictures: list[Any]) -> torch.Tensor:
    """Pictures as the vision tower takes them, one tile each: (n, 3, height, width)."""
    # A list of one picture would be cut into tiles: the processor then takes it for a single high-resolution one.
    nested = [pictures if len(pictures) > 1 else pictures * 2]
    found = chat.processor.image_processor(nested, return_tensors="pt")["pixel_values"]
    return torch.as_tensor(found)[: len(pictures), 0]


def _check_folder(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    if "config.json" not in names:
        raise DataError(folder, "no config.json; a model folder was expected", "name the folder that holds the base")
    kind = json.loads((folder / "config.json").read_text()).get("model_type")
    if kind != "llava_onevision":
        raise DataError(folder / "config.json", f"model_type is {kind}; it must be llava_onevision")
    remedy = "copy it from the model that the folder was made from"
    if "processor_config.json" not in names:
        raise DataError(folder, "the base has no processor (processor_config.json)", remedy)
    if not names & {"tokenizer.json", "vocab.json"}:
        raise DataError(folder, "the base's processor has no tokenizer (tokenizer.json)", remedy)
    if not any(name.endswith(".safetensors") for name in names):
        raise DataError(folder, "the base has no weights (*.safetensors)", remedy)


def _load(place: str | Path, precision: str, revision: str = LATEST) -> tuple[Any, Chat]:
    model: Any = LlavaOnevisionForConditionalGeneration.from_pretrained(
        place, revision=revision, dtype=DTYPES[precision], use_safetensors=True
    )
    return model.to(device()).eval().requires_grad_(False), Chat(PictureProcessor.load(place, revision))
