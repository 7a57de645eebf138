"""Each fault that the gate is there for, planted once."""

from dataclasses import replace
from typing import Any

import pytest

from cloze.errors import DataError
from cloze.model.batches import collate
from cloze.model.conversation import Chat
from cloze.model.masking import audit_batch, audit_examples, audit_labels

ANSWER = "Nell waves."


@pytest.fixture
def example(base, sequence):
    return base.chat.encode(sequence, ANSWER)


@pytest.fixture
def pair(base, tables):
    return [base.chat.encode(row, ANSWER) for row in tables.rows[:2]]


def label(**changes: Any) -> dict[str, Any]:
    return {"sequence_id": "1/1_5", "paradigm": "pred", "state": "ok", "text": ANSWER} | changes


def test_sound_examples_pass_and_are_counted(base, tables, pair):
    count = audit_examples(pair, tables.rows[:2], [ANSWER, ANSWER], base.chat)
    assert count.n_supervised == 2 * len(base.chat.answer_ids(ANSWER))
    assert count.ratio == 1 - count.n_supervised / sum(len(example.ids) for example in pair)


def test_an_unmasked_prompt_is_found(base, sequence, example):
    faulty = replace(example, supervised=(False, False, True, *example.supervised[3:]))
    with pytest.raises(DataError, match="sequence 1/1_5: token 2 of its prompt carries loss"):
        audit_examples([faulty], [sequence], [ANSWER], base.chat)


def test_a_truncated_answer_is_found(base, sequence, example):
    faulty = replace(example, ids=example.ids[:-2], supervised=example.supervised[:-2])
    with pytest.raises(DataError, match="sequence 1/1_5: its answer is cut"):
        audit_examples([faulty], [sequence], [ANSWER], base.chat)


def test_an_end_that_carries_no_loss_is_found(base, sequence, example):
    faulty = replace(example, supervised=(*example.supervised[:-2], False, False))
    with pytest.raises(DataError, match="sequence 1/1_5: its answer is cut"):
        audit_examples([faulty], [sequence], [ANSWER], base.chat)


def test_an_example_without_label_is_found(base, sequence, example):
    faulty = replace(example, supervised=(False,) * len(example.ids))
    with pytest.raises(DataError, match="sequence 1/1_5: no token carries loss: it has no label"):
        audit_examples([faulty], [sequence], [ANSWER], base.chat)


def test_the_text_of_another_label_is_found(base, sequence, example):
    with pytest.raises(DataError, match=r"sequence 1/1_5: the text that carries loss is not its label: 'Nell waves.'"):
        audit_examples([example], [sequence], ["Vex hides."], base.chat)


def test_a_prompt_other_than_the_one_that_predicts_is_found(base, tables, example):
    with pytest.raises(DataError, match="sequence 1/1_5: the prompt that trains is not the prompt that predicts"):
        audit_examples([example], [tables.rows[1]], [ANSWER], base.chat)


def test_a_missing_picture_is_found(base, sequence, example):
    faulty = replace(example, pictures=example.pictures[:4])
    n_places = 5 * base.chat.tokens_per_picture
    with pytest.raises(DataError, match=f"sequence 1/1_5: {n_places} picture tokens for 4 pictures"):
        audit_examples([faulty], [sequence], [ANSWER], base.chat)


def test_a_picture_of_another_size_than_its_tokens_is_found(base, sequence):
    names = [panel["image"] for panel in sequence["context"]]
    sizes = dict.fromkeys(names, (60, 60)) | {"larger.jpg": (120, 120)}
    chat = Chat(base.chat.processor, "anyres", sizes.__getitem__)
    example = chat.encode(sequence, ANSWER)
    assert audit_examples([example], [sequence], [ANSWER], chat).n_supervised == len(chat.answer_ids(ANSWER))
    faulty = replace(example, pictures=(*example.pictures[:4], "larger.jpg"))
    n_features = 4 * chat.n_tokens(names[0]) + chat.n_tokens("larger.jpg")
    with pytest.raises(DataError, match=f"picture tokens for 5 pictures, which have {n_features} features"):
        audit_examples([faulty], [sequence], [ANSWER], chat)


def test_a_collator_that_drops_examples_is_found(base, pair):
    with pytest.raises(DataError, match=r"sequence 1/1_6: dropped from its batch \(1 rows of 2 examples\)"):
        audit_batch(collate(pair[:1], base.chat.pad_id), pair, base.chat)


def test_a_collator_that_cuts_answers_is_found(base, pair):
    batch = collate(pair, base.chat.pad_id)
    faulty = replace(batch, ids=batch.ids[:, :-3], supervised=batch.supervised[:, :-3])
    with pytest.raises(DataError, match="its tokens are not the ones in its batch"):
        audit_batch(faulty, pair, base.chat)


def test_a_collator_that_unmasks_padding_or_prompts_is_found(base, pair):
    batch = collate(pair, base.chat.pad_id)
    with pytest.raises(DataError, match="sequence 1/1_5: the mask in its batch is not its own"):
        audit_batch(replace(batch, supervised=batch.supervised | True), pair, base.chat)


def test_a_collator_that_swaps_pictures_is_found(base, pair):
    batch = collate(pair, base.chat.pad_id)
    with pytest.raises(DataError, match="the pictures of its batch are not those of its examples"):
        audit_batch(replace(batch, pictures=batch.pictures[::-1]), pair, base.chat)


def test_a_label_of_the_other_paradigm_is_found():
    with pytest.raises(DataError, match="sequence 1/1_5: its label is of paradigm descp, not pred; give the labels of"):
        audit_labels([label(paradigm="descp")], "pred")


@pytest.mark.parametrize("text", [None, "", "  "])
def test_an_ok_label_without_text_is_found(text):
    with pytest.raises(DataError, match="sequence 1/1_5: its label's state is ok, but it has no text"):
        audit_labels([label(text=text)], "pred")


def test_labels_that_are_not_ok_need_no_text():
    audit_labels([label(), label(state="missing", text=None)], "pred")
