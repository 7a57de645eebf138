import random

import pytest
import torch
from peft import LoraConfig, PeftModel

from cloze.model.adapter import add_adapter, load_adapter, save_adapter, target_pattern
from cloze.model.answers import Answer
from cloze.model.base import Base, load_base
from cloze.model.conversation import Example
from cloze.model.features import Features, as_pictures
from cloze.model.generation import Decoding, by_length, choose_tokens, generate, generate_batch


@pytest.fixture
def features(base, tables):
    return Features(base, tables.images, is_frozen=True)


def answers(base: Base, prompts: list[Example], features: Features, decoding: Decoding, batch: int = 1) -> list[Answer]:
    found: dict[int, Answer] = {}
    for some in generate(base.model, base.chat, prompts, features, by_length(prompts, batch), decoding):
        found |= some
    return [found[index] for index in range(len(prompts))]


def tokens_of(base: Base, prompt: Example, features: Features, n: int) -> list[int]:
    (found,) = generate_batch(base.model, base.chat, [prompt], features, features.prepare(prompt.pictures), Decoding(n))
    return found


def test_a_text_does_not_depend_on_its_company(base, tables, features):
    prompts = [base.chat.encode(row) for row in tables.rows]
    assert len({len(prompt.ids) for prompt in prompts}) > 1
    together, alone = (answers(base, prompts, features, Decoding(12), batch) for batch in (8, 1))
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert [answer.prompt_tokens for answer in together] == [len(prompt.ids) for prompt in prompts]


def test_kept_keys_and_values_give_what_reading_all_again_gives(base, sequence, features):
    prompt = base.chat.encode(sequence)
    found = tokens_of(base, prompt, features, 6)
    ids = prompt.ids
    for token in found:
        read = Example("again", ids, (False,) * len(ids), prompt.pictures)
        assert tokens_of(base, read, features, 1) == [token]
        ids = (*ids, token)


def test_weights_that_act_on_answers_write_what_pefts_activated_lora_writes(base, base_folder, tables, tmp_path):
    torch.manual_seed(0)
    weights = LoraConfig(
        r=4, init_lora_weights=False, target_modules=target_pattern(["v_proj", "o_proj"], vision=False)
    )
    save_adapter(add_adapter(base, weights), tmp_path / "adapter", base, "answer")
    ours = load_base(str(base_folder))
    model, features = load_adapter(ours, tmp_path / "adapter"), Features(ours, tables.images, is_frozen=True)
    prompts = [ours.chat.encode(row) for row in tables.rows[:3]]
    pictures = features.prepare([name for prompt in prompts for name in prompt.pictures])
    found = generate_batch(model, ours.chat, prompts, features, pictures, Decoding(6, on_answers=True))
    assert found != generate_batch(model, ours.chat, prompts, features, pictures, Decoding(6))
    theirs = PeftModel.from_pretrained(load_base(str(base_folder)).model, str(tmp_path / "adapter"))
    for prompt, answer in zip(prompts, found, strict=True):
        ids = list(prompt.ids)
        for token in answer:
            with torch.no_grad():
                logits = theirs(torch.tensor([ids]), mm_encoder_outputs=as_pictures(features(prompt.pictures))).logits
            assert int(logits[0, -1].argmax()) == token
            ids.append(token)


def test_an_answer_that_ends_its_turn_is_told_from_one_that_is_cut(base, sequence, features):
    prompt = base.chat.encode(sequence)
    (cut,) = answers(base, [prompt], features, Decoding(3))
    assert (cut.finish_reason, cut.output_tokens) == ("length", 3)
    (base.chat.end_id,) = tokens_of(base, prompt, features, 1)  # whatever it says first ends the turn
    (ended,) = answers(base, [prompt], features, Decoding(3))
    assert (ended.finish_reason, ended.output_tokens) == ("stop", 1)


def test_generation_leaves_the_model_as_it_was(base, sequence, features):
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    answers(base, [base.chat.encode(sequence)], features, Decoding(2))
    assert all(torch.equal(value, before[name]) for name, value in base.model.state_dict().items())


