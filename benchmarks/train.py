"""Claim: the same losses in less time than the Transformers Trainer and TRL's SFTTrainer take.

    pip install -e '.[bench]'                                # TRL
    python -m benchmarks.train                               # 27 million parameters on the CPU, one thread
    python -m benchmarks.train --device cuda --size 7b       # the true shapes with random weights

All train the same model from the same LoRA weights on the same batches with the same learning rates, a few steps each
in turn, for several rounds. The Trainer and TRL do what the original study did: pixels through the vision tower and
logits of all tokens in every step. `ours` reads kept picture features and computes logits where there is a label.
`answers` is another model: its LoRA weights act on answers only (`adapted=answer`). Its prompts are computed in every
step, as in a first epoch; `answers_kept` reads their kept keys and values, as in every other.
Time is taken between ends of steps, the first one left out; on a processor it is the process's own. FLOPs are counted
by torch, those of our own step for all that train the same model; utilisation is against the fastest product of square
matrices in the same run. TRL weighs and reports losses as the Trainer does. Peak memory is measured apart, each
contestant in its own process.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import cloze.model.flops  # noqa: F401 - teaches the counter attention on processors
from benchmarks.common import SIZES, Size, make_base, make_pictures, now, wait
from cloze.data.images import open_images
from cloze.model.adapter import add_adapter, target_pattern
from cloze.model.base import pixels
from cloze.model.batches import collate
from cloze.model.conversation import Chat, Example
from cloze.model.curve import peak_bytes
from cloze.model.features import Features, open_store
from cloze.model.loop import MAX_GRAD_NORM, Schedule, lr_at, train
from cloze.model.objectives import AnswersOnly, Objective, WholeSequences
from cloze.model.optimizers import make_optimizer

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
BATCH = 4
N_PANELS = 5
ORIGINAL_EXAMPLES, ORIGINAL_MINUTES = 10_000, 192


class Race:
    """A model with LoRA weights, examples, and what all contestants start from."""

    def __init__(self, size: Size, device: str, dtype: torch.dtype, n_steps: int) -> None:
        self.base = make_base(size, device, dtype)
        pattern = target_pattern(TARGETS, vision=False)
        self.model = add_adapter(self.base, LoraConfig(r=16, lora_alpha=32, target_modules=pattern))
        self.model.train()
        self._start = {name: p.detach().clone() for name, p in self.weights.items()}
        self._schedule = Schedule(1.0, BATCH, 1, 1e-3, 0.1, seed=0)
        self._n_steps = n_steps
        random = np.random.default_rng(0)
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        names = make_pictures(folder, n_steps * BATCH + N_PANELS, size.side, random)
        self._images = open_images(self._folder.name, folder)
        features = Features(self.base, self._images, is_frozen=True, store=open_store(self.base, folder, gigabytes=10))
        prompts = open_store(self.base, folder, gigabytes=20, of="prompts")
        self._whole = WholeSequences(self.base.model, features, self.base.chat.pad_id)
        self._answers = {False: AnswersOnly(self.base, features), True: AnswersOnly(self.base, features, prompts)}
        self.examples = [
            _example(names[first : first + N_PANELS], size, self.base.chat, random) for first in range(n_steps * BATCH)
        ]

    @property
    def weights(self) -> dict[str, torch.nn.Parameter]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    @property
    def n_tokens(self) -> int:
        return BATCH * len(self.examples[0].ids)

    def reset(self) -> None:
        """Give everybody the same weights to begin with."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(self._start[name])

    def rate(self, step: int) -> float:
        return lr_at(step, self._n_steps, 1.0, self._schedule.warmup)

    def order(self) -> list[Example]:
        """Examples in the order in which our loop takes them."""
        from cloze.model.batches import epoch_order

        batches = epoch_order([len(example.ids) for example in self.examples], BATCH, self._schedule.seed, 0)
        return [self.examples[index] for batch in batches for index in batch]

    def inputs(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """What the stock model takes: pixels, a mask, and labels for all tokens."""
        batch = collate(examples, self.base.chat.pad_id)
        values = torch.stack(pixels(self.base.chat, [self._images.load(name or "") for name in batch.pictures]))
        return {
            "input_ids": batch.ids,
            "attention_mask": torch.ones_like(batch.ids),
            "labels": batch.ids.masked_fill(~batch.supervised, -100),
            "pixel_values": values,
            "image_sizes": torch.tensor([values.shape[-2:]] * len(values)),
            "batch_num_images": torch.tensor([N_PANELS] * len(examples)),
        }

    def ours(self, objective: Objective | None = None) -> tuple[list[float], list[float]]:
        """Losses and seconds of our steps."""
        self.reset()
        optimizer = make_optimizer("adamw", list(self.weights.values()), self._schedule.lr)
        steps = train(objective or self._whole, self.examples, self._schedule, optimizer)
        losses, ends = [], [now()]
        for step in steps:
            losses.append(step.loss)
            wait()
            ends.append(now())
        return losses, list(np.diff(ends))

    def answers(self, *, kept: bool = False) -> tuple[list[float], list[float]]:
        """The same where LoRA weights act on answers only."""
        return self.ours(self._answers[kept])

    def answers_kept(self) -> tuple[list[float], list[float]]:
        """The same where prompts were read before."""
        return self.answers(kept=True)

    def trainer(self, kind: type[Trainer] = Trainer, **more: Any) -> tuple[list[float], list[float]]:
        """The same of the Trainer, or of a kind of it."""
        self.reset()
        optimizer = make_optimizer("adamw", list(self.weights.values()), self._schedule.lr)
        ends = [now()]
        in_order = self.order()
        # A library's own kind of data set, which TRL wants; it holds no more than the places of examples.
        rows = Dataset.from_list([{"input_ids": [0], "index": index} for index in range(len(in_order))])

        class Clock(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:
                wait()
                ends.append(now())

        with tempfile.TemporaryDirectory() as folder:
            settings = {
                "output_dir": folder,
                "per_device_train_batch_size": BATCH,
                "num_train_epochs": 1,
                "logging_steps": 1,
                "report_to": "none",
                "save_strategy": "no",
                "remove_unused_columns": False,
                "max_grad_norm": MAX_GRAD_NORM,
                "disable_tqdm": True,
                "use_cpu": not torch.cuda.is_available(),
                "bf16": self.base.model.dtype == torch.bfloat16,
                "dataloader_pin_memory": False,
                "gradient_checkpointing": False,
            }
            arguments = more.pop("arguments", TrainingArguments)(**settings, **more.pop("settings", {}))
            trainer = _in_order(kind)(
                model=self.model,
                args=arguments,
                train_dataset=rows,
                data_collator=lambda some: self.inputs([in_order[row["index"]] for row in some]),
                optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)),
                callbacks=[Clock()],
                **more,
            )
            ends[0] = now()
            trainer.train()
            losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        return losses, list(np.diff(ends))

    def trl(self) -> tuple[list[float], list[float]]:
        """The same of TRL's SFTTrainer, given what it would otherwise tokenise itself."""
        from trl import SFTConfig, SFTTrainer

        return self.trainer(
            SFTTrainer,
            arguments=SFTConfig,
            settings={"dataset_kwargs": {"skip_prepare_dataset": True}, "max_length": None},
            processing_class=self.base.chat.processor,
        )

    def flops(self, kind: str) -> int:
        """Of one of our steps; the Trainer and TRL learn from no more arithmetic than that."""
        objectives = {"answers": self._answers[False], "answers_kept": self._answers[True]}
        with FlopCounterMode(display=False) as counter:
            optimizer = make_optimizer("adamw", list(self.weights.values()), 1e-3)
            next(train(objectives.get(kind, self._whole), self.examples[:BATCH], self._schedule, optimizer))
        return int(counter.get_total_flops())


