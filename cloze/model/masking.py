"""The gate before training: every example and every batch is what it is taken for, or the run stops.

A mask that is wrong costs no error message, only a model that learned something else: to write prompts, never to
stop, another paradigm's labels, pictures that are not there. So each is looked for before the first step, and an
error names the sequence.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cloze.errors import DataError
from cloze.model.batches import Batch
from cloze.model.conversation import Chat, Example


class MaskCount(NamedTuple):
    """Tokens of the audited examples, and how many of them carry loss."""

    n_tokens: int
    n_supervised: int

    @property
    def ratio(self) -> float:
        """Share of the tokens that carry no loss."""
        return 1 - self.n_supervised / self.n_tokens


def audit_labels(labels: Sequence[Mapping[str, Any]], paradigm: str) -> None:
    """Check rows of the labels table that are to be trained on.

    Raises:
        DataError: a label of another paradigm, or one whose state is ok and that has no text.
    """
    for row in labels:
        if row["paradigm"] != paradigm:
            remedy = f"give the labels of `-e label -P paradigm={paradigm}`"
            raise _fault(row["sequence_id"], f"its label is of paradigm {row['paradigm']}, not {paradigm}", remedy)
        if row["state"] == "ok" and not (row["text"] or "").strip():
            raise _fault(row["sequence_id"], "its label's state is ok, but it has no text", "label it again")


def audit_examples(
    examples: Sequence[Example], sequences: Sequence[Mapping[str, Any]], answers: Sequence[str], chat: Chat
) -> MaskCount:
    """Check each example against the sequence and the answer that it was made from.

    Raises:
        DataError: the first fault found.
    """
    for example, sequence, answer in zip(examples, sequences, answers, strict=True):
        _audit_example(example, chat.encode(sequence), answer, chat)
    return MaskCount(sum(len(e.ids) for e in examples), sum(sum(e.supervised) for e in examples))


def audit_batch(batch: Batch, examples: Sequence[Example], chat: Chat) -> None:
    """Check that a batch holds exactly these examples.

    Raises:
        DataError: an example was dropped, or its row has other tokens, another mask or other pictures.
    """
    dropped = [e.sequence_id for e in examples if e.sequence_id not in batch.sequence_ids]
    if dropped or len(batch.ids) != len(examples):
        raise _fault(", ".join(dropped), f"dropped from its batch ({len(batch.ids)} rows of {len(examples)} examples)")
    if list(batch.pictures) != [name for example in examples for name in example.pictures]:
        raise _fault(examples[0].sequence_id, "the pictures of its batch are not those of its examples")
    for row, example in enumerate(examples):
        n_tokens = len(example.ids)
        if batch.ids[row, :n_tokens].tolist() != list(example.ids):
            raise _fault(example.sequence_id, "its tokens are not the ones in its batch")
        expected = list(example.supervised) + [False] * (batch.ids.shape[1] - n_tokens)
        if batch.supervised[row].tolist() != expected:
            raise _fault(example.sequence_id, "the mask in its batch is not its own")
        _audit_pictures(example, chat)


def _audit_example(example: Example, prompt: Example, answer: str, chat: Chat) -> None:
    name, n_prompt = example.sequence_id, len(prompt.ids)
    if example.ids[:n_prompt] != prompt.ids:
        raise _fault(name, "the prompt that trains is not the prompt that predicts")
    if any(example.supervised[:n_prompt]):
        position = example.supervised.index(True)
        raise _fault(name, f"token {position} of its prompt carries loss; only the answer's may")
    supervised = tuple(token for token, is_answer in zip(example.ids, example.supervised, strict=True) if is_answer)
    if not supervised:
        raise _fault(name, "no token carries loss: it has no label")
    if supervised[-1] != chat.end_id:
        raise _fault(name, "its answer is cut: the last token that carries loss does not end the turn")
    if supervised != chat.answer_ids(answer):
        raise _fault(name, f"the text that carries loss is not its label: {chat.decode(supervised)[:80]!r}")
    _audit_pictures(example, chat)


def _audit_pictures(example: Example, chat: Chat) -> None:
    n_places, n_features = example.ids.count(chat.image_id), sum(map(chat.n_tokens, example.pictures))
    if n_places != n_features:
        problem = f"{n_places} picture tokens for {len(example.pictures)} pictures, which have {n_features} features"
        raise _fault(example.sequence_id, problem)


def _fault(sequence_id: str, problem: str, remedy: str = "") -> DataError:
    return DataError(
        f"sequence {sequence_id}", problem, remedy or "training would learn something else; nothing was run"
    )
