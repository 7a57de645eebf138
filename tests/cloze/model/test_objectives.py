"""Two ways to the loss: of whole sequences against the stock model, of answers only against PEFT's activated LoRA."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel

from cloze.model.adapter import add_adapter, save_adapter, target_pattern
from cloze.model.base import Base, load_base
from cloze.model.features import Features, open_store
from cloze.model.loop import mean_loss
from cloze.model.objectives import AnswersOnly, WholeSequences, without_lora
from tests.cloze.model.conftest import stock_inputs

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def features_of(base: Base, tables) -> Features:
    return Features(base, tables.images, is_frozen=True)


def adapted(base: Base) -> Any:
    """LoRA weights that do something already."""
    torch.manual_seed(0)
    pattern = target_pattern(TARGETS, vision=False)
    return add_adapter(base, LoraConfig(r=4, init_lora_weights=False, target_modules=pattern))


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """Of LoRA weights, by their names in the bare model."""
    return {
        name.removeprefix("base_model.model."): p.grad for name, p in model.named_parameters() if p.grad is not None
    }


def n_supervised(examples) -> int:
    return sum(sum(example.supervised) for example in examples)


def test_whole_sequences_have_the_loss_of_the_stock_model(base, tables, examples):
    objective = WholeSequences(base.model, features_of(base, tables), base.chat.pad_id)
    with torch.no_grad():
        expected = base.model(**stock_inputs(base, tables, examples)).loss
        found = objective.loss(objective.prepare(examples)) / n_supervised(examples)
    torch.testing.assert_close(found, expected)


def test_answers_have_the_loss_and_gradients_of_pefts_activated_lora(base, base_folder, tables, examples, tmp_path):
    save_adapter(adapted(base), tmp_path / "adapter", base, "answer")
    objective = AnswersOnly(base, features_of(base, tables))
    found = objective.loss(objective.prepare(examples)) / n_supervised(examples)
    found.backward()
    theirs = PeftModel.from_pretrained(load_base(str(base_folder)).model, str(tmp_path / "adapter"), is_trainable=True)
    expected = theirs(**stock_inputs(base, tables, examples)).loss
    expected.backward()
    torch.testing.assert_close(found, expected)
    own, others = gradients(base.model), gradients(theirs)
    assert own.keys() == others.keys()
    assert len(own) == 2 * 2 * len(TARGETS)
    for name, gradient in own.items():
        torch.testing.assert_close(gradient, others[name], rtol=1e-3, atol=1e-5)


def test_weights_that_act_on_answers_only_give_another_loss_than_on_all_tokens(base, tables, examples):
    adapted(base)
    features = features_of(base, tables)
    on_all = mean_loss(WholeSequences(base.model, features, base.chat.pad_id), examples, 2)
    on_answers = mean_loss(AnswersOnly(base, features), examples, 2)
    with without_lora(base.model):
        without = mean_loss(WholeSequences(base.model, features, base.chat.pad_id), examples, 2)
    assert len({round(loss, 3) for loss in (on_all, on_answers, without)}) == 3


def test_before_the_first_step_both_have_the_loss_of_the_base(base, tables, examples):
    objective = WholeSequences(base.model, features_of(base, tables), base.chat.pad_id)
    zero_shot = mean_loss(objective, examples, 4)
    add_adapter(base, LoraConfig(r=4, target_modules=target_pattern(TARGETS, vision=False)))
    assert mean_loss(AnswersOnly(base, features_of(base, tables)), examples, 4) == pytest.approx(zero_shot, rel=1e-6)


def test_a_loss_does_not_depend_on_its_company(base, tables, examples):
    adapted(base)
    objective = AnswersOnly(base, features_of(base, tables))
    assert len({example.supervised.index(True) for example in examples}) > 1  # prompts of several lengths
    assert mean_loss(objective, examples, 4) == pytest.approx(mean_loss(objective, examples, 1), rel=1e-6)


def test_a_kept_prompt_is_not_read_again_and_gives_the_same_bits(base, tables, examples, tmp_path):
    adapted(base)
    store = open_store(base, tmp_path, 1, of="prompts")
    first = mean_loss(AnswersOnly(base, features_of(base, tables), store), examples, 2)
    assert store is not None
    store.close()
    # Another adapter's run, with the other paradigm's answers: the prompts are the same.
    others = [base.chat.encode(row, "Nell waves at Pip.") for row in tables.rows[: len(examples)]]
    kept = open_store(base, tmp_path, 1, of="prompts")
    features = features_of(base, tables)
    features.finish = features.prepare = lambda *_: pytest.fail("the base was asked again")  # type: ignore[assignment, method-assign]
    assert mean_loss(AnswersOnly(base, features, kept), examples, 2) == first
    assert mean_loss(AnswersOnly(base, features, kept), others, 2) != first


def test_prompts_with_other_words_or_pictures_are_told_apart(base, tables, examples, tmp_path):
    store = open_store(base, tmp_path, 1, of="prompts")
    objective = AnswersOnly(base, features_of(base, tables), store)
    example = examples[0]
    shuffled = replace(example, pictures=example.pictures[::-1])
    retold = base.chat.encode(tables.rows[0] | {"context": tables.rows[1]["context"]}, "Nell waves.")
    assert len({row.key for row in objective.prepare([example, shuffled, retold, example])}) == 3


def test_an_answer_that_no_turn_opens_is_refused(base, tables, examples):
    objective = AnswersOnly(base, features_of(base, tables))
    early = replace(examples[0], supervised=tuple(i >= 20 for i in range(len(examples[0].ids))))
    with pytest.raises(ValueError, match="no assistant's turn opens before its answer"):
        objective.prepare([early])


def test_the_base_without_lora_is_the_base_and_weights_are_trained_again_afterwards(base, base_folder):
    ids = torch.tensor([[1, 2, 3, 4]])
    adapted(base)
    trained = {name for name, p in base.model.named_parameters() if p.requires_grad}
    with without_lora(base.model), torch.no_grad():
        found = base.model(ids).logits
    assert torch.equal(found, load_base(str(base_folder)).model(ids).logits)
    assert {name for name, p in base.model.named_parameters() if p.requires_grad} == trained
