import os
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections import Counter
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq
import pytest

from benchmarks.read_lettering import error_rate, normalised, read, transcripts, words_found
from cloze.data.ocr_tables import read_lettering
from cloze.data.panels import IngestSettings, ingest
from cloze.errors import DataError, SettingsError
from cloze.labels.local_reader import KEPT_FILE, Engine
from cloze.labels.reading import OcrSettings, read_panels
from cloze.sample.world import story_panels
from cloze.tables import read_table
from tests.cloze.data.comics_files import box, read_panel, workspace, write_csv
from tests.cloze.labels.lettered import SAYS, picture, write_comics

PICTURES = {f"1/1_{number}": picture((text, 20, 100)) for number, text in enumerate(SAYS.values())}


@pytest.fixture
def comics(tmp_path):
    return write_comics(tmp_path / "comics", PICTURES)


def run(tmp_path, comics, **settings):
    """Metrics, text by panel id, and the rows of `readings`."""
    place = workspace(tmp_path)
    metrics = read_panels(OcrSettings(comics=str(comics), min_confidence=0.5, **settings), place)
    table = read_lettering(place.out / "ocr.csv").to_pylist()
    texts = {f"{row['book']}/{row['page']}_{row['panel']}": row["text"] for row in table}
    return metrics, texts, pq.read_table(place.out / "readings.parquet").to_pylist()


def test_without_an_ocr_table_all_panels_are_read_and_ingest_reads_the_result(tmp_path, comics):
    metrics, texts, readings = run(tmp_path, comics)
    assert texts == dict(zip(PICTURES, SAYS.values(), strict=True))
    assert [row["state"] for row in readings] == ["ok"] * 4
    assert metrics["panels_ok"] == metrics["panels_to_read"] == metrics["boxes"] == 4

    again = workspace(tmp_path)
    ingest(IngestSettings(comics=str(comics), ocr=str(tmp_path / "out0" / "ocr.csv")), again)
    panels = read_table(again.out / "panels.parquet", "panels").to_pylist()
    assert [(panel["panel_id"], panel["text"]) for panel in panels] == list(texts.items())
    assert all(panel["image"] and panel["bubbles"][0]["x2"] > 100 for panel in panels)


def test_only_panels_without_text_are_read_and_the_others_keep_theirs(tmp_path, comics):
    write_csv(comics / "ocr.csv", [box("1/1_0", "AS IT WAS"), box("1/1_1", " "), box("9/9_9", "NO PICTURE")])
    metrics, texts, _ = run(tmp_path, comics)
    assert metrics["panels_to_read"] == 3
    assert texts == {
        "1/1_0": "AS IT WAS", "1/1_1": SAYS["B"], "1/1_2": SAYS["C"], "1/1_3": SAYS["D"], "9/9_9": "NO PICTURE"
    }  # fmt: skip


def test_all_panels_are_read_where_that_is_asked_for(tmp_path, comics):
    table = write_csv(tmp_path / "mine.csv", [box("1/1_0", "AS IT WAS"), box("9/9_9", "NO PICTURE")])
    _, texts, _ = run(tmp_path, comics, ocr=str(table), which="all")
    assert (texts["1/1_0"], texts["9/9_9"]) == (SAYS["A"], "NO PICTURE")


def test_a_limit_draws_the_same_panels_each_time_and_a_larger_one_more(tmp_path, comics):
    drawn = [{row["panel_id"] for row in run(tmp_path, comics, limit=limit)[2]} for limit in (2, 2, 3)]
    assert len(drawn[0]) == 2
    assert drawn[0] == drawn[1] < drawn[2]


def test_pictures_that_cannot_be_read_are_counted_and_named(tmp_path, comics):
    write_comics(comics, {"1/1_1": b"", "1/1_2": PICTURES["1/1_2"][:900], "1/1_3": picture()})
    metrics, texts, readings = run(tmp_path, comics)
    assert (metrics["panels_ok"], metrics["panels_empty"], metrics["panels_failed"]) == (1, 1, 2)
    assert [(row["state"], row["reason"], row["boxes"]) for row in readings] == [
        ("ok", None, 1),
        ("failed", "the picture is empty", 0),
        ("failed", "the picture is damaged", 0),
        ("empty", None, 0),
    ]
    assert texts == {"1/1_0": SAYS["A"], "1/1_3": ""}


def test_a_panel_with_two_pictures_and_files_that_are_none_count_once_and_not_at_all(tmp_path, comics):
    pictures = comics / "raw_panel_images" / "1"
    for name in ("1_0.jpg", "._1_0.png", "cover.png"):
        (pictures / name).write_bytes(PICTURES["1/1_0"])
    metrics, _, readings = run(tmp_path, comics)
    assert metrics["pictures"] == 4
    assert Counter(row["panel_id"] for row in readings).most_common(1) == [("1/1_0", 1)]


def test_a_table_that_names_pictures_otherwise_is_refused(tmp_path, comics):
    table = write_csv(tmp_path / "by_panel.csv", [read_panel("1/1_0"), read_panel("1/1_1", img_path="1/scan 7.jpg")])
    with pytest.raises(DataError, match=r"by_panel.csv: names pictures such as '1/scan 7.jpg'.*BOOK/PAGE_PANEL.jpg"):
        run(tmp_path, comics, ocr=str(table))


