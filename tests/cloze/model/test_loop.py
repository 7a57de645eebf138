import pytest
import torch
from PIL import Image

from cloze.model.base import Base, load_base
from cloze.model.batches import collate
from cloze.model.conversation import Example
from cloze.model.features import Features
from cloze.model.loop import Schedule, Step, answer_loss, lr_at, mean_loss, train
from cloze.model.optimizers import make_optimizer
from tests.cloze.model.conftest import Tables

ANSWERS = ("Nell waves.", "Pip runs home at night.", "In the cave, Vex hides the pearl.", "Nell waves.")


@pytest.fixture
def examples(base, tables):
    return [base.chat.encode(row, answer) for row, answer in zip(tables.rows, ANSWERS, strict=False)]


def features_of(base: Base, tables: Tables) -> Features:
    return Features(base, tables.images, is_frozen=True)


def curve(base: Base, tables: Tables, examples: list[Example], schedule: Schedule) -> list[Step]:
    torch.manual_seed(0)
    base.model.model.language_model.requires_grad_(True)
    optimizer = make_optimizer("adamw", list(base.model.model.language_model.parameters()), schedule.lr)
    return list(train(base.model, examples, features_of(base, tables), schedule, optimizer, base.chat.pad_id))


def test_the_shortcuts_give_the_loss_of_the_stock_model(base, tables, examples):
    batch = collate(examples, base.chat.pad_id)
    stock = base.chat.processor.image_processor(
        [[Image.open(tables.pictures / name).convert("RGB") for name in e.pictures] for e in examples],
        return_tensors="pt",
    )
    mask = torch.zeros_like(batch.ids)
    for row, example in enumerate(examples):
        mask[row, : len(example.ids)] = 1
    labels = batch.ids.masked_fill(~batch.supervised, -100)
    with torch.no_grad():
        expected = base.model(batch.ids, attention_mask=mask, labels=labels, **stock).loss
        found = answer_loss(base.model, batch, features_of(base, tables)(batch.pictures)) / batch.supervised.sum()
    torch.testing.assert_close(found, expected)


def test_a_step_does_not_depend_on_how_its_examples_are_cut_into_batches(base_folder, tables, examples):
    whole = Schedule(epochs=1, batch=4, accumulate=1, lr=1e-3, warmup=0, seed=0)
    cut = Schedule(epochs=1, batch=1, accumulate=4, lr=1e-3, warmup=0, seed=0)
    once, twice = (curve(load_base(str(base_folder)), tables, examples, schedule) for schedule in (whole, cut))
    assert len(once) == len(twice) == 1
    assert once[0].loss == pytest.approx(twice[0].loss, rel=1e-5)
    assert once[0].grad_norm == pytest.approx(twice[0].grad_norm, rel=1e-4)


def test_training_lowers_the_loss_of_what_it_trains_on(base, tables, examples):
    before = mean_loss(base.model, examples, features_of(base, tables), 2, base.chat.pad_id)
    steps = curve(base, tables, examples, Schedule(epochs=10, batch=2, accumulate=1, lr=3e-3, warmup=0.1, seed=0))
    after = mean_loss(base.model, examples, features_of(base, tables), 2, base.chat.pad_id)
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
