"""The report says what the runs' metrics say, on one page that runs nothing and asks for nothing."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cloze.errors import DataError, SettingsError
from cloze.reporting.cells import read_cells
from cloze.reporting.page import N_PLAIN
from cloze.reporting.report import ReportSettings
from cloze.scoring.floors import FLOORS
from cloze.tables import read_table, table, write_table
from tests.cloze.reporting.conftest import Built, build
from tests.cloze.reporting.study import RUNS, SCRIPT, write_study
from tests.cloze.scoring.tiny import prediction, run


def strips_data(report: Built) -> dict[str, Any]:
    """What the viewer reads."""
    (text,) = re.findall(r'<script type="application/json" id="strips-data">(.*?)</script>', report.html, re.DOTALL)
    return json.loads(text)


def test_each_score_stands_with_its_interval_floor_and_lift(report, study):
    metrics = read_cells(study).cells[2].metrics
    rows = re.findall(r'<th scope="row">fine-tuned · pred</th>\s*(.*?)</tr>', report.html, re.DOTALL)
    text = " ".join(re.sub(r"<[^>]+>", " ", rows[0]).split())
    low, high = (f"{metrics[f'{end}/pred/rougeL']:.3f}" for end in ("ci_low", "ci_high"))
    assert text.startswith(f"{metrics['eval/pred/rougeL']:.3f} [{low}, {high}] lift ")
    floors = {name: metrics[f"floor/{name}/pred/rougeL"] for name in FLOORS}
    best = max(floors, key=floors.__getitem__)
    assert f"floor {floors[best]:.3f} ({best}), labels {metrics['floor/labels/pred/rougeL']:.3f}" in text


def test_text_of_others_is_never_markup(report):
    assert report.html.count("&lt;script&gt;") >= 3  # lettering, a prediction, the name of a run
    assert SCRIPT not in report.html
    assert re.findall("<script[^>]*>", report.html) == ['<script type="application/json" id="strips-data">', "<script>"]
    assert report.html.count("</script>") == 2
    assert "<img" not in report.html


def test_the_page_names_nothing_outside_itself(report):
    targets = re.findall(r'(?:href|src|action|srcset|poster)="([^"]*)"', report.html)
    assert targets
    assert {target[:5] for target in targets if not target.startswith("#")} == {"data:"}
    assert not re.search(r"@import|url\((?!#)", report.html)


def test_each_picture_is_in_the_page_once(report):
    inside = re.findall(r'href="data:image/webp;base64,([^"]+)"', report.html)
    data = [*inside, *strips_data(report)["pictures"].values()]
    uses = re.findall(r'<use href="#picture-0-\d+"', report.html)
    assert len(inside) == len(set(re.findall(r'<image id="([^"]+)"', report.html)))
    assert len(data) == report.metrics["n_pictures"]
    assert len(uses) > len(inside)
    assert all(report.html.count(picture) == 1 for picture in set(data))


def test_pictures_that_are_missing_or_unreadable_are_said_to_be(report):
    assert "no picture of this panel" in report.html
    assert "picture cannot be read" in report.html
    assert report.metrics["missing_pictures"] == 2  # a panel of the comics, and one that was drawn


def test_the_same_runs_make_the_same_bytes(report, study, tmp_path):
    assert build(study, tmp_path).html == report.html
    assert (tmp_path / "out" / "two_by_two.txt").read_text().startswith("ROUGE-L against")


def test_rows_that_hold_the_same_predictions_are_said_to(report):
    assert "The rows zero-shot · pred and zero-shot · descp hold the same predictions." in report.html


def test_curves_are_drawn_once_for_an_adapter_that_several_runs_judge(report):
    plots = report.html.split('<section id="training">')[1]
    legend = re.findall(r">(fine-tuned [^<]*)</text>", plots)
    assert legend == ["fine-tuned · pred", "fine-tuned · descp"]


def test_panel_6_is_hidden_until_asked(report):
    strips = report.html.split('<article class="strip" data-sequence=')[1:]
    assert len(strips) == 4 * N_PLAIN
    for strip in strips:
        before, after = strip.split("<summary>Show panel 6</summary>")
        target = strip.split('"')[1]
        assert f'aria-label="panel {target}"' not in before
        assert "The panel shows this" not in before
        assert f'aria-label="panel {target}"' in after


def test_the_viewer_has_every_strip_with_the_score_of_each_condition(report, study):
    data = strips_data(report)
    assert len({strip["id"] for strip in data["strips"]}) == len(data["strips"]) == report.metrics["n_strips"] == 24
    cells = [cell for cell in read_cells(study).cells if not cell.is_blind]
    assert data["titles"] == [cell.title for cell in cells]
    for number, cell in enumerate(cells):
        scores = read_table(str(cell.tables["scores"]), "scores").to_pandas()
        facts = scores[(scores.reference == "facts") & (scores.metric == "recall")].set_index("sequence_id")["score"]
        assert {strip["id"]: strip["scores"][number] for strip in data["strips"]} == facts.to_dict()


def test_a_prediction_that_was_drawn_has_its_panel_beside_it(report):
    data = strips_data(report)
    drawn = {
        (strip["book"], answer["drawn"].get("gap", "picture"))
        for strip in data["strips"]
        for answer in strip["answers"]
        if "drawn" in answer
    }
    assert drawn == {(book, "picture") for book in (1, 3, 4, 5, 6, 7, 8)} | {(1, "picture cannot be read")}
    (author,) = {
        by for s in data["strips"] for a in s["answers"] if "drawn" in a for by in a["by"] if len(a["by"]) == 1
    }
    assert data["titles"][author] == "fine-tuned · pred"
    assert report.metrics["n_drawn"] == 3  # the same picture is in the page once
    assert report.html.count("drawn from this text</figcaption>") >= 4


def test_the_only_script_that_may_run_is_the_viewer(report):
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', report.html)
    (script,) = re.findall(r"<script>(.*?)</script>", report.html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert [part for part in policy.split("; ") if part.startswith("script-src")] == [f"script-src 'sha256-{digest}'"]


def test_labels_are_counted_by_state(report):
    (rows,) = re.findall(r'<section id="labels">(.*?)</section>', report.html, re.DOTALL)
    text = " ".join(re.sub(r"<[^>]+>", " ", rows).split())
    assert "labels ok blocked" in text
    assert "24 23 (95.83 %) 1 (4.17 %)" in text
    assert "24 24 (100.00 %) 0 (0.00 %)" in text


def test_one_run_of_real_comics_has_a_report_that_says_what_is_absent(tmp_path):
    zero_shot = next(place for place in RUNS if place.condition == "zero-shot")
    cells = write_study(tmp_path / "study", [zero_shot._replace(paradigm="auto")], books=1, is_real=True)
    built = build(cells, tmp_path)
    assert built.metrics["n_strips"] == 3
    assert "Facts are known for the drawn sample only" in built.html
    assert "no paradigm has both" in built.html
    assert "No curves" in built.html
    assert "interval unknown" in built.html  # one book
    assert "zero-shot · no labels" in built.html


def test_strips_can_be_left_out_and_pictures_can_be_gone(study, tmp_path):
    assert build(study, tmp_path / "none", strips=0).metrics["n_strips"] == 0
    cells = write_study(tmp_path / "study", RUNS[:1], books=2)
    (tmp_path / "study" / "images").rename(tmp_path / "moved")
    built = build(cells, tmp_path / "moved-report")
    assert "No pictures: " in built.html
    assert "no such folder" in built.html


def test_real_strips_are_shown_with_the_text_of_the_model(real_data, tmp_path):
    comics = real_data / "real_comics"
    found = json.loads((comics / "golden_age_sequences.json").read_text())
    rows = [_real_sequence(story) for story in found if story["comic_no"] != 54]
    texts = [story["model_prediction"] for story in found if story["comic_no"] != 54]
    sequences, predictions = tmp_path / "sequences.parquet", tmp_path / "predictions.parquet"
    write_table(table("sequences", rows, str(comics / "images")), sequences)
    named = [prediction(row["sequence_id"], text) for row, text in zip(rows, texts, strict=True)]
    write_table(table("predictions", named), predictions)
    tables = {"sequences": str(sequences), "predictions": str(predictions)}
    metrics = run(tmp_path / "eval", **tables)
    tables |= {"scores": str(tmp_path / "eval" / "out" / "scores.parquet")}
    place = {"run_id": "0", "run_name": "real", "paradigm": "auto", "condition": "zero-shot", "blind": "none"}
    cell = place | {
        "metrics": metrics,
        "curves": {},
        "settings": {},
        "fingerprint": {},
        "signatures": {},
        "drawn": {},
        "tables": tables,
    }
    cells = tmp_path / "cells.json"
    cells.write_text(json.dumps({"tracking_uri": "", "cells": [cell], "decisions": []}))
    built = build(cells, tmp_path / "report")
    assert built.metrics["n_strips"] == len(rows) > 0
    assert built.metrics["n_pictures"] == 6 * len(rows)
    assert built.metrics["missing_pictures"] == 0
    assert texts[0][:40] in built.html


def _real_sequence(story: dict[str, Any]) -> dict[str, Any]:
    panels = [
        {"panel_id": f"{b}/{p}_{n}", "image": f"{b}/{p}_{n}.jpg", "text": ""}
        for b, p, n in [*story["context"], story["target"]]
    ]
    target = panels[-1] | {"text": story["target_text"]}
    book = {"book": story["comic_no"], "story": 0, "group": story["comic_no"], "split": "test"}
    return {"sequence_id": target["panel_id"], "context": panels[:-1], "target": target} | book


@pytest.mark.parametrize("strips", [-1, 1001])
def test_a_number_of_strips_out_of_range_is_refused(strips):
    with pytest.raises(SettingsError, match="it must be from 0 to 1000"):
        ReportSettings(strips=strips)


def changed(study: Path, folder: Path, number: int, **fields: Any) -> Path:
    """The description of the study, with the fingerprint of one run changed; a field that is None is taken out."""
    described = json.loads(study.read_text())
    print_ = described["cells"][number]["fingerprint"] | fields
    described["cells"][number]["fingerprint"] = {name: value for name, value in print_.items() if value is not None}
    path = folder / "cells.json"
    path.write_text(json.dumps(described))
    return path


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"precision": "bf16"}, r"precision is fp32 and bf16; predict with `-P precision=\.\.\.` of the other"),
        ({"prompt_digest": None}, "prompt_digest is c+ and unknown; .*has to be predicted anew"),
        ({"decoding": {"strategy": "sampled"}}, "decoding is max_new_tokens 96, strategy greedy and strategy sampled"),
        ({"sequences_digest": "0"}, "sequences_digest is 24 sequences, d+ and 24 sequences, 0"),
    ],
)
def test_runs_that_may_not_be_compared_are_refused_by_field(study, tmp_path, fields, message):
    with pytest.raises(DataError, match=message):
        build(changed(study, tmp_path, 1, **fields), tmp_path)
    assert not list((tmp_path / "out").iterdir())


def test_runs_that_may_not_be_compared_are_marked_where_the_user_insists(study, tmp_path):
    built = build(changed(study, tmp_path, 1, precision="bf16"), tmp_path, strips=0, compare="mark")
    assert built.metrics["marked_runs"] == 1
    assert "zero-shot · pred and fine-tuned · descp †: precision is fp32 and bf16" in built.html
    rows = read_table(built.folder / "comparisons.parquet", "comparisons").to_pandas()
    differs = dict(zip(rows["contrast"], rows["differs"], strict=True))
    assert differs["fine-tuning on descp"] == differs["interaction"] == "precision"
    assert differs["fine-tuning on pred"] == ""
    assert re.search(r"fine-tuned · descp †: precision is fp32 and bf16", (built.folder / "two_by_two.txt").read_text())


def test_what_is_shown_of_comparisons_is_what_the_table_holds(report):
    rows = read_table(report.folder / "comparisons.parquet", "comparisons").to_pandas()
    assert report.metrics["n_comparisons"] == len(rows)
    chosen = rows[(rows.reference == "own") & (rows.metric == "rougeL") & (rows.contrast == "interaction")]
    (row,) = chosen.to_dict("records")
    cells = re.findall(
        r'<th scope="row">interaction[^<]*</th>\s*<td data-label="ROUGE-L">(.*?)</td>', report.html, re.S
    )
    shown = re.sub(r"<[^>]+>", " ", cells[0]).replace("\N{MINUS SIGN}", "-")
    assert f"{row['difference']:+.3f}" in shown
    assert f"corrected  {row['p_joint']:.3f}" in shown
    assert "interaction (difference of these two)" in (report.folder / "two_by_two.txt").read_text()


def test_another_word_for_compare_is_refused():
    with pytest.raises(SettingsError, match="compare is 'force'; it must be one of refuse, mark"):
        ReportSettings(compare="force")


def test_the_page_says_who_was_champion_when_and_why(report):
    section = report.html.partition('<section id="champions">')[2].partition("</section>")[0]
    newest, oldest = section.index("refused"), section.index("promoted")
    assert newest < oldest
    assert "lift +0.2 &lt;b&gt;[+0.1, +0.3]" in section
    assert "cloze-pred/1" in section
