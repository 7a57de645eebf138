"""A sequence as a chat: what the model reads, token by token, and which of the tokens carry loss.

Training and prediction both come through `Chat.encode`. The tokens of a prompt are the same in both, because the
template writes the assistant's turn exactly as the generation prompt opens it, and because every boundary lies at a
special token or a newline, across which byte-pair merges do not reach. `<|im_end|>` closes the answer and carries
loss, so that the model learns to stop. (The template on the hub breaks both: docs/model.md.)

In the layout `multi` the five pictures belong to one nested list (`[[p1, ..., p5]]`), so that each costs one tile and
is never cut into many. In `anyres` each is cut into tiles by its size, as the processor does with a flat list.
"""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from cloze.errors import DataError
from cloze.labels.prompts import Part, Picture, model_prompt, one_line, prompt_digest

BLANK_SIZE = (64, 64)  # of the picture shown where pictures are hidden: not even a panel's shape is told
END = "<|im_end|>"
OPENING = "<|im_start|>assistant\n"  # of the turn that answers
CHAT_TEMPLATE = """\
{%- for message in messages -%}
    {{- '<|im_start|>' + message['role'] + '\\n' -}}
    {%- if message['role'] == 'assistant' -%}
        {%- generation -%}{{- message['content'][0]['text'] + '<|im_end|>' -}}{%- endgeneration -%}
    {%- else -%}
        {%- for part in message['content'] -%}
            {{- '<image>' if part['type'] == 'image' else part['text'] -}}
        {%- endfor -%}
        {{- '<|im_end|>' -}}
    {%- endif -%}
    {{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""

Message = dict[str, Any]
Sequence_ = Mapping[str, Any]
SizeOf = Callable[[str], tuple[int, int]]


@dataclass(frozen=True)
class Example:
    """One sequence as the model reads it.

    Attributes:
        sequence_id: the sequence it was made from.
        ids: token ids; each picture stands as many times as it has features.
        supervised: same length; True where the token is the answer's and carries loss.
        pictures: names of the pictures below the image root in the order of their places; None is a blank one.
    """

    sequence_id: str
    ids: tuple[int, ...]
    supervised: tuple[bool, ...]
    pictures: tuple[str | None, ...]


class Chat:
    """Turns sequences and messages into tokens with one base's processor.

    Args:
        processor: a LlavaOnevisionProcessor; its chat template is not used, ours is.
        layout: `multi` or `anyres`.
        size_of: height and width in pixels of the picture of a name; `multi` never asks.

    Attributes:
        tokens_per_picture: of a picture of one tile, as all are in `multi`.
        opening: tokens that open the assistant's turn.
    """

    def __init__(self, processor: Any, layout: str = "multi", size_of: SizeOf | None = None) -> None:
        if layout == "anyres" and size_of is None:
            raise ValueError("anyres has to know the sizes of pictures")
        self.processor = processor
        self.layout = layout
        self._size_of = size_of
        self._n_tokens: dict[str | None, int] = {}
        self.tokenizer = processor.tokenizer
        self.image_id: int = processor.image_token_id
        self.end_id: int = self.tokenizer.convert_tokens_to_ids(END)
        self.pad_id: int = self.tokenizer.pad_token_id
        self.opening: tuple[int, ...] = tuple(self.tokenizer(OPENING, add_special_tokens=False)["input_ids"])
        drops_first = processor.vision_feature_select_strategy == "default"
        # One tile per picture and one newline; the strategy `default` leaves out a class token.
        self.tokens_per_picture: int = processor.num_image_tokens + 1 - drops_first

    def encode(self, sequence: Sequence_, answer: str | None = None, blind: str = "none") -> Example:
        """A sequence as tokens: with an answer for training, without one for prediction.

        Args:
            sequence: a row of the sequences table.
            answer: a label's text; None gives the prompt up to where the answer begins.
            blind: what is hidden from the model (one of `cloze.model.predict_settings.BLIND`).

        Raises:
            DataError: a panel of the context has no picture.
        """
        panels = shown_panels(sequence, blind)
        pictures = tuple(panel["image"] for panel in panels)
        conversation = to_messages(model_prompt([panel["text"] for panel in panels]), answer)
        ids, supervised = self.tokens(conversation, pictures, open_turn=answer is None)
        return Example(sequence["sequence_id"], ids, supervised, pictures)

    def n_tokens(self, picture: str | None) -> int:
        """Tokens that a picture takes, its newlines among them; None is a blank one.

        Raises:
            DataError: there is no such picture (`anyres` reads its header, once).
        """
        if self._size_of is None or self.layout == "multi":
            return self.tokens_per_picture
        if picture not in self._n_tokens:
            size = BLANK_SIZE if picture is None else self._size_of(picture)
            (self._n_tokens[picture],) = self.processor._get_num_multimodal_tokens([size])["num_image_tokens"]
        return self._n_tokens[picture]

    def tokens(
        self, conversation: Sequence[Message], pictures: Sequence[str | None], open_turn: bool = False
    ) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """Token ids of a conversation and which of them carry loss.

        Args:
            pictures: names of the conversation's pictures, in order.
            open_turn: the assistant begins to speak.
        """
        encoded = self.tokenizer.apply_chat_template(
            conversation,
            chat_template=CHAT_TEMPLATE,
            add_generation_prompt=open_turn,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        ids: list[int] = []
        supervised: list[bool] = []
        names = iter(pictures)
        for token, is_answer in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True):
            times = self.n_tokens(next(names)) if token == self.image_id else 1
            ids += [token] * times
            supervised += [bool(is_answer)] * times
        return tuple(ids), tuple(supervised)

    def answer_ids(self, answer: str) -> tuple[int, ...]:
        """The tokens that carry loss for this answer: its own and the end of the turn."""
        return (*self.tokenizer(one_line(answer), add_special_tokens=False)["input_ids"], self.end_id)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated tokens, without special ones."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def show(self, example: Example) -> str:
        """The example as text to read: a picture once with its tokens counted, the tokens that carry loss in ⟦ ⟧."""
        shown, position = "", 0
        names = iter(example.pictures)
        while position < len(example.ids):
            end = position + 1
            kind = self._kind(example, position)
            while end < len(example.ids) and self._kind(example, end) == kind:
                end += 1
            run = list(example.ids[position:end])
            if kind == "picture":
                while run:  # pictures without words between them are one run
                    n_tokens = self.n_tokens(next(names))
                    shown += f"<image × {n_tokens}>"
                    run = run[n_tokens:]
            else:
                text = self.tokenizer.decode(run)
                shown += f"⟦{text}⟧" if kind == "answer" else text
            position = end
        return shown

    def _kind(self, example: Example, position: int) -> str:
        if example.ids[position] == self.image_id:
            return "picture"
        return "answer" if example.supervised[position] else "prompt"


def blank_picture() -> Image.Image:
    """What is shown where a picture is hidden: grey."""
    return Image.new("RGB", BLANK_SIZE[::-1], (127, 127, 127))


def conversation_digest(layout: str) -> str:
    """Twelve hex digits that change whenever the words or the form that the model is given do."""
    return hashlib.sha256(f"{prompt_digest('pred')}{CHAT_TEMPLATE}{layout}".encode()).hexdigest()[:12]


def to_messages(prompt: Sequence[Part], answer: str | None) -> list[Message]:
    """A prompt and, in training, its answer as the messages that chat templates take."""
    user = [{"type": "image"} if isinstance(part, Picture) else _words(part.text) for part in prompt]
    asked: list[Message] = [{"role": "user", "content": user}]
    return asked if answer is None else [*asked, {"role": "assistant", "content": [_words(one_line(answer))]}]


def shown_panels(sequence: Sequence_, blind: str = "none") -> list[dict[str, Any]]:
    """The context panels as the model gets to see them: `image` (None is a blank picture) and `text`.

    Raises:
        DataError: a panel has no picture, and pictures are not hidden.
    """
    panels = [{"image": panel["image"], "text": panel["text"]} for panel in sequence["context"]]
    if blind == "images":
        return [panel | {"image": None} for panel in panels]
    for panel in sequence["context"]:
        if panel["image"] is None:
            where = f"sequence {sequence['sequence_id']}"
            raise DataError(
                where, f"panel {panel['panel_id']} has no picture", "make sequences of panels that have one"
            )
    if blind == "text":
        return [panel | {"text": ""} for panel in panels]
    return _out_of_order(panels, sequence["sequence_id"]) if blind == "order" else panels


def _out_of_order(panels: list[dict[str, Any]], sequence_id: str) -> list[dict[str, Any]]:
    """The panels in another order, the same one for the same sequence wherever it is asked for."""
    generator = random.Random(hashlib.sha256(sequence_id.encode()).digest())  # noqa: S311
    order = list(range(len(panels)))
    generator.shuffle(order)
    return [panels[index] for index in (order if order != sorted(order) else order[::-1])]


def _words(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
