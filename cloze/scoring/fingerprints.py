"""When two runs may be compared: where what decides their scores agrees, but for what is being compared.

A fingerprint is what `predict` wrote (base, adapter, prompt, decoding, precision, picture layout, sequences), and what
`eval` was given (signature of each metric, labels, seed and resamples). What is not known does not agree with anything.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cloze.errors import DataError

Fingerprint = Mapping[str, Any]

# What every run must have recorded.
RECORDED = (
    "sequences_digest",
    "base_digest",
    "prompt_digest",
    "decoding",
    "precision",
    "image_layout",
    "adapter_digest",
    "trained_in",
    "blind",
    "seed",
    "resamples",
)
# What may differ, by what is compared.
ADAPTER = frozenset({"adapter_digest", "served"})  # fine-tuned with zero-shot, or with another fine-tuning
BLIND = frozenset({"blind"})  # the same model with and without something hidden
BESIDE = ADAPTER | BLIND  # rows of one table

PER_MEASURE = ("signature/", "labels/")  # what only one run has is not compared, so it need not agree
_UNKNOWN = "unknown"
_NO_DIGEST = "base_digest"  # of a served base; then its name, `base`, must agree
_MENDED_BY = {
    "sequences_digest": "predict with the same `sequences`, `split` and `examples`",
    "base_digest": "predict with the same `base`",
    "base": "predict with the same `base`",
    "prompt_digest": "predict again with this version of the program: `mlflow run . -e predict`",
    "decoding": "predict with the same `max_new_tokens` and way of decoding",
    "precision": "predict with `-P precision=...` of the other",
    "quantise": "predict with `-P quantise=...` of the other",
    "image_layout": "predict with `-P image_layout=...` of the other",
    "adapter_digest": "predict with the same `adapter`",
    "trained_in": "fine-tune with the same `precision` and `quantise`",
    "seed": "evaluate again: `mlflow run . -e eval -P predictions=runs:/ID -P seed=...`",
    "resamples": "evaluate again: `mlflow run . -e eval -P predictions=runs:/ID -P resamples=...`",
    "signature": "evaluate both again with this version of the program: `mlflow run . -e eval -P predictions=runs:/ID`",
    "labels": "evaluate both with the same `pred_labels` and `descp_labels`",
}


class Disagreement(NamedTuple):
    """A field that two runs do not share, and what each has, `unknown` where that was not recorded."""

    field: str
    one: str
    other: str

    def __str__(self) -> str:
        return f"{self.field} is {self.one} and {self.other}"


def fingerprint(
    predicted: Fingerprint,
    settings: Mapping[str, Any],
    signatures: Mapping[str, str],
    labels: Mapping[str, str],
    n_predictions: int,
) -> dict[str, Any]:
    """All that decides the scores of an evaluated run.

    Args:
        predicted: the fingerprint that `predict` wrote; empty where the predictions came from elsewhere.
        settings: effective settings of the `eval` run.
        signatures: what made the values, by metric.
        labels: digest of what was scored against, by reference.
        n_predictions: how many sequences were predicted; a set that lacks some is another one.
    """
    found = {name: value for name, value in predicted.items() if not name.startswith(PER_MEASURE)}
    if "sequences_digest" in found:
        found["sequences_digest"] = f"{n_predictions:,} sequences, {str(found['sequences_digest'])[:12]}"
    found |= {name: str(settings[name]) for name in ("seed", "resamples") if name in settings}
    found |= {f"signature/{metric}": value for metric, value in signatures.items()}
    return found | {f"labels/{name}": digest[:12] for name, digest in labels.items()}


def disagreements(one: Fingerprint, other: Fingerprint, may_differ: frozenset[str]) -> list[Disagreement]:
    """Fields that must agree for two runs to be compared, and do not.

    Every field counts that either run has, so that what a later version records is compared, too. Exceptions: what
    is compared (`may_differ`); how the adapter was trained, where one run has none; a metric or reference that only
    one of them has; the name of the base, where both have its digest, and its digest where one was served.

    Args:
        one: as `fingerprint` makes it.
        other: likewise.
        may_differ: ADAPTER, BLIND or BESIDE.
    """
    fields = sorted({*RECORDED, *one, *other} - may_differ - _left_out(one, other))
    return [
        Disagreement(field, _shown(one, field), _shown(other, field))
        for field in fields
        if field not in one or field not in other or one[field] != other[field]
    ]


def refuse(one: str, other: str, found: list[Disagreement]) -> None:
    """Refuse a comparison where anything disagrees.

    Args:
        one: name of the run that has the first values.
        other: name of the run that has the second ones.
        found: what disagrees.

    Raises:
        DataError: something does; it names the fields, the values, and what to run.
    """
    if not found:
        return
    remedies = dict.fromkeys(_remedy(disagreement) for disagreement in found)
    remedy = "; ".join([*remedies, "or say `-P compare=mark` to have such comparisons made and marked"])
    raise DataError(f"{one} and {other}", f"cannot be compared: {'; '.join(map(str, found))}", remedy)


def _left_out(one: Fingerprint, other: Fingerprint) -> set[str]:
    left_out = {name for name in {*one} ^ {*other} if name.startswith(PER_MEASURE)}
    if any(print_.get("adapter_digest", "") is None for print_ in (one, other)):
        left_out.add("trained_in")
    is_served = any(print_.get(_NO_DIGEST, "") is None for print_ in (one, other))
    return left_out | {_NO_DIGEST if is_served else "base"}


def _shown(print_: Fingerprint, field: str) -> str:
    if field not in print_:
        return _UNKNOWN
    value = print_[field]
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {value[name]}" for name in sorted(value))
    return "none" if value is None else str(value)


def _remedy(found: Disagreement) -> str:
    if _UNKNOWN in (found.one, found.other):
        return "a run of an earlier version, or of predictions from elsewhere, has to be predicted anew to be known"
    return _MENDED_BY.get(found.field.partition("/")[0], f"predict or evaluate with the same {found.field}")