def test_a_table_by_panel_is_completed(tmp_path, comics):
    write_csv(comics / "mine.csv", [read_panel("1/1_0", "AS IT WAS"), read_panel("1/1_1")])
    _, texts, _ = run(tmp_path, comics)
    assert (texts["1/1_0"], texts["1/1_1"]) == ("AS IT WAS", SAYS["B"])


def test_the_sample_can_be_read(tmp_path, drawn):
    (tmp_path / "cache").symlink_to(drawn.parent)
    place = workspace(tmp_path)
    metrics = read_panels(OcrSettings(which="all", limit=12), place)
    known = {tuple(row.values())[:3]: row["text"] for row in read_lettering(place.out / "ocr.csv").to_pylist()}
    truth = story_panels(42)
    rows = [row["panel_id"] for row in pq.read_table(place.out / "readings.parquet").to_pylist()]
    rates = []
    for panel_id in [name for name in rows if name in truth and truth[name].bubbles]:
        book, _, rest = panel_id.partition("/")
        ids = (int(book), *(int(number) for number in rest.split("_")))
        rates.append(error_rate(known[ids], " ".join(bubble.text for bubble in truth[panel_id].bubbles)))
    assert metrics["panels_to_read"] == 12
    assert len(rates) >= 8
    assert median(rates) < 0.05  # 0.026 on 100 panels


SCRIPT = """
import logging, sys
from pathlib import Path
from cloze.labels.reading import OcrSettings, read_panels
from cloze.stage import Workspace

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
comics, folder = sys.argv[1:]
out = Path(folder) / "killed"
out.mkdir()
read_panels(OcrSettings(comics=comics, min_confidence=0.5), Workspace(out, Path(folder) / "cache", print, Path(folder)))
"""


def n_kept(path: Path) -> int:
    if not path.is_file():
        return 0
    with sqlite3.connect(path) as database:
        if not database.execute("select name from sqlite_master where name = 'found'").fetchone():
            return 0
        return int(database.execute("select count(*) from found").fetchone()[0])


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path):
    pictures = {f"2/{page}_0": picture((f"THIS IS PAGE {page}", 20, 5 * page)) for page in range(1, 9)}
    many = write_comics(tmp_path / "comics", pictures)
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, many, tmp_path], start_new_session=True)
    deadline = time.monotonic() + 60
    while n_kept(tmp_path / "cache" / KEPT_FILE) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list((tmp_path / "killed").iterdir())

    kept = n_kept(tmp_path / "cache" / KEPT_FILE)
    metrics, texts, _ = run(tmp_path, many)
    assert 2 <= kept < 8
    assert metrics["panels_kept"] == kept
    assert metrics["panels_ok"] == 8
    assert run(tmp_path / "afresh", many)[1] == texts


def test_a_log_gets_lines_and_a_terminal_gets_a_bar(tmp_path, comics):
    command = [sys.executable, "-c", SCRIPT, comics, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "4 panels have a picture; 4 of them to read" in done.stdout
    assert "read 4 of 4 panels, 0 failed, 0 s to go" in done.stdout
    assert "%" not in done.stderr

    (tmp_path / "killed").rename(tmp_path / "first")
    terminal, end = os.openpty()
    termios.tcsetwinsize(end, (24, 100))
    with subprocess.Popen(command, stderr=end, stdout=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate()
    os.close(end)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert "4/4" in shown
    assert "panels, 0 failed" not in out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"comics": ""}, "comics is ''; it must be a folder, gs://bucket/folder or `sample`"),
        ({"reader": "gemni"}, "reader is 'gemni'; it must be one of local"),
        ({"which": "some"}, "which is 'some'; it must be one of missing, all"),
        ({"limit": -1}, "limit is -1; it must be 0 or more"),
        ({"min_confidence": 1.5}, "min_confidence is 1.5; it must be from 0 to 1"),
        ({"ocr": "x.csv"}, "ocr is 'x.csv'; it must be empty for the sample, which has its own"),
    ],
)
def test_settings_that_will_not_do_are_refused(settings, message):
    with pytest.raises(SettingsError) as error:
        OcrSettings(**settings)
    assert message in str(error.value)


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(DataError, match="no such folder; comics in the COMICS layout were expected"):
        run(tmp_path, tmp_path / "nowhere")


def test_golden_age_panels_are_read_almost_right(real_data):
    """28 panels, 4,067 characters; benchmarks/read_lettering.py has the figures of all 124."""
    comics = real_data / "real_comics"
    truth = {name: text for name, text in transcripts(comics).items() if int(name.split("/")[0]) < 5000}
    engine = Engine()
    readings = {name: read(engine, (comics / "images" / f"{name}.jpg").read_bytes()) for name in truth}

    def total(which):
        errors = [error_rate(getattr(readings[n], which), truth[n]) * len(normalised(truth[n])) for n in truth]
        return sum(errors) / sum(len(normalised(text)) for text in truth.values())

    rates = [error_rate(readings[name].after, truth[name]) for name in truth]
    assert len(rates) == 28
    assert median(rates) < 0.06  # measured 0.033
    assert total("after") < 0.14  # 0.105
    assert total("before") > 1.8 * total("after")  # 0.299
    assert sum(words_found(readings[n].after, truth[n]) for n in truth) / 28 > 0.87  # 0.902
