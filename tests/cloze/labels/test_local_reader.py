import sqlite3
import subprocess
import sys
import time

import pytest

from cloze.data.images import ImageFolder
from cloze.labels.answers import State
from cloze.labels.local_reader import KEPT_FILE, LocalReader
from cloze.labels.reader import Unread
from tests.cloze.labels.lettered import picture, write_comics

PANEL = Unread(1, 1, 0, "1/1_0.png")


def read(folder, panels=(PANEL,), min_confidence=0.5):
    root = str(folder / "raw_panel_images")
    return list(LocalReader(folder / "kept", min_confidence)(panels, ImageFolder(root, root)))


def test_two_balloons_are_read_with_their_places(tmp_path):
    write_comics(tmp_path, {"1/1_0": picture(("STOP THAT TRAIN!", 10, 60), ("WHO GOES THERE?", 150, 120))})
    (reading,) = read(tmp_path)
    assert [balloon.text for balloon in reading.balloons] == ["STOP THAT TRAIN!", "WHO GOES THERE?"]
    x1, y1, x2, y2 = reading.balloons[0].box
    assert 10 <= x1 < 25
    assert 55 <= y1 < 72
    assert 140 < x2 < 190
    assert 74 < y2 < 100


def test_a_picture_without_lettering_is_empty_and_kept_as_such(tmp_path):
    write_comics(tmp_path, {"1/1_0": picture()})
    (first,), (second,) = read(tmp_path), read(tmp_path)
    assert (first.state, first.is_kept, first.reason) == (State.EMPTY, False, None)
    assert (second.state, second.is_kept, second.seconds) == (State.EMPTY, True, first.seconds)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"hello", "not a picture"),
        (picture(("HALT", 9, 9))[:900], "damaged"),
        (None, "no such picture"),
    ],
)
def test_a_picture_that_cannot_be_read_fails_with_the_reason(tmp_path, content, problem):
    write_comics(tmp_path, {"1/1_1": picture()} | ({} if content is None else {"1/1_0": content}))
    (reading,) = read(tmp_path)
    assert reading.state is State.FAILED
    assert problem in (reading.reason or "")


def test_what_was_found_is_kept_whatever_the_confidence_asked_for(tmp_path):
    write_comics(tmp_path, {"1/1_0": picture(("STOP THAT TRAIN!", 10, 60))})
    (sure,), (unsure,) = read(tmp_path, min_confidence=1.0), read(tmp_path)
    assert (sure.state, unsure.state, unsure.is_kept) == (State.EMPTY, State.OK, True)


def test_what_another_version_found_is_not_used(tmp_path):
    write_comics(tmp_path, {"1/1_0": picture(("STOP THAT TRAIN!", 10, 60))})
    read(tmp_path)
    with sqlite3.connect(tmp_path / "kept" / KEPT_FILE) as database:
        database.execute("update found set reader = 'older', lines = '[]'")
    (reading,) = read(tmp_path)
    assert (reading.state, reading.is_kept) == (State.OK, False)


def test_the_same_picture_under_another_name_is_read_once(tmp_path):
    write_comics(tmp_path, dict.fromkeys(("1/1_0", "1/1_1"), picture(("STOP THAT TRAIN!", 10, 60))))
    first, second = read(tmp_path, [PANEL, Unread(1, 1, 1, "1/1_1.png")])
    assert (first.is_kept, second.is_kept) == (False, True)
    assert first.balloons == second.balloons


def test_slivers_are_read_in_seconds(tmp_path):
    sizes = {"1/1_0": (3, 900), "1/1_1": (5000, 40), "1/1_2": (1, 1)}
    write_comics(tmp_path, {panel_id: picture(size=size) for panel_id, size in sizes.items()})
    started = time.process_time()
    readings = read(tmp_path, [Unread(1, 1, panel, f"1/1_{panel}.png") for panel in range(3)])
    assert [reading.state for reading in readings] == [State.EMPTY] * 3
    assert time.process_time() - started < 40


ASK_NOBODY = """
import sys
from pathlib import Path

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise RuntimeError(f"{event} {arguments}")

sys.addaudithook(refuse)
from cloze.labels.local_reader import Engine
print(Engine().read(Path(sys.argv[1]).read_bytes()).lines[0].text)
"""


def test_reading_asks_nobody_on_the_network(tmp_path):
    write_comics(tmp_path, {"1/1_0": picture(("STOP THAT TRAIN!", 10, 60))})
    path = tmp_path / "raw_panel_images" / "1/1_0.png"
    done = subprocess.run([sys.executable, "-c", ASK_NOBODY, path], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "STOP THAT TRAIN!", done.stderr
