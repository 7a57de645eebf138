"""A study small enough to make in seconds: drawn panels, six evaluated runs, and the file that describes them.

Text that would run as script stands wherever text comes from comics, labels, models or people.
"""

import hashlib
import json
import math
import random
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

from cloze.tables import table, write_table
from tests.cloze.scoring.tiny import fact, label, prediction, run, write

# Everything that has been used to get out of an element, an attribute, a JSON string or a script.
ESCAPES = "</script><script>document.title = 'smuggled'</script> <!-- <script> ]]> \u2028 javascript:alert(1) \\u003c"
SCRIPT = f"<script>document.title = 'smuggled'</script>\"><img src=x onerror=\"document.title = 'smuggled'\"> {ESCAPES}"
WHO, PLACE, THING = ("Ann", "Bert", "Cleo"), ("harbour", "forest", "attic"), ("lantern", "letter", "rope")
COLOURS = {"harbour": "#9cc9e8", "forest": "#a9d3a0", "attic": "#d8c3a0"}
SEEN_IN = {"who": "both", "place": "picture", "thing": "lettering"}


class Place(NamedTuple):
    """A run of the study: condition, paradigm, what is hidden, and how often a fact is right, by where it is seen."""

    condition: str
    paradigm: str
    blind: str
    skill: dict[str, float]


RUNS = [
    Place("fine-tuned", "pred", "images", {"both": 0.6, "picture": 0.3, "lettering": 0.8}),
    Place("fine-tuned", "descp", "none", {"both": 0.8, "picture": 0.7, "lettering": 0.6}),
    Place("zero-shot", "pred", "none", {"both": 0.4, "picture": 0.3, "lettering": 0.3}),
    Place("zero-shot", "descp", "none", {"both": 0.4, "picture": 0.3, "lettering": 0.3}),
    Place("fine-tuned", "pred", "none", {"both": 0.9, "picture": 0.8, "lettering": 0.8}),
    Place("fine-tuned", "pred", "text", {"both": 0.7, "picture": 0.8, "lettering": 0.3}),
]

# What a run of `render` logs; the LoRA's base was not drawn with.
DRAWN = {
    "renders": 14.0,
    "near_copies_drawings": 0.0,
    "eval/panel6/palette": 0.61,
    "ci_low/panel6/palette": 0.52,
    "ci_high/panel6/palette": 0.7,
    "floor/panel5/panel6/palette": 0.55,
    "floor/foreign/panel6/palette": 0.31,
    "floor/foreign_drawing/panel6/palette": 0.35,
    "lift/panel6/palette": 0.06,
    "ci_low/lift/panel6/palette": -0.02,
    "ci_high/lift/panel6/palette": 0.14,
    "closer/foreign_drawing/panel6/palette": 0.86,
    "ci_low/closer/foreign_drawing/panel6/palette": 0.7,
    "ci_high/closer/foreign_drawing/panel6/palette": 0.95,
    "eval/panel6/structure": -0.02,
    "floor/panel5/panel6/structure": 0.11,
}

DECISIONS = [
    {
        "model": "cloze-pred",
        "decision": decision,
        "version": version,
        "champion_before": before,
        "champion_after": "1",
        "policy": "default 0123456789ab",
        "reason": f"lift +0.2 <b>[+0.1, +0.3] {SCRIPT}",
        "decided_at": f"2026-01-0{version} 12:00:00",
        "run_id": version * 32,
    }
    for decision, version, before in (("promoted", "1", None), ("refused", "2", "1"))
]


