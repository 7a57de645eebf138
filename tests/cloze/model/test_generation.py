import pytest
import torch
from peft import LoraConfig, PeftModel

from cloze.model.adapter import add_adapter, load_adapter, save_adapter, target_pattern
from cloze.model.base import Base, load_base
from cloze.model.conversation import Example
from cloze.model.features import Features, as_pictures
from cloze.model.generation import generate, generate_batch


@pytest.fixture
def features(base, tables):
    return Features(base, tables.images, is_frozen=True)


def tokens_of(base: Base, prompt: Example, features: Features, n: int) -> list[int]:
    (found,) = generate_batch(base.model, base.chat, [prompt], features, features.prepare(prompt.pictures), n)
    return found


def test_a_text_does_not_depend_on_its_company(base, tables, features):
    prompts = [base.chat.encode(row) for row in tables.rows]
    assert len({len(prompt.ids) for prompt in prompts}) > 1
    together = generate(base.model, base.chat, prompts, features, 8, 12)
    alone = generate(base.model, base.chat, prompts, features, 1, 12)
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
    found = generate_batch(model, ours.chat, prompts, features, pictures, 6, on_answers=True)
    assert found != generate_batch(model, ours.chat, prompts, features, pictures, 6)
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
    (cut,) = generate(base.model, base.chat, [prompt], features, 1, 3)
    assert (cut.finish_reason, cut.output_tokens) == ("length", 3)
    (base.chat.end_id,) = tokens_of(base, prompt, features, 1)  # whatever it says first ends the turn
    (ended,) = generate(base.model, base.chat, [prompt], features, 1, 3)
    assert (ended.finish_reason, ended.output_tokens) == ("stop", 1)


def test_generation_leaves_the_model_as_it_was(base, sequence, features):
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    generate(base.model, base.chat, [base.chat.encode(sequence)], features, 1, 2)
    assert all(torch.equal(value, before[name]) for name, value in base.model.state_dict().items())
