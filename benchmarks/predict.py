"""Claim: the same texts in less time than answering one example at a time takes, as the original study did.

    python -m benchmarks.predict                             # 27 million parameters on the CPU, one thread
    python -m benchmarks.predict --device cuda --size 7b     # the true shapes with random weights

Two conditions, without and with LoRA weights, answer the same sequences, which share panels as neighbours do.
`original` opens five pictures for each, processes them and calls the model's own `generate`, for each condition anew.
`ours` is what `predict` does, with picture features kept from one condition to the next. `ours_alone` is the same in
batches of one: what it lacks against `ours` is batching. Greedy; texts must be identical. Contestants run in turn in
every round; time on a processor is the process's own.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image

from benchmarks.common import SIZES, Size, make_base, make_pictures, now, wait
from cloze.data.images import open_images
from cloze.model.adapter import target_pattern
from cloze.model.answers import Answer
from cloze.model.conversation import Example
from cloze.model.features import Features, open_store
from cloze.model.generation import Decoding, by_length, generate

N_PANELS = 5
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
Texts = list[str]


class Contest:
    """A model, sequences, and the two ways to have it answer them."""

    def __init__(self, size: Size, device: str, dtype: torch.dtype, n: int, n_tokens: int, batch: int) -> None:
        self._base = make_base(size, device, dtype)
        lora = LoraConfig(r=16, target_modules=target_pattern(TARGETS, vision=False), init_lora_weights=False)
        adapted = get_peft_model(deepcopy(self._base.model), lora).eval()
        merged = deepcopy(adapted).merge_and_unload() if dtype == torch.float32 else adapted.get_base_model()
        self._models = {
            "original": (self._base.model, adapted.get_base_model()),
            "ours": (self._base.model, merged),  # as `load_adapter` does
        }
        self._decoding, self._batch = Decoding(n_tokens), batch
        self._place = tempfile.TemporaryDirectory()
        self._folder = Path(self._place.name)
        random = np.random.default_rng(0)
        names = make_pictures(self._folder, n + N_PANELS - 1, size.side, random)
        self._examples = [self._example(names[i : i + N_PANELS], size.n_words, random) for i in range(n)]

    def _example(self, names: Sequence[str], n_words: int, random: np.random.Generator) -> Example:
        """A prompt of the size's length, give or take a quarter."""
        chat = self._base.chat
        words = random.integers(0, 256, int(n_words * random.uniform(0.75, 1.25))).tolist()
        picture = [chat.image_id] * chat.tokens_per_picture
        ids = (*words[:8], *(token for _ in names for token in picture), *words[8:], *chat.opening)
        return Example(names[0], ids, (False,) * len(ids), tuple(names))

    def original(self) -> Texts:
        return [self._one(model, example) for model in self._models["original"] for example in self._examples]

    def ours(self) -> Texts:
        return self._ours(self._batch)

    def ours_alone(self) -> Texts:
        return self._ours(1)

    def _ours(self, batch: int) -> Texts:
        texts: Texts = []
        images, batches = open_images(str(self._folder), self._folder), by_length(self._examples, batch)
        with tempfile.TemporaryDirectory(dir=self._folder) as cache:
            for model in self._models["ours"]:
                store = open_store(self._base, Path(cache), gigabytes=10)
                features = Features(self._base, images, is_frozen=True, store=store)
                found: dict[int, Answer] = {}
                for some in generate(model, self._base.chat, self._examples, features, batches, self._decoding):
                    found |= some
                texts += [found[index].text for index in range(len(self._examples))]
        return texts

    @torch.inference_mode()
    def _one(self, model: Any, example: Example) -> str:
        chat = self._base.chat
        opened = [Image.open(self._folder / str(name)).convert("RGB") for name in example.pictures]
        pictures = chat.processor.image_processor([opened], return_tensors="pt")
        ids = torch.tensor([example.ids], device=model.device)
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pictures["pixel_values"].to(model.device, model.dtype),
            image_sizes=pictures["image_sizes"].to(model.device),
            batch_num_images=pictures["batch_num_images"].to(model.device),
            do_sample=False,
            max_new_tokens=self._decoding.max_new_tokens,
            eos_token_id=chat.end_id,
            pad_token_id=chat.pad_id,
        )
        return chat.decode(found[0, len(example.ids) :].tolist())


def timed(contestant: Callable[[], Texts]) -> tuple[float, Texts]:
    wait()
    started = now()
    texts = contestant()
    wait()
    return now() - started, texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", choices=SIZES, default="27m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--batch", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    dtype = torch.float32 if given.device == "cpu" else torch.bfloat16
    contest = Contest(SIZES[given.size], given.device, dtype, given.examples, given.tokens, given.batch)
    contestants = {"original": contest.original, "ours": contest.ours, "ours_alone": contest.ours_alone}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    texts: dict[str, Texts] = {}
    for _ in range(given.rounds):
        for name, contestant in contestants.items():
            seconds, texts[name] = timed(contestant)
            times[name].append(seconds)
    n = 2 * given.examples
    for name, seconds_ in times.items():
        ratios = [one / other for one, other in zip(times["original"], seconds_, strict=True)]
        same = sum(one == other for one, other in zip(texts["original"], texts[name], strict=True))
        print(
            f"{name:<11} {median(seconds_) / n:6.3f} s an answer   x{median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})   {same} of {n} texts identical"
        )


if __name__ == "__main__":
    main()
