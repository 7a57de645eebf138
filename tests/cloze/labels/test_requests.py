"""What is sent: `pred` never holds anything of panel 6, and whatever an answer may depend on is in the key."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.labels.cost import picture_tokens
from cloze.labels.prompts import MAX_LETTERING
from cloze.labels.requests import Asking, plan_requests, request_body, shown_panels
from cloze.tables import table

ASKING = Asking(
    paradigm="pred",
    form="paragraph",
    model="gemini-3.1-flash-lite",
    resolution="low",
    temperature=0.3,
    top_p=0.9,
    max_output_tokens=512,
)
# Of letters that no prompt of ours and no JSON has, so that finding one means that it came from the panel.
STRANGE = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=30)


def panel(number: int, text: str) -> dict[str, str]:
    return {"panel_id": f"1/2_{number}", "image": f"1/2_{number}.jpg", "text": text}


def sequence(texts: list[str], target: dict[str, str] | None = None) -> dict[str, Any]:
    panels = [panel(number, text) for number, text in enumerate(texts)]
    target = target or panels[5]
    return {
        "sequence_id": target["panel_id"],
        "book": 1,
        "story": 0,
        "group": 1,
        "split": "train",
        "context": panels[:5],
        "target": target,
    }


def named(name: str) -> dict[str, Any]:
    return {"fileData": {"mimeType": "image/jpeg", "fileUri": f"gs://comics/{name}"}}


def body(row: dict[str, Any], asking: Asking = ASKING, attempt: int = 1) -> dict[str, Any]:
    return request_body(shown_panels(row, asking.paradigm), asking, attempt, named)


def keys(rows: list[dict[str, Any]], asking: Asking = ASKING) -> list[str]:
    return [request.key for request in plan_requests(table("sequences", rows), asking, (384, 384))]


@given(context=st.lists(STRANGE, min_size=5, max_size=5), secret=STRANGE, form=st.sampled_from(["paragraph", "json"]))
def test_a_pred_request_holds_nothing_of_panel_6(context, secret, form):
    hidden = {"panel_id": f"9/9_{secret}", "image": f"9/9_{secret}.jpg", "text": f"ͳ{secret}ͳ"}
    sent = json.dumps(body(sequence(context, hidden), replace(ASKING, form=form)), ensure_ascii=False)
    assert "9/9_" not in sent
    assert "ͳ" not in sent
    other = body(sequence(context, panel(5, "another")), replace(ASKING, form=form))
    assert json.dumps(other, ensure_ascii=False) == sent


@given(texts=st.lists(STRANGE, min_size=6, max_size=6))
def test_a_descp_request_shows_all_six_panels_in_order_and_the_lettering_of_the_last(texts):
    parts = body(sequence(texts), replace(ASKING, paradigm="descp"))["contents"][0]["parts"]
    pictures = [part["fileData"]["fileUri"] for part in parts if "fileData" in part]
    assert pictures == [f"gs://comics/1/2_{number}.jpg" for number in range(6)]
    assert texts[5] in "".join(part.get("text", "") for part in parts)


CHANGES = [
    {"paradigm": "descp"},
    {"form": "json"},
    {"model": "gemini-3.5-flash-lite"},
    {"resolution": "high"},
    {"temperature": 0.0},
    {"max_output_tokens": 64},
    {"images": "sample:1:abc"},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_an_answer_may_depend_on_makes_another_key(change):
    rows = [sequence(["a", "b", "c", "d", "e", "f"])]
    assert keys(rows) == keys(rows)
    assert keys(rows) != keys(rows, replace(ASKING, **change))


def test_a_changed_panel_makes_another_key_but_a_changed_target_does_not_under_pred():
    rows = [sequence(["a", "b", "c", "d", "e", "f"])]
    assert keys([sequence(["a", "b", "c", "d", "changed", "f"])]) != keys(rows)
    assert keys([sequence(["a", "b", "c", "d", "e", "changed"])]) == keys(rows)
    descp = replace(ASKING, paradigm="descp")
    assert keys([sequence(["a", "b", "c", "d", "e", "changed"])], descp) != keys(rows, descp)


def test_each_attempt_has_another_seed_and_more_room():
    configs = [body(sequence(["x"] * 6), attempt=attempt)["generationConfig"] for attempt in (1, 2, 3)]
    assert [config["seed"] for config in configs] == [1, 2, 3]
    assert [config["maxOutputTokens"] for config in configs] == [512, 1024, 2048]


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("gemini-2.5-flash-lite", {"thinkingBudget": 0}),
        ("gemini-3.1-flash-lite", {"thinkingLevel": "MINIMAL"}),
        ("qwen3-vl", None),
    ],
)
def test_each_family_is_told_not_to_think_in_its_own_words(model, thinking):
    assert body(sequence(["x"] * 6), replace(ASKING, model=model))["generationConfig"].get("thinkingConfig") == thinking


def test_json_is_asked_for_with_a_schema():
    config = body(sequence(["x"] * 6), replace(ASKING, form="json"))["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["additionalProperties"] is False


def test_the_estimate_counts_pictures_by_the_provider_s_rule_and_words_by_their_length():
    (pred,) = plan_requests(table("sequences", [sequence(["x" * MAX_LETTERING] * 6)]), ASKING, (384, 384))
    (descp,) = plan_requests(
        table("sequences", [sequence(["x" * MAX_LETTERING] * 6)]), replace(ASKING, paradigm="descp"), (384, 384)
    )
    pictures = picture_tokens(ASKING.model, "low", 384, 384)
    assert pred.est_input_tokens > 5 * pictures + 5 * MAX_LETTERING / 4
    assert descp.est_input_tokens > 6 * pictures
    assert 0 < pred.est_output_tokens <= 512
