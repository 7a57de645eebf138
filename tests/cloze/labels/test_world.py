import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.errors import DataError, SettingsError
from cloze.labels.labelling import LabelSettings, label
from cloze.labels.prompts import prompt_digest
from cloze.labels.world import tell_target
from cloze.sample.grammar import facts, foretell, scene_facts
from cloze.sample.world import sample_uri, story_panels, world_digest
from cloze.settings import parse
from cloze.stage import Workspace
from cloze.tables import images_uri, read_table, table, write_table

SEED = 42
PANELS = story_panels(SEED)
IDS = list(PANELS)


def sequence(start: int, **changes: str) -> dict[str, Any]:
    """Six panels in a row, as a row of the sequences table; `changes` may name another target."""
    refs = [{"panel_id": name, "image": f"{name}.jpg", "text": ""} for name in IDS[start : start + 6]]
    target = refs[-1] | changes
    return {
        "sequence_id": IDS[start + 5],
        "book": 1,
        "story": 0,
        "group": 1,
        "split": "train",
        "context": refs[:-1],
        "target": target,
    }


def workspace(folder: Path) -> Workspace:
    folder.mkdir(exist_ok=True)
    return Workspace(out=folder, cache=folder, log_metrics=lambda metrics, step: None, state=folder)


def labels_of(folder: Path, rows: list[dict[str, Any]], paradigm: str = "pred", uri: str | None = None) -> Any:
    path = folder / "sequences.parquet"
    write_table(table("sequences", rows, sample_uri(SEED) if uri is None else uri), path)
    counts = label(LabelSettings(sequences=str(path), paradigm=paradigm), workspace(folder / "out"))
    return counts, read_table(folder / "out" / "labels.parquet", "labels")


@pytest.mark.parametrize("paradigm", ["pred", "descp"])
def test_every_sequence_gets_a_label_that_says_who_made_it_from_what(tmp_path, paradigm):
    counts, labels = labels_of(tmp_path, [sequence(start) for start in range(0, 60, 6)], paradigm)
    assert counts == {"labels": 10, "labels_ok": 10, "labels_failed": 0}
    assert images_uri(labels) == sample_uri(SEED)
    for row in labels.to_pylist():
        assert (row["paradigm"], row["state"], row["labeller"], row["cost_usd"]) == (paradigm, "ok", "world", 0.0)
        assert row["model"] == f"world-{world_digest()}"
        assert row["prompt_digest"] == prompt_digest(paradigm)
        assert row["input_tokens"] is None


def test_a_pred_label_is_the_same_whatever_the_target_is_and_a_descp_label_is_not(tmp_path):
    rows = [sequence(2), sequence(2, panel_id=IDS[300])]
    texts = {}
    for paradigm in ("pred", "descp"):
        (tmp_path / paradigm).mkdir()
        texts[paradigm] = labels_of(tmp_path / paradigm, rows, paradigm)[1]["text"].to_pylist()
    assert texts["pred"][0] == texts["pred"][1]
    assert texts["descp"][0] != texts["descp"][1]


@given(start=st.integers(0, len(IDS) - 6), other=st.integers(0, len(IDS) - 1))
def test_a_pred_label_depends_on_the_context_only(start, other):
    context, target = ([PANELS[name] for name in IDS[start : start + 5]], PANELS[IDS[start + 5]])
    assert tell_target([*context, target], "pred") == tell_target([*context, PANELS[IDS[other]]], "pred")


@given(start=st.integers(0, len(IDS) - 6))
def test_labels_have_18_to_40_words_in_one_paragraph_and_hold_their_facts(start):
    panels = [PANELS[name] for name in IDS[start : start + 6]]
    told = {"pred": scene_facts(foretell(panels[:5])), "descp": facts(panels[5])}
    for paradigm, values in told.items():
        text = tell_target(panels, paradigm)
        assert 18 <= len(text.split()) <= 40
        assert "\n" not in text
        assert all(re.search(rf"\b{value}\b", text) for value in values.values()), text


def test_pred_labels_are_shorter_and_say_less_that_is_new_than_descp_labels():
    told = {
        paradigm: [tell_target([PANELS[name] for name in IDS[start : start + 6]], paradigm) for start in range(1500)]
        for paradigm in ("pred", "descp")
    }
    length, packed = (
        [measure(" ".join(told[paradigm]).encode()) for paradigm in ("pred", "descp")]
        for measure in (len, lambda text: len(zlib.compress(text, 9)))
    )
    assert length[0] < 0.95 * length[1]
    assert packed[0] < 0.85 * packed[1]


def test_a_sequence_with_a_panel_of_no_story_fails_and_is_counted(tmp_path):
    counts, labels = labels_of(tmp_path, [sequence(0), sequence(6, panel_id="1/0_0")])
    assert counts == {"labels": 2, "labels_ok": 1, "labels_failed": 1}
    failed = labels.to_pylist()[1]
    assert (failed["state"], failed["text"]) == ("failed", None)
    assert failed["reason"] == "not a panel of any story: 1/0_0"


@pytest.mark.parametrize("uri", ["/data/comics", ""])
def test_real_comics_are_refused_with_what_to_do(tmp_path, uri):
    with pytest.raises(DataError, match=r"sequences\.parquet: .* knows the drawn sample only.*pred_labels=none"):
        labels_of(tmp_path, [sequence(0)], uri=uri)
    assert not list((tmp_path / "out").iterdir())


def test_sequences_of_another_version_of_the_sample_are_refused(tmp_path):
    with pytest.raises(DataError, match="another version of the drawn sample"):
        labels_of(tmp_path, [sequence(0)], uri="sample:42:0123456789ab")


@pytest.mark.parametrize(("name", "value"), [("paradigm", "predict"), ("labeller", "gpt")])
def test_an_unknown_paradigm_or_labeller_is_a_settings_error(name, value):
    with pytest.raises(SettingsError, match=rf"{name} is '{value}'; it must be one of"):
        LabelSettings(**{name: value})
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        parse(LabelSettings, {name: value})
