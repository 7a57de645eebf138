"""Likelihoods from shared keys and values are those of reading each prompt with each answer, in the stock model."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from torch.nn import functional

from cloze.model.adapter import add_adapter, load_adapter, save_adapter, target_pattern
from cloze.model.base import load_base
from cloze.model.features import Features, as_pictures
from cloze.model.likelihood import likelihoods
from tests.cloze.model.conftest import LABELS, stock_inputs

ANSWERS = (LABELS, ("Nell waves.",), ("OH NO", "Vex hides."))


@pytest.fixture
def features(base, tables):
    return Features(base, tables.images, is_frozen=True)


def test_a_likelihood_is_the_stock_models(base, tables, features):
    """Pixels in, logits out, one whole sequence at a time."""
    rows = tables.rows[:3]
    found = likelihoods(base.model, base.chat, [base.chat.encode(row) for row in rows], ANSWERS, features, 3)
    assert [len(some) for some in found] == [3, 1, 2]
    for row, answers, some in zip(rows, ANSWERS, found, strict=True):
        for answer, likelihood in zip(answers, some, strict=True):
            inputs = stock_inputs(base, tables, [base.chat.encode(row, answer)])
            n_tokens = int((inputs["labels"] != -100).sum())
            with torch.no_grad():
                total = -float(base.model(**inputs).loss) * n_tokens
            assert likelihood.n_tokens == n_tokens
            assert likelihood.total == pytest.approx(total, rel=1e-4)
            assert likelihood.mean == pytest.approx(total / n_tokens, rel=1e-4)


def test_a_likelihood_does_not_depend_on_its_company(base, tables, features):
    prompts = [base.chat.encode(row) for row in tables.rows[:5]]
    assert len({len(prompt.ids) for prompt in prompts}) > 1
    answers = [LABELS] * len(prompts)
    together = likelihoods(base.model, base.chat, prompts, answers, features, 3)
    for prompt, some in zip(prompts, together, strict=True):
        for answer, likelihood in zip(LABELS, some, strict=True):
            ((alone,),) = likelihoods(base.model, base.chat, [prompt], [[answer]], features, 1)
            assert alone.total == pytest.approx(likelihood.total, rel=1e-4)


def test_a_prompt_without_pictures_has_a_likelihood(base, features):
    message: Any = {"role": "user", "content": [{"type": "text", "text": "OH NO"}]}
    ids, supervised = base.chat.tokens([message], (), open_turn=True)
    prompt = base.chat.encode({"sequence_id": "1", "context": []})
    prompt = type(prompt)("1", ids, supervised, ())
    ((found,),) = likelihoods(base.model, base.chat, [prompt], [["OH NO"]], features, 1)
    whole = torch.tensor([[*ids, *base.chat.answer_ids("OH NO")]])
    with torch.no_grad():
        logs = functional.log_softmax(base.model(whole).logits[0], dim=-1)
    n_answer = found.n_tokens
    by_token = [logs[at, token] for at, (_, token) in enumerate(pairwise(whole[0].tolist()))][-n_answer:]
    assert found.total == pytest.approx(float(sum(by_token)), rel=1e-4)


def test_weights_that_act_on_answers_act_on_answers_only(base, base_folder, tables, tmp_path):
    torch.manual_seed(0)
    weights = LoraConfig(
        r=4, init_lora_weights=False, target_modules=target_pattern(["v_proj", "o_proj"], vision=False)
    )
    save_adapter(add_adapter(base, weights), tmp_path / "adapter", base, "answer")
    ours = load_base(str(base_folder))
    model, features = load_adapter(ours, tmp_path / "adapter"), Features(ours, tables.images, is_frozen=True)
    prompt = ours.chat.encode(tables.rows[0])
    ((found,),) = likelihoods(model, ours.chat, [prompt], [["Nell waves."]], features, 1, on_answers=True)
    ((everywhere,),) = likelihoods(model, ours.chat, [prompt], [["Nell waves."]], features, 1)
    assert found.total != pytest.approx(everywhere.total, rel=1e-4)
    theirs = PeftModel.from_pretrained(load_base(str(base_folder)).model, str(tmp_path / "adapter"))
    whole = torch.tensor([[*prompt.ids, *ours.chat.answer_ids("Nell waves.")]])
    with torch.no_grad():
        logits = theirs(whole, mm_encoder_outputs=as_pictures(features(prompt.pictures))).logits[0]
    n = found.n_tokens
    loss = functional.cross_entropy(logits[-n - 1 : -1], whole[0, -n:], reduction="sum")
    assert found.total == pytest.approx(-float(loss), rel=1e-4)
