"""The model that predicts on this machine: a base, with an adapter inside or without one."""

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from cloze.digests import folder_digest
from cloze.model.adapter import adapter_base, adapter_layout, adapter_origin, load_adapter
from cloze.model.answers import Answer, AnswerStore, question_key
from cloze.model.base import SAMPLE, Base, device, load_base
from cloze.model.conversation import Example, conversation_digest
from cloze.model.features import Features, open_store
from cloze.model.finetune_settings import LAYOUTS
from cloze.model.generation import Decoding, by_length, generate
from cloze.model.predict_settings import PredictSettings

if TYPE_CHECKING:
    from cloze.data.images import ImageFolder
    from cloze.model.decoding import Row


class Local:
    """Answers with the settings' base and adapter (`cloze.model.decoding.Engine`).

    Raises:
        DataError: an adapter that was trained on another base or with another layout.
        MissingInputError: the base is not there.
    """

    def __init__(self, settings: PredictSettings, images: "ImageFolder", cache: Path) -> None:
        torch.set_num_threads(settings.threads)
        adapter = Path(settings.adapter) if settings.adapter else None
        layout, name = settings.image_layout or LAYOUTS[0], settings.base or SAMPLE
        if adapter:
            layout, name = adapter_layout(adapter, settings.image_layout), settings.base or adapter_base(adapter)
        base = load_base(name, settings.precision, layout, images.size, quantise=settings.quantise)
        self.fingerprint = predictor_settings(base, adapter, settings.decoding)
        self.machinery = {
            "device": torch.cuda.get_device_name() if device().type == "cuda" else "cpu",
            "libraries": [torch.__version__, transformers.__version__],
        }
        self._model = load_adapter(base, adapter) if adapter else base.model
        self._chat, self._blind, self._batch = base.chat, settings.blind, settings.batch
        store = open_store(base, cache, settings.features_gb, settings.adapter)
        self._features = Features(base, images, is_frozen=True, store=store)
        self._decoding = Decoding(
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=settings.seed,
            on_answers=adapter is not None and adapter_origin(adapter)["adapted"] == "answer",
        )

    def show(self, row: "Row") -> str:
        """The prompt of a sequence, token by token where it matters."""
        return self._chat.show(self._chat.encode(row, blind=self._blind))

    def answer(self, rows: "Sequence[Row]", known: AnswerStore) -> Generator[dict[str, tuple[str, Answer]], None, None]:
        """Answer batch by batch; a run that goes on after a kill makes the same batches as one that was not killed."""
        examples = [self._chat.encode(row, blind=self._blind) for row in rows]
        keys = [self._key(example) for example in examples]
        kept = {index: answer for index, key in enumerate(keys) if (answer := known.get(key))}
        if kept:
            yield {examples[index].sequence_id: (keys[index], answer) for index, answer in kept.items()}
        left = ([index for index in batch if index not in kept] for batch in by_length(examples, self._batch))
        batches = [batch for batch in left if batch]
        with closing(generate(self._model, self._chat, examples, self._features, batches, self._decoding)) as found:
            for answers in found:
                yield {examples[index].sequence_id: (keys[index], answer) for index, answer in answers.items()}

    def _key(self, example: Example) -> str:
        # A sequence's draws depend on its id.
        words = [example.sequence_id, *map(str, example.ids)]
        return question_key(" ".join(words), map(self._features.key, example.pictures))


def predictor_settings(base: Base, adapter: Path | None, decoding: dict[str, Any]) -> dict[str, Any]:
    """What decides the text that is predicted for a given sequence, and must agree where texts are compared."""
    origin = adapter_origin(adapter) if adapter else None
    return {
        "engine": "transformers",
        "base": base.name,
        "base_digest": base.digest,
        "adapter_digest": folder_digest(adapter) if adapter else None,
        "prompt_digest": conversation_digest(base.chat.layout),
        "decoding": decoding,
        "precision": base.precision,
        "quantise": base.quantise,
        "trained_in": {name: origin[name] for name in ("precision", "quantise")} if origin else None,
        "image_layout": base.chat.layout,
    }
