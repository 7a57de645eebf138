"""Labels of the drawn sample by one who knows its script: the labeller `world`.

`pred` tells the likeliest sixth panel given the first five, and nothing else; `descp` tells what the sixth shows.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cloze.errors import DataError
from cloze.labels.prompts import prompt_digest
from cloze.sample.grammar import Panel, foretell
from cloze.sample.telling import tell
from cloze.sample.world import SCHEME, sample_seed, story_panels, world_digest
from cloze.shards import WHOLE, bounds, parse_shard
from cloze.stage import Workspace

LABELLER = "world"


def label_world(sequences: str, paradigm: str, workspace: Workspace, part: str = WHOLE) -> dict[str, float]:
    """Write one label per sequence: `ok`, or `failed` where a panel belongs to no story (an advert left in, say).

    Raises:
        DataError: the sequences are not of the drawn sample, or of one that other code drew.
    """
    from cloze.tables import images_uri, read_table, table, write_table

    found = read_table(sequences, "sequences", ["sequence_id", "context", "target"])
    first, end = bounds(found.num_rows, *parse_shard("part", part), sequences)
    found = found.slice(first, end - first)
    panels = story_panels(_seed(images_uri(found), sequences))
    common = _common(paradigm)
    rows = [common | _outcome(sequence, paradigm, panels) for sequence in found.to_pylist()]
    write_table(table("labels", rows, images_uri(found)), workspace.out / "labels.parquet")
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
            "label real comics with labeller=gemini-batch, gemini or openai; `-e eval` does without: "
            "`-P pred_labels=none -P descp_labels=none`",
        )
    return sample_seed(uri, sequences)


def _common(paradigm: str) -> dict[str, Any]:
    """What all rows of the run share."""
    return {
        "paradigm": paradigm,
        "labeller": LABELLER,
        "model": f"world-{world_digest()}",
        "prompt_digest": prompt_digest(paradigm),
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