def write_study(folder: Path, places: list[Place] = RUNS, books: int = 8, is_real: bool = False) -> Path:
    """Write tables, pictures and `cells.json`; real comics have neither labels nor facts."""
    folder.mkdir(parents=True, exist_ok=True)
    scenes = {f"{book}/1_{i}": _scene(book, i) for book in range(1, books + 1) for i in range(8)}
    images = {key: _draw(folder / "images", key, scene) for key, scene in scenes.items()}
    rows = _sequences(scenes, images)
    sequences = folder / "sequences.parquet"
    write_table(table("sequences", rows, str((folder / "images").resolve())), sequences)
    known = {} if is_real else _known(folder, [row["sequence_id"] for row in rows], scenes)
    made = {
        name: write(folder, "predictions", _predictions(place, rows, scenes), name)
        for name, place in {_predictor(place): place for place in places}.items()
    }
    drawn = {"fine-tuned-pred-none": _render(folder / "renders", rows, scenes)} if not is_real else {}
    cells = [
        _cell(folder / f"run{i}", place, {"sequences": str(sequences), "predictions": made[_predictor(place)]} | known)
        for i, place in enumerate(places)
    ]
    for cell, place in zip(cells, places, strict=True):
        cell["tables"]["renders"] = drawn.get(_predictor(place))
        cell["drawn"] = DRAWN if cell["tables"]["renders"] else {}
    path = folder / "cells.json"
    path.write_text(json.dumps({"tracking_uri": "sqlite:///mlflow.db", "cells": cells, "decisions": DECISIONS}))
    return path


def _scene(book: int, number: int) -> dict[str, str]:
    rng = random.Random(f"{book}/{number}")  # noqa: S311
    return {"who": WHO[book % 3], "place": rng.choice(PLACE), "thing": rng.choice(THING)}


def _draw(folder: Path, panel_id: str, scene: dict[str, str]) -> str | None:
    """A picture; the first book lacks one, and has one that is no picture."""
    if panel_id == "1/1_2":
        return None
    name = f"{panel_id}.jpg"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if panel_id == "1/1_3":
        path.write_bytes(b"not a picture")
        return name
    image = Image.new("RGB", (360, 300 + 40 * (int(panel_id[-1]) % 3)), COLOURS[scene["place"]])
    draw = ImageDraw.Draw(image)
    draw.ellipse((150, 130, 210, 190), fill="#f3d2b3", outline="black", width=3)
    draw.rectangle((155, 190, 205, 290), fill={"Ann": "#b03a48", "Bert": "#35507a", "Cleo": "#7a5c99"}[scene["who"]])
    draw.rounded_rectangle((30, 20, 330, 90), 20, fill="white", outline="black", width=3)
    draw.text((50, 45), f"{scene['who']}: my {scene['thing']}!", fill="black", font_size=24)
    image.save(path)
    return name


def _render(folder: Path, rows: list[dict[str, Any]], scenes: dict[str, dict[str, str]]) -> str:
    """Panels drawn from all predictions but those for book 2; one of them is no picture."""
    found = []
    for row in (row for row in rows if row["book"] != 2):
        name = f"panels/{row['sequence_id']}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), COLOURS[scenes[row["sequence_id"]]["place"]]).save(folder / name)
        found.append({"sequence_id": row["sequence_id"], "image": name, "prompt": SCRIPT, "seed": 1, "metrics": []})
    (folder / found[0]["image"]).write_bytes(b"not a picture")
    write_table(table("renders", found), folder / "renders.parquet")
    return str(folder / "renders.parquet")


def _text(panel_id: str, scene: dict[str, str]) -> str:
    return f"{scene['who'].upper()}! WHERE IS MY {scene['thing'].upper()}?" + (SCRIPT if panel_id == "2/1_3" else "")


def _sequences(scenes: dict[str, dict[str, str]], images: dict[str, str | None]) -> list[dict[str, Any]]:
    keys = list(scenes)
    panels = [{"panel_id": key, "image": images[key], "text": _text(key, scenes[key])} for key in keys]
    starts = [i for i in range(len(keys) - 5) if keys[i].split("/")[0] == keys[i + 5].split("/")[0]]
    return [
        {
            "sequence_id": keys[i + 5],
            "book": int(keys[i].split("/")[0]),
            "story": 0,
            "group": int(keys[i].split("/")[0]),
            "split": "test",
            "context": panels[i : i + 5],
            "target": panels[i + 5],
        }
        for i in starts
    ]


def _tell(scene: dict[str, str]) -> str:
    return f"{scene['who']} is in the {scene['place']} and looks for the {scene['thing']}."


