"""Loading a base: the frozen vision-language model with its processor.

A base is `sample` (the miniature that ships with the project), a folder, or an id on the Hugging Face hub, which may
name a revision: `ID@REVISION`. An adapter remembers the revision it was trained on, whatever the hub gives later.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BitsAndBytesConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    LlavaOnevisionProcessor,
)

from cloze.digests import folder_digest
from cloze.errors import DataError, MissingInputError
from cloze.hub import is_offline
from cloze.model.conversation import CHAT_TEMPLATE, Chat, SizeOf
from cloze.model.last_layer import spare_last_layer
from cloze.model.optimizers import require_4bit

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
        precision, quantise: how its numbers are kept.
    """

    name: str
    digest: str
    model: Any
    chat: Chat
    precision: str = "fp32"
    quantise: str = "none"


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
        where = _where(place, revision)
        options, _ = cls.get_processor_dict(place, **where)
        return cls(
            LlavaOnevisionImageProcessorPil.from_pretrained(place, **where),
            AutoTokenizer.from_pretrained(place, **where),
            options["num_image_tokens"],
            options["vision_feature_select_strategy"],
            CHAT_TEMPLATE,
            vision_aspect_ratio=options.get("vision_aspect_ratio", "anyres_max_9"),
        )


def _where(place: str | Path, revision: str) -> dict[str, Any]:
    """What `from_pretrained` is told of a folder, or of an id on a hub that may or may not answer."""
    return {"revision": revision, "local_files_only": Path(place).is_dir() or is_offline()}


def device() -> torch.device:
    """The accelerator where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_base(
    name: str,
    precision: str = "fp32",
    layout: str = "multi",
    size_of: SizeOf | None = None,
    *,
    quantise: str = "none",
) -> Base:
    """Load a base, frozen and in evaluation mode, on this machine's device.

    Args:
        name: `sample`, a folder, or an id on the hub with or without `@REVISION`.
        precision: `fp32` or `bf16`, of weights and arithmetic.
        layout: `multi` or `anyres`, how pictures become tiles.
        size_of: height and width of the picture of a name; `anyres` needs it.
        quantise: `nf4` keeps the language model's layers in 4 bits.

    Raises:
        SettingsError: this machine cannot do 4 bits.
        MissingInputError: neither a folder nor something that the hub, or its local cache, gives.
        DataError: the folder lacks the model or the processor, or holds another kind of model.
    """
    with _found(name) as (place, revision):
        if place.is_dir():
            identity, digest = name, folder_digest(place)
        else:
            config = AutoConfig.from_pretrained(str(place), **_where(place, revision))
            revision = config._commit_hash or revision
            identity, digest = str(place), f"{REVISION}{revision}"
        chat = Chat(PictureProcessor.load(str(place), revision), layout, size_of)
        return Base(identity, digest, _load(place, revision, precision, quantise), chat, precision, quantise)


def load_chat(name: str, layout: str = "multi", size_of: SizeOf | None = None) -> Chat:
    """The part of a base that makes tokens, without its weights; arguments and errors are those of `load_base`."""
    with _found(name) as (place, revision):
        return Chat(PictureProcessor.load(str(place), revision), layout, size_of)


@contextmanager
def _found(name: str) -> Iterator[tuple[Path, str]]:
    """A base's folder or id on the hub, and the revision; what the hub does not give is the user's error."""
    place, revision = SAMPLE_FOLDER if name == SAMPLE else Path(name), LATEST
    if place.is_dir():
        _check_folder(place)
    else:
        identity, _, wanted = name.partition("@")
        place, revision = Path(identity), wanted or LATEST
    try:
        yield place, revision
    except OSError as error:
        raise MissingInputError(
            f"base {name}: no such folder, and the hub does not give it ({str(error).splitlines()[0]}); "
            "it must be `sample`, a folder, or a hub id such as llava-hf/llava-onevision-qwen2-7b-ov-hf"
        ) from error


def pixels(chat: Chat, pictures: list[Any]) -> list[torch.Tensor]:
    """Pictures as the vision tower takes them: (tiles, 3, height, width) of each."""
    process = chat.processor.image_processor
    if chat.layout == "anyres":  # one by one, or all would be padded to the tiles of the largest
        return [torch.as_tensor(process([picture], return_tensors="pt")["pixel_values"])[0] for picture in pictures]
    # A list of one picture would be cut into tiles: the processor then takes it for a single high-resolution one.
    nested = [pictures if len(pictures) > 1 else pictures * 2]
    return list(torch.as_tensor(process(nested, return_tensors="pt")["pixel_values"])[: len(pictures)])


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


def _load(place: Path, revision: str, precision: str, quantise: str) -> Any:
    model: Any = LlavaOnevisionForConditionalGeneration.from_pretrained(
        str(place),
        **_where(place, revision),
        dtype=DTYPES[precision],
        use_safetensors=True,
        quantization_config=_in_4bits(precision) if quantise == "nf4" else None,
        attn_implementation="sdpa",
    )
    return spare_last_layer(model.to(device()).eval().requires_grad_(False))


def _in_4bits(precision: str) -> BitsAndBytesConfig:
    """Only the language model's layers; a part that is left out must be named in full."""
    require_4bit(device())
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=DTYPES[precision],
        llm_int8_skip_modules=["model.vision_tower", "model.multi_modal_projector", "lm_head"],
    )
