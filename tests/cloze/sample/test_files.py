import csv
import os
import re
import subprocess
import sys
from collections import defaultdict
from io import BytesIO

import pytest
from PIL import Image

from cloze.digests import folder_digest
from cloze.sample import vocabulary as words
from cloze.sample.books import make_books
from cloze.sample.captions import lettering
from cloze.sample.files import MISSING_BOOK, TRUNCATED_BOOK, draw_world, misread
from cloze.sample.grammar import stream
from cloze.sample.world import story_panels
from cloze.tables import read_table

SEED = 42


@pytest.fixture(scope="module")
def boxes(drawn):
    with (drawn / "COMICS_ocr_file.csv").open(encoding="utf-8", newline="") as stream_:
        return list(csv.DictReader(stream_))


@pytest.fixture(scope="module")
def read(boxes) -> dict[str, str]:
    """What OCR read on each panel."""
    texts = defaultdict(list)
    for box in boxes:
        texts[f"{box['comic_no']}/{box['page_no']}_{box['panel_no']}"].append(box["text"])
    return {panel_id: " ".join(text) for panel_id, text in texts.items()}


def test_every_panel_with_lettering_has_its_picture_but_the_missing_one(drawn, read):
    pictures = {
        f"{path.parent.name}/{path.stem}" for path in drawn.glob("raw_panel_images/*/*.jpg") if path.name[0] != "."
    }
    assert len(pictures) > 3800
    assert read.keys() - pictures == {f"{MISSING_BOOK}/2_1"}
    assert pictures <= read.keys()


def test_one_picture_is_truncated_and_the_others_are_whole(drawn):
    damaged = []
    for path in drawn.glob("raw_panel_images/5/[0-9]*.jpg"):
        try:
            Image.open(BytesIO(path.read_bytes())).load()
        except OSError:
            damaged.append(path.name)
    assert TRUNCATED_BOOK == 5
    assert damaged == ["2_1.jpg"]


def test_there_are_sidecar_files_to_skip(drawn):
    assert len(list(drawn.glob("raw_panel_images/*/._*.jpg"))) == 49


def test_ad_pages_are_named_and_say_what_adverts_say(drawn, read):
    pages = (drawn / "predadpages.txt").read_text().split()
    assert len(pages) > 100
    assert all(re.fullmatch(r"\d+---\d+", page) for page in pages)
    texts = [read[f"{page.replace('---', '/')}_0"] for page in pages]
    phrases = ("SEND ONLY", "ORDER NOW", "COUPON", "LEARN MAGIC", "MONEY BACK", "50 CENTS", "10 CENTS")
    assert all(any(phrase in text for phrase in phrases) for text in texts)


def test_boxes_lie_inside_their_pictures_and_balloons_are_told_from_narration(drawn, boxes):
    assert {box["dialog_or_narration"] for box in boxes} == {"1", "2"}
    columns = "comic_no page_no panel_no textbox_no dialog_or_narration text x1 y1 x2 y2"
    assert " ".join(boxes[0]) == columns
    for box in boxes[::20]:
        path = drawn / "raw_panel_images" / box["comic_no"] / f"{box['page_no']}_{box['panel_no']}.jpg"
        with Image.open(path) as picture:
            assert 0 <= float(box["x1"]) < float(box["x2"]) <= picture.width
            assert 0 <= float(box["y1"]) < float(box["y2"]) <= picture.height


def test_three_to_five_of_a_hundred_boxes_are_misread(read):
    panels = story_panels(SEED)
    wrong = sum(read[panel_id] != lettering(panel) for panel_id, panel in panels.items())
    assert 0.05 < wrong / len(panels) < 0.1  # about two boxes a panel


def test_facts_cover_every_story_panel_and_their_channel_is_true_of_what_ocr_read(drawn, read):
    facts = read_table(drawn / "facts.parquet", "facts").to_pylist()
    panels = story_panels(SEED)
    assert {row["panel_id"] for row in facts} == panels.keys()
    said = defaultdict(list)
    for row in facts:
        assert row["seen_in"] == words.SEEN_IN[row["fact"]]
        said[row["seen_in"]].append(re.search(rf"\b{row['value']}\b", read[row["panel_id"]], re.I) is not None)
    assert not any(said["picture"])
    for channel in ("lettering", "both"):
        assert 0.97 < sum(said[channel]) / len(said[channel]) < 1  # OCR noise hits a few


def test_a_reprint_shows_the_same_pictures_and_is_read_with_other_faults(drawn, read):
    original = {name.split("/")[1]: text for name, text in read.items() if name.startswith("31/")}
    reprint = {name.split("/")[1]: text for name, text in read.items() if name.startswith("131/")}
    assert original.keys() == reprint.keys()
    assert original != reprint
    for name in original:
        assert _bytes(drawn, 31, name) == _bytes(drawn, 131, name)


def test_only_titles_and_endings_look_like_boundaries_or_adverts():
    suspicious = re.compile(r"\bBY\b|\bMEETS?\b|\bVS\b|\bPART\b|SEND|ORDER|ONLY \d|GUARANTEE|CENTS")
    for book in make_books(SEED):
        for panel_id, panel in book.panels():
            text, kinds = lettering(panel), {bubble.kind for bubble in panel.bubbles}
            assert (len(text.split()) <= 6) == ("title" in kinds), panel_id
            assert ("THE END" in text) == ("end" in kinds), panel_id
            assert not suspicious.search(text), panel_id


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_a_second_process_draws_the_same_bytes(drawn, tmp_path, hash_seed):
    code = (
        "import sys; from pathlib import Path; from cloze.sample.files import draw_world;"
        f"draw_world(Path(sys.argv[1]), {SEED}, books=(2, 17))"
    )
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    subprocess.run([sys.executable, "-c", code, tmp_path / "again"], check=True, env=environment)
    for book in (2, 17):
        ours, theirs = (root / "raw_panel_images" / str(book) for root in (drawn, tmp_path / "again"))
        assert len(list(theirs.iterdir())) > 50
        assert folder_digest(ours) == folder_digest(theirs)
    for name in ("COMICS_ocr_file.csv", "predadpages.txt"):
        whole, part = ((root / name).read_text().splitlines() for root in (drawn, tmp_path / "again"))
        assert [line for line in whole if re.match(r"(2|17)(,|-)", line)] == [line for line in part if line[0] in "12"]


def test_another_seed_draws_other_pictures(drawn, tmp_path):
    draw_world(tmp_path / "other", SEED + 1, books=(2,))
    theirs, ours = (root / "raw_panel_images" / "2" / "1_0.jpg" for root in (tmp_path / "other", drawn))
    assert theirs.read_bytes() != ours.read_bytes()


def test_a_world_is_never_drawn_over_another(drawn):
    with pytest.raises(FileExistsError):
        draw_world(drawn, SEED)


def test_misreading_changes_or_loses_one_letter():
    for number in range(50):
        text = misread("NELL, WATCH ME FIND THE IDOL FIRST!", stream(number))
        assert text != "NELL, WATCH ME FIND THE IDOL FIRST!"
        assert 34 <= len(text) <= 35


def test_a_text_without_look_alikes_is_read_as_it_is():
    assert misread("...", stream(0)) == "..."


def _bytes(drawn, book: int, name: str) -> bytes:
    return (drawn / f"raw_panel_images/{book}/{name}.jpg").read_bytes()
