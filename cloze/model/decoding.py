"""Prediction: what the model writes about the next panel, for every sequence of a split."""

import hashlib
import json
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cloze.digests import drawn
from cloze.errors import DataError
from cloze.model.predict_settings import PredictSettings
from cloze.shards import bounds
from cloze.stage import ReadShards, StoppedError, Workspace

if TYPE_CHECKING:
    from cloze.data.images import ImageFolder
    from cloze.model.answers import Answer, AnswerStore

_AT_ONCE = 64  # batches whose prompts are in memory together, and sorted by length

Row = Mapping[str, Any]


class Engine(Protocol):
    """Something that answers for sequences."""

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """What decides the text that is written for a given sequence."""

    @property
    def machinery(self) -> Mapping[str, Any]:
        """What else may change a bit of it, and is no part of what runs are compared by."""

    def show(self, row: Row) -> str:
        """The prompt of a sequence, to read."""

    def answer(
        self, rows: Sequence[Row], known: "AnswerStore"
    ) -> "Generator[dict[str, tuple[str, Answer]], None, None]":
        """Answer for sequences, a few at a time.

        Args:
            known: answers that were given before; what is there need not be asked again.

        Yields:
            By sequence_id the key of its question and the answer.

        Raises:
            DataError: a sequence that cannot be asked about.
        """


def predict(settings: PredictSettings, workspace: Workspace) -> dict[str, float]:
    """Write `predictions.parquet`, one exact prompt, and the fingerprint of what predicted.

    Answers are kept in `workspace.state` as they come: a run that was stopped or killed goes on from them, and a shard
    or a larger run over the same sequences takes them up.

    Raises:
        DataError: no sequence in the split, or an adapter that was trained on another base or with another layout.
        StoppedError: a signal or a file asked to stop.
        MissingInputError: another process predicts the same; or no server answers.
        UnansweredError: a server left requests without an answer.
    """
    from cloze.data.images import open_images
    from cloze.labels.prompts import instructions
    from cloze.locks import locked
    from cloze.tables import images_uri, read_table, table, with_prompt, write_table

    sequences = read_table(settings.sequences, "sequences")
    rows = choose(sequences.to_pylist(), settings)
    images = open_images(images_uri(sequences), workspace.cache)
    with locked(workspace.checkpoints.with_suffix(".lock"), "this very prediction"):
        engine = _open_engine(settings, images, workspace.cache)
        (workspace.out / "prompt.txt").write_text(f"sequence {rows[0]['sequence_id']}\n\n{engine.show(rows[0])}")
        _write_fingerprint(workspace.out / "fingerprint.json", settings, engine, rows)
        answers, n_kept = _answer_all(rows, engine, settings, workspace)
    predictions = [
        {
            "sequence_id": row["sequence_id"],
            "prediction": answer.text,
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.prompt_tokens,
            "output_tokens": answer.output_tokens,
            "seconds": answer.seconds,
        }
        for row, answer in zip(rows, answers, strict=True)
    ]
    predicted = table("predictions", predictions, images_uri(sequences))
    asked = instructions(len(rows[0]["context"]))
    write_table(with_prompt(predicted, asked), workspace.out / "predictions.parquet")
    return _figures(answers) | {"predictions_kept": n_kept}


def join_predictions(settings: PredictSettings, workspace: Workspace, read: ReadShards) -> dict[str, float]:
    """Write what `predict` would have written at once, from its shards.

    Raises:
        DataError: gaps, duplicates, or shards that something else predicted.
    """
    from cloze.model.answers import Answer
    from cloze.shards import join_tables
    from cloze.tables import read_table, write_table

    rows = choose(read_table(settings.sequences, "sequences").to_pylist(), settings)
    joined = join_tables(read("predictions.parquet"), "predictions", [row["sequence_id"] for row in rows])
    fingerprints = read("fingerprint.json")
    own = [{**json.loads(path.read_text()), "sequences_digest": _rows_digest(rows)} for path in fingerprints]
    for path, fingerprint in zip(fingerprints, own, strict=True):
        if fingerprint != own[0]:
            differs = ", ".join(name for name in own[0] if fingerprint.get(name) != own[0][name])
            raise DataError(path, f"is of another predictor than {fingerprints[0]}: {differs or 'more fields'}")
    (workspace.out / "fingerprint.json").write_text(json.dumps(own[0], indent=2) + "\n")
    (workspace.out / "prompt.txt").write_bytes(read("prompt.txt")[0].read_bytes())
    write_table(joined, workspace.out / "predictions.parquet")
    names = {"prediction": "text"}
    answers = [
        Answer(**{names.get(name, name): value for name, value in row.items() if name != "sequence_id"})
        for row in joined.to_pylist()
    ]
    return _figures(answers) | {"predictions_kept": len(answers)}