def _known(folder: Path, ids: list[str], scenes: dict[str, dict[str, str]]) -> dict[str, str]:
    rows = {
        paradigm: [label(key, f"{start} {_tell(scenes[key])}", paradigm) for key in ids]
        for paradigm, start in (("pred", "In the next panel,"), ("descp", "The panel shows this:"))
    }
    for paradigm in rows:
        rows[paradigm][1]["text"] += SCRIPT.replace('"', "'")  # a quotation would be dialogue
    rows["pred"][3] = label(ids[3], None, "pred", "blocked")
    rows["pred"][3]["reason"] = SCRIPT
    facts = [fact(key, scene[name], SEEN_IN[name], name) for key, scene in scenes.items() for name in SEEN_IN]
    return {
        f"{paradigm}_labels": write(folder, "labels", rows[paradigm], f"{paradigm}_labels") for paradigm in rows
    } | {"facts": write(folder, "facts", facts)}


def _predictor(place: Place) -> str:
    """Zero-shot predictions do not depend on the paradigm: a study makes them once."""
    return f"{place.condition}-{place.paradigm if place.condition == 'fine-tuned' else ''}-{place.blind}"


def _predictions(place: Place, rows: list[dict[str, Any]], scenes: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    return [
        prediction(row["sequence_id"], _predict(place, row["sequence_id"], scenes[row["sequence_id"]]))
        | {"prompt_tokens": 812, "output_tokens": 20 + i % 7, "seconds": 0.31}
        | {"finish_reason": "length" if i == 5 else "stop"}
        for i, row in enumerate(rows)
    ]


def _predict(place: Place, key: str, scene: dict[str, str]) -> str:
    rng = random.Random(f"{_predictor(place)}/{key}")  # noqa: S311
    choices = {"who": WHO, "place": PLACE, "thing": THING}
    seen = {n: v if rng.random() < place.skill[SEEN_IN[n]] else rng.choice(choices[n]) for n, v in scene.items()}
    text = "" if key == "3/1_6" and place.condition == "zero-shot" else _tell(seen)
    return text + (SCRIPT if key == "4/1_7" else "")


def _cell(folder: Path, place: Place, tables: dict[str, str]) -> dict[str, Any]:
    metrics = run(folder, **tables)
    is_tuned = place.condition == "fine-tuned"
    slope = 25 if place.paradigm == "pred" else 35
    curve = [[step, 3 * math.exp(-step / slope) + 0.1 * math.sin(step)] for step in range(60)]
    trained = {"masking_ratio": 0.9523, "supervised_tokens": 48211.0, "train/loss": curve[-1][1]}
    absent = dict.fromkeys(("pred_labels", "descp_labels", "facts"))
    return {
        "run_id": hashlib.sha256(str(folder.name).encode()).hexdigest()[:32],
        "run_name": f"eval-{place.paradigm}-{SCRIPT if place.blind == 'text' else place.blind}",
        "paradigm": place.paradigm,
        "condition": place.condition,
        "blind": place.blind,
        "metrics": metrics | (trained if is_tuned else {}),
        "curves": {"train/loss": curve} if is_tuned else {},
        "settings": {"seed": "42", "resamples": "200", "paradigm": place.paradigm},
        "fingerprint": fingerprint(place),
        "signatures": json.loads((folder / "out" / "signatures.json").read_text()),
        "tables": absent | tables | {"scores": str(folder / "out" / "scores.parquet")},
    }


def fingerprint(place: Place) -> dict[str, Any]:
    """As `predict` writes it."""
    is_tuned = place.condition == "fine-tuned"
    return {
        "base": "sample",
        "base_digest": "b" * 64,
        "adapter_digest": hashlib.sha256(place.paradigm.encode()).hexdigest() if is_tuned else None,
        "prompt_digest": "c" * 64,
        "decoding": {"strategy": "greedy", "max_new_tokens": 96},
        "precision": "fp32",
        "trained_in": {"precision": "fp32", "quantise": "none"} if is_tuned else None,
        "image_layout": "multi",
        "blind": place.blind,
        "sequences_digest": "d" * 64,
    }