@pytest.mark.parametrize("n_open", [1, 2, 3])
def test_rows_that_go_on_are_not_disturbed_by_those_that_end(base, tables, features, n_open):
    prompts = [base.chat.encode(row) for row in tables.rows[:4]]
    alone = [tokens_of(base, prompt, features, 8) for prompt in prompts]
    firsts = [tokens[0] for tokens in alone]
    base.chat.end_id = firsts[0]  # the first row ends at once, and whoever begins alike
    expected = [tokens[: tokens.index(firsts[0]) + 1] if firsts[0] in tokens else tokens for tokens in alone]
    chosen = list(range(n_open + 1))
    some = [prompts[i] for i in chosen]
    pictures = features.prepare([name for prompt in some for name in prompt.pictures])
    assert generate_batch(base.model, base.chat, some, features, pictures, Decoding(8)) == [expected[i] for i in chosen]


def drawn_tokens(probabilities: list[float], decoding: Decoding, n: int) -> list[int]:
    logits = torch.tensor(probabilities).log()[None].expand(n, -1)
    return choose_tokens(logits, decoding, [random.Random(i) for i in range(n)]).tolist()  # noqa: S311


def test_tokens_are_drawn_as_often_as_they_are_likely():
    found = drawn_tokens([0.1, 0.6, 0.3], Decoding(1, temperature=1.0), 4000)
    assert [round(found.count(token) / 4000, 1) for token in range(3)] == [0.1, 0.6, 0.3]


def test_a_nucleus_holds_the_likeliest_tokens_only():
    found = drawn_tokens([0.1, 0.6, 0.3], Decoding(1, temperature=1.0, top_p=0.8), 4000)
    assert found.count(0) == 0
    assert found.count(1) / 4000 == pytest.approx(2 / 3, abs=0.03)
    assert set(drawn_tokens([0.1, 0.6, 0.3], Decoding(1, temperature=1.0, top_p=0.5), 100)) == {1}


def test_a_low_temperature_draws_the_likeliest():
    assert set(drawn_tokens([0.1, 0.6, 0.3], Decoding(1, temperature=0.01), 100)) == {1}


@pytest.mark.parametrize("ends", [False, True])
def test_texts_together_and_alone_are_those_of_the_stock_generate(base, tables, features, ends):
    torch.manual_seed(0)
    pattern = target_pattern(["q_proj", "v_proj", "down_proj"], vision=False)
    add_adapter(base, LoraConfig(r=4, init_lora_weights=False, target_modules=pattern))
    prompts = [base.chat.encode(row) for row in tables.rows[:5]]
    assert len({len(prompt.ids) for prompt in prompts}) > 1
    if ends:  # what the first row says as its third token ends a turn
        base.chat.end_id = tokens_of(base, prompts[0], features, 3)[-1]
    expected = []
    for prompt in prompts:
        ids = torch.tensor([prompt.ids])
        found = base.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_encoder_outputs=as_pictures(features(prompt.pictures)),
            do_sample=False,
            max_new_tokens=8,
            eos_token_id=base.chat.end_id,
            pad_token_id=base.chat.pad_id,
        )
        expected.append(found[0, len(prompt.ids) :].tolist())
    assert (min(map(len, expected)) < 8) == ends
    pictures = features.prepare([name for prompt in prompts for name in prompt.pictures])
    assert generate_batch(base.model, base.chat, prompts, features, pictures, Decoding(8)) == expected
    assert [tokens_of(base, prompt, features, 8) for prompt in prompts] == expected


def test_draws_do_not_depend_on_company(base, tables, features):
    prompts = [base.chat.encode(row) for row in tables.rows[:5]]
    drawn = Decoding(8, temperature=1.0, top_p=0.9, seed=3)
    together, alone = (answers(base, prompts, features, drawn, batch) for batch in (5, 1))
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert [answer.text for answer in together] != [a.text for a in answers(base, prompts, features, Decoding(8), 5)]