def _in_order(kind: type[Trainer]) -> type[Trainer]:
    class InOrder(kind):  # type: ignore[misc, valid-type]
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    return InOrder


def _example(names: Sequence[str], size: Size, chat: Chat, random: np.random.Generator) -> Example:
    words = [int(token) for token in random.integers(0, 256, size.n_words)]
    picture = [chat.image_id] * chat.tokens_per_picture
    asked, answer = words[8 : -size.n_answer], words[-size.n_answer :]
    ids = [*words[:8], *(token for _ in names for token in picture), *asked, *chat.opening, *answer]
    supervised = [False] * (len(ids) - size.n_answer) + [True] * size.n_answer
    return Example(names[0], tuple(ids), tuple(supervised), tuple(names))


def peak_flops(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of the fastest of some square matrix products."""
    n = 8192 if device == "cuda" else 1024
    one = torch.randn(n, n, device=device).to(dtype)
    best = 0.0
    for _ in range(32 if device == "cuda" or dtype is torch.float32 else 2):
        wait()
        started = now()
        one @ one
        wait()
        best = max(best, 2 * n**3 / (now() - started))
    return best


def contestants(device: str) -> dict[str, tuple[torch.dtype, str]]:
    """Name -> precision and the method of `Race` that runs it."""
    kinds = ("ours", "trainer", "trl", "answers", "answers_kept")
    if device == "cuda":
        return {f"{kind} bf16": (torch.bfloat16, kind) for kind in kinds}
    return {**{f"{kind} fp32": (torch.float32, kind) for kind in kinds}, "ours bf16": (torch.bfloat16, "ours")}


def peak_memory_gb(name: str, arguments: argparse.Namespace) -> float:
    """The most memory that some steps of one contestant take in a process of its own, in GB."""
    command = [sys.executable, "-m", "benchmarks.train", "--memory-of", name, "--steps", "2"]
    command += ["--size", arguments.size, "--device", arguments.device, "--threads", str(arguments.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def print_memory(arguments: argparse.Namespace) -> None:
    dtype, kind = contestants(arguments.device)[arguments.memory_of]
    getattr(Race(SIZES[arguments.size], arguments.device, dtype, arguments.steps), kind)()
    cuda = arguments.device == "cuda"
    print(torch.cuda.max_memory_allocated() / 1e9 if cuda else peak_bytes() / 1e9)


def compare_losses(curves: Mapping[str, list[float]]) -> None:
    """Print how far each curve is from our own in the same precision, or from the first."""
    first = next(iter(curves.values()))
    print("losses: first and last step, largest relative distance from the first row's (`answers` is another model)")
    for name, losses in curves.items():
        far = max(abs(loss - own) / own for loss, own in zip(losses, first, strict=True))
        print(f"  {name:14} {losses[0]:.5f} {losses[-1]:.5f}   {far:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="27m")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, default=5, help="steps of each contestant in a round; the first is not timed"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.memory_of:
        print_memory(arguments)
        return
    names = contestants(arguments.device)
    peaks = {
        dtype: peak_flops(arguments.device, dtype) for dtype in dict.fromkeys(dtype for dtype, _ in names.values())
    }
    if peaks[torch.bfloat16] < peaks.get(torch.float32, 0):
        print("bf16 is left out: this processor has no arithmetic for it")
        names = {name: found for name, found in names.items() if found[0] is not torch.bfloat16}
        del peaks[torch.bfloat16]
    races = {dtype: Race(SIZES[arguments.size], arguments.device, dtype, arguments.steps) for dtype in peaks}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    curves: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        for name, (dtype, kind) in names.items():
            curves[name], taken = getattr(races[dtype], kind)()
            seconds[name].append(median(taken[1:]))
        peaks = {dtype: max(peaks[dtype], peak_flops(arguments.device, dtype)) for dtype in races}
    race = races[next(iter(races))]
    show(arguments, names, seconds, peaks, race)
    compare_losses(curves)


def show(
    arguments: argparse.Namespace,
    names: Mapping[str, tuple[torch.dtype, str]],
    seconds: Mapping[str, list[float]],
    peaks: Mapping[torch.dtype, float],
    race: Race,
) -> None:
    """Print the table."""
    first = next(iter(seconds))
    supervised = sum(sum(example.supervised) for example in race.examples[:BATCH])
    print(
        f"{arguments.size} on {arguments.device}, {BATCH} examples of {race.n_tokens // BATCH} tokens a step, "
        f"{supervised} of {race.n_tokens} tokens supervised, {race.flops('ours') / 1e12:.3f} TFLOP a step of ours"
    )
    for dtype, peak in peaks.items():
        print(f"matrix product in {dtype}: {peak / 1e12:.3f} TFLOP/s")
    print(f"  {'':14} s/step  examples/s  tokens/s  peak GB  utilisation  time over {first!r} (min to max)")
    for name, taken in seconds.items():
        step = median(taken)
        dtype, kind = names[name]
        ratios = [own / one for own, one in zip(taken, seconds[first], strict=True)]
        print(
            f"  {name:14} {step:6.3f}  {BATCH / step:10.2f}  {race.n_tokens / step:8.0f}"
            f"  {peak_memory_gb(name, arguments):7.2f}  {race.flops(kind) / step / peaks[dtype]:11.2f}"
            f"  {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
        if arguments.size == "7b":
            minutes = ORIGINAL_EXAMPLES / BATCH * step / 60
            print(
                f"  {'':14} {ORIGINAL_EXAMPLES:,} examples: {minutes:.0f} min; the original study's: {ORIGINAL_MINUTES}"
            )


if __name__ == "__main__":
    main()