def choose(rows: list[dict[str, Any]], settings: PredictSettings) -> list[dict[str, Any]]:
    """Rows of the split in their order; of these the same `examples` in every run; of these the shard.

    Raises:
        DataError: none is left.
    """
    chosen = [row for row in rows if settings.split in ("all", row["split"])]
    if not chosen:
        raise DataError(
            settings.sequences, f"no sequence in split {settings.split} ({len(rows)} in all)", "try split=all"
        )
    if settings.examples:
        chosen = [chosen[place] for place in drawn([row["sequence_id"] for row in chosen], settings.examples)]
    first, end = bounds(len(chosen), *settings.part, settings.sequences)
    return chosen[first:end]


def _open_engine(settings: PredictSettings, images: "ImageFolder", cache: Path) -> Engine:
    if settings.engine == "openai":
        from cloze.model.served import Served

        return Served(settings, images)
    from cloze.model.engine import Local

    return Local(settings, images, cache)


def _answer_all(
    rows: Sequence[Row], engine: Engine, settings: PredictSettings, workspace: Workspace
) -> "tuple[list[Answer], int]":
    """The answer to each row, and how many of them were kept from before."""
    from cloze.model.answers import AnswerStore
    from cloze.model.stopping import ask_for_requeue, stop_request
    from cloze.progress import progress

    answers: dict[str, Answer] = {}
    n_kept = 0
    workspace.checkpoints.mkdir(parents=True, exist_ok=True)
    what = {**engine.fingerprint, "machinery": engine.machinery}
    with (
        AnswerStore(workspace.state / "answers", what) as store,
        stop_request() as stop,
        progress(len(rows), "sequence") as advance,
    ):
        (workspace.checkpoints / "step-answers").write_text(str(store.folder))  # by which a run is known to be begun
        at_once = settings.batch * _AT_ONCE
        for some in (rows[start : start + at_once] for start in range(0, len(rows), at_once)):
            with closing(engine.answer(some, store)) as found:
                for part in found:
                    new = {key: answer for key, answer in part.values() if store.get(key) is not answer}
                    store.add(new)
                    n_kept += len(part) - len(new)
                    answers |= {sequence_id: answer for sequence_id, (_, answer) in part.items()}
                    advance(len(part))
                    if stop.reason and len(answers) < len(rows):
                        left = f"{len(answers):,} of {len(rows):,} are answered and kept ({stop.reason})"
                        again = (
                            "word is left to queue the job again" if ask_for_requeue() else "the same command goes on"
                        )
                        raise StoppedError(f"{left}; {again}")
    return [answers[row["sequence_id"]] for row in rows], n_kept


def _write_fingerprint(path: Path, settings: PredictSettings, engine: Engine, rows: list[dict[str, Any]]) -> None:
    """What decides the predictions: two runs with one fingerprint predict the same."""
    fingerprint = {
        **engine.fingerprint,
        "blind": settings.blind,
        "sequences_digest": _rows_digest(rows),
    }
    path.write_text(json.dumps(fingerprint, indent=2) + "\n")


def _rows_digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def _figures(answers: "Sequence[Answer]") -> dict[str, float]:
    """Counts, how answers ended, and means; what a server does not say has no mean."""
    figures: dict[str, float] = {"predictions": len(answers)}
    reasons = Counter(answer.finish_reason for answer in answers)
    figures |= {f"finished_{reason}": reasons[reason] for reason in sorted({"stop", "length", *reasons})}
    for name in ("prompt_tokens", "output_tokens"):
        known = [n for answer in answers if (n := getattr(answer, name)) is not None]
        if known:
            figures[f"{name}_mean"] = sum(known) / len(known)
    return figures | {"seconds_per_prediction": sum(answer.seconds for answer in answers) / len(answers)}
