"""Labels of the drawn sample by one who knows its script: the labeller `world`.

`pred` tells the likeliest sixth panel given the first five, and nothing else; `descp` tells what the sixth shows.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloze.errors import DataError, SettingsError
from cloze.labels.prompts import PARADIGMS, prompt_digest
from cloze.sample.grammar import Panel, foretell
from cloze.sample.telling import tell
from cloze.sample.world import SCHEME, sample_seed, story_panels, world_digest
from cloze.settings import setting, table_input
from cloze.stage import Workspace

LABELLERS = ("world",)


@dataclass(frozen=True, kw_only=True)
class LabelSettings:
    """What a user may set when sequences are labelled."""

    sequences: str = table_input(
        "Sequences to label, a Parquet file.", made_by="sequences", artifact="sequences.parquet"
    )
    paradigm: str = setting(
        "pred: the labeller sees the context and predicts the target; descp: it sees all panels and describes it.",
        default="pred",
        choices=PARADIGMS,
    )
    labeller: str = setting(
        "Who labels; world knows the script of the drawn sample.", default="world", choices=LABELLERS
    )

    def __post_init__(self) -> None:
        for name, allowed in (("paradigm", PARADIGMS), ("labeller", LABELLERS)):
            if getattr(self, name) not in allowed:
                raise SettingsError(name, getattr(self, name), f"one of {', '.join(allowed)}")


def label(settings: LabelSettings, workspace: Workspace) -> dict[str, float]:
    """Write one label per sequence: `ok`, or `failed` where a panel belongs to no story (an advert left in, say).

    Raises:
        DataError: the sequences are not of the drawn sample, or of one that other code drew.
    """
    from cloze.tables import images_uri, read_table, table, write_table

    sequences = read_table(settings.sequences, "sequences", ["sequence_id", "context", "target"])
    panels = story_panels(_seed(images_uri(sequences), settings.sequences))
    common = _common(settings)
    rows = [common | _outcome(sequence, settings.paradigm, panels) for sequence in sequences.to_pylist()]
    write_table(table("labels", rows, images_uri(sequences)), workspace.out / "labels.parquet")
    states = Counter(row["state"] for row in rows)
    return {"labels": len(rows), **{f"labels_{state}": states[state] for state in ("ok", "failed")}}


def tell_target(panels: list[Panel], paradigm: str) -> str:
    """Text of the label.

    Args:
        panels: the context, then the target. `pred` never looks at the target.
        paradigm: `pred` or `descp`.
    """
    *context, target = panels
    return tell(foretell(context)) if paradigm == "pred" else tell(target.scene)


def _seed(uri: str, sequences: str) -> int:
    if not uri.startswith(f"{SCHEME}:"):
        raise DataError(
            sequences,
            f"the labeller world knows the drawn sample only; these pictures lie in {uri or 'no named folder'}",
            "labels of real comics come from labeller gemini in a later step; `-e eval` does without: "
            "`-P pred_labels=none -P descp_labels=none`",
        )
    return sample_seed(uri, sequences)


def _common(settings: LabelSettings) -> dict[str, Any]:
    """What all rows of the run share."""
    return {
        "paradigm": settings.paradigm,
        "labeller": settings.labeller,
        "model": f"world-{world_digest()}",
        "prompt_digest": prompt_digest(settings.paradigm),
        "cost_usd": 0.0,
    }


def _outcome(sequence: Mapping[str, Any], paradigm: str, panels: Mapping[str, Panel]) -> dict[str, Any]:
    """State and text of one label, and the reason where there is no text."""
    shown = [panel["panel_id"] for panel in (*sequence["context"], sequence["target"])]
    strange = [panel_id for panel_id in shown if panel_id not in panels]
    return {
        "sequence_id": sequence["sequence_id"],
        "state": "failed" if strange else "ok",
        "text": None if strange else tell_target([panels[panel_id] for panel_id in shown], paradigm),
        "reason": f"not a panel of any story: {', '.join(strange)}" if strange else None,
    }
