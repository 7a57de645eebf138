from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from transformers import Trainer, TrainingArguments

from cloze.model.adapter import add_adapter, target_pattern
from cloze.model.base import Base, load_base
from cloze.model.batches import epoch_order
from cloze.model.conversation import Example
from cloze.model.features import Features
from cloze.model.loop import MAX_GRAD_NORM, Schedule, Step, lr_at, mean_loss, train
from cloze.model.objectives import WholeSequences
from cloze.model.optimizers import make_optimizer
from tests.cloze.model.conftest import Tables, stock_inputs


def with_lora(folder: Path) -> Base:
    base = load_base(str(folder))
    torch.manual_seed(0)
    add_adapter(base, LoraConfig(r=4, target_modules=target_pattern(["v_proj", "o_proj"], vision=False)))
    base.model.train()
    return base


def optimizer_of(base: Base, rate: float) -> torch.optim.Optimizer:
    return make_optimizer("adamw", [p for p in base.model.parameters() if p.requires_grad], rate)


def whole(base: Base, tables: Tables) -> WholeSequences:
    return WholeSequences(base.model, Features(base, tables.images, is_frozen=True), base.chat.pad_id)


def curve(base: Base, tables: Tables, examples: list[Example], schedule: Schedule) -> list[Step]:
    torch.manual_seed(0)
    base.model.model.language_model.requires_grad_(True)
    optimizer = make_optimizer("adamw", list(base.model.model.language_model.parameters()), schedule.lr)
    return list(train(whole(base, tables), examples, schedule, optimizer))


def test_a_step_does_not_depend_on_how_its_examples_are_cut_into_batches(base_folder, tables, examples):
    whole = Schedule(epochs=1, batch=4, accumulate=1, lr=1e-3, warmup=0, seed=0)
    cut = Schedule(epochs=1, batch=1, accumulate=4, lr=1e-3, warmup=0, seed=0)
    once, twice = (curve(load_base(str(base_folder)), tables, examples, schedule) for schedule in (whole, cut))
    assert len(once) == len(twice) == 1
    assert once[0].loss == pytest.approx(twice[0].loss, rel=1e-5)
    assert once[0].grad_norm == pytest.approx(twice[0].grad_norm, rel=1e-4)


def test_training_lowers_the_loss_of_what_it_trains_on(base, tables, examples):
    before = mean_loss(whole(base, tables), examples, 2)
    steps = curve(base, tables, examples, Schedule(epochs=10, batch=2, accumulate=1, lr=3e-3, warmup=0.1, seed=0))
    after = mean_loss(whole(base, tables), examples, 2)
    assert [step.number for step in steps] == list(range(1, 21))
    assert after < 0.7 * before


def test_the_learning_rate_rises_in_a_line_and_falls_to_nothing_by_a_cosine():
    rates = [lr_at(step, 100, 2.0, 0.1) for step in range(100)]
    assert max(rates) == rates[10] == 2.0
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(1.0)
    assert 0 < rates[-1] < 0.001


@pytest.mark.parametrize(("epochs", "steps"), [(1.0, 3), (0.4, 1), (2.0, 6), (0.01, 1)])
def test_an_epoch_ends_with_the_batch_that_takes_what_is_left(epochs, steps):
    schedule = Schedule(epochs=epochs, batch=2, accumulate=2, lr=1, warmup=0, seed=0)
    assert schedule.steps(n_examples=9) == steps


def test_the_transformers_trainer_given_the_stock_model_has_the_same_curve_and_ends_at_the_same_weights(
    base_folder, tables, examples, tmp_path
):
    n_steps, rate, warmup = 4, 1e-2, 0.25
    schedule = Schedule(epochs=2, batch=2, accumulate=1, lr=rate, warmup=warmup, seed=0)
    ours, theirs = with_lora(base_folder), with_lora(base_folder)
    steps = list(train(whole(ours, tables), examples, schedule, optimizer_of(ours, rate)))
    lengths = [len(example.ids) for example in examples]
    order = [index for epoch in range(2) for batch in epoch_order(lengths, 2, 0, epoch) for index in batch]

    class InOrder(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return order

    optimizer = optimizer_of(theirs, rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_at(step, n_steps, 1.0, warmup))
    trainer = InOrder(
        model=theirs.model,
        args=TrainingArguments(
            str(tmp_path),
            per_device_train_batch_size=2,
            max_steps=n_steps,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            remove_unused_columns=False,
            max_grad_norm=MAX_GRAD_NORM,
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=examples,
        data_collator=lambda some: stock_inputs(theirs, tables, some),
        optimizers=(optimizer, scheduler),
    )
    trainer.train()
    logged = [(entry["loss"], entry["grad_norm"]) for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == n_steps
    assert [(step.loss, step.grad_norm) for step in steps] == [pytest.approx(entry, rel=2e-3) for entry in logged]
    for own, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4)
