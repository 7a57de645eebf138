import csv
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from cloze.data.images import open_images
from cloze.data.panels import IngestSettings, ingest
from cloze.data.splits import SPLITS
from cloze.digests import file_digest
from cloze.errors import DataError, SettingsError
from cloze.sample.books import REPRINTS
from cloze.tables import PANELS, images_uri, read_table
from tests.cloze.data.bucket import bucket
from tests.cloze.data.comics_files import (
    box,
    jpeg,
    read_panel,
    workspace,
    write_comics,
    write_csv,
    write_pictures,
)
from tests.cloze.data.test_sequences import build


def read(comics, tmp_path, **chosen):
    space = workspace(tmp_path)
    counts = ingest(IngestSettings(comics=str(comics), **chosen), space)
    return read_table(space.out / "panels.parquet", "panels").to_pylist(), counts, space


def by_id(rows, column):
    return {row["panel_id"]: row[column] for row in rows}


def test_panels_are_sorted_and_say_what_they_are(tmp_path):
    rows = [box("10/1_0", "c"), box("2/0_0", "a"), box("2/3_0", "b")]
    comics = write_comics(tmp_path / "comics", rows, ["10/1_0", "2/0_0", "2/3_0"])
    (comics / "predadpages.txt").write_text("2---3\n99---1\n")
    found, counts, space = read(comics, tmp_path)
    assert [row["panel_id"] for row in found] == ["2/0_0", "2/3_0", "10/1_0"]
    assert [(row["is_cover"], row["is_ad"]) for row in found] == [(True, False), (False, True), (False, False)]
    assert (counts["panels"], counts["books"], counts["covers"], counts["ad_panels"]) == (3, 2, 1, 1)
    table = pq.read_table(space.out / "panels.parquet")
    assert table.schema.equals(PANELS)
    assert open_images(images_uri(table), tmp_path).load(found[0]["image"]).size == (24, 16)


def test_a_picture_without_a_box_is_a_panel_that_says_nothing(tmp_path):
    comics = write_comics(tmp_path / "comics", [box("1/1_0", "HELLO")], ["1/1_0", "1/1_1"])
    found, counts, _ = read(comics, tmp_path)
    assert by_id(found, "text") == {"1/1_0": "HELLO", "1/1_1": ""}
    assert by_id(found, "bubbles")["1/1_1"] == []
    assert counts["panels_without_text"] == 1


def test_a_picture_beside_a_panel_table_is_of_a_panel_that_nobody_read(tmp_path):
    write_csv(tmp_path / "comics" / "ocr.csv", [read_panel("1/1_0", "HELLO"), read_panel("1/1_1")])
    write_pictures(tmp_path / "comics" / "raw_panel_images", ["1/1_0.jpg", "1/1_1.jpg", "1/1_2.jpg"])
    found, _, _ = read(tmp_path / "comics", tmp_path)
    assert by_id(found, "image") == {"1/1_0": "1/1_0.jpg", "1/1_1": "1/1_1.jpg"}


def test_pictures_that_cannot_be_used_are_counted_and_named(tmp_path):
    names = ["1/1_0", "1/1_1", "1/1_2", "1/1_3"]
    comics = write_comics(tmp_path / "comics", [box(name, "x") for name in [*names, "1/2_0"]], names)
    pictures = comics / "raw_panel_images" / "1"
    (pictures / "1_1.jpg").write_bytes(b"")
    (pictures / "1_2.jpg").write_bytes(b"no picture")
    (pictures / "1_3.jpg").write_bytes(jpeg()[:300])
    found, counts, space = read(comics, tmp_path)
    assert by_id(found, "image") == {"1/1_0": "1/1_0.jpg"} | dict.fromkeys(["1/1_1", "1/1_2", "1/1_3", "1/2_0"])
    assert {name: n for name, n in counts.items() if name.startswith("pictures_") and n} == {
        "pictures_missing": 1,
        "pictures_empty": 1,
        "pictures_not_a_picture": 1,
        "pictures_damaged": 1,
    }
    with (space.out / "unusable_pictures.csv").open() as stream:
        assert [tuple(row.values()) for row in csv.DictReader(stream)] == [
            ("1/1_1", "1/1_1.jpg", "empty"),
            ("1/1_2", "1/1_2.jpg", "not a picture"),
            ("1/1_3", "1/1_3.jpg", "damaged"),
            ("1/2_0", "", "missing"),
        ]


@pytest.mark.parametrize("folder", ["raw_panel_images", "images", "."])
def test_pictures_may_lie_in_either_folder_or_beside_the_table(folder, tmp_path):
    write_csv(tmp_path / "comics" / "ocr.csv", [box("1/1_0", "HELLO")])
    write_pictures(tmp_path / "comics" / folder, ["1/1_0.jpg", "1/._1_0.jpg", "._1/1_0.jpg"])
    found, _, _ = read(tmp_path / "comics", tmp_path)
    assert by_id(found, "image") == {"1/1_0": "1/1_0.jpg"}


def test_lettering_without_pictures_is_read_where_they_are_assumed(tmp_path):
    write_csv(tmp_path / "comics" / "ocr.csv", [box("1/1_0", "HELLO")])
    with pytest.raises(DataError, match=r"holds no pictures: .*; pictures=assumed reads the lettering alone"):
        read(tmp_path / "comics", tmp_path)
    found, _, _ = read(tmp_path / "comics", tmp_path, pictures="assumed")
    assert by_id(found, "image") == {"1/1_0": "1/1_0.jpg"}


def test_tables_elsewhere_are_named(tmp_path):
    comics = write_comics(tmp_path / "comics", [box("1/1_0", "HELLO")], ["1/1_0"])
    other = write_csv(tmp_path / "other.csv", [box("1/1_0", "BYE")])
    (tmp_path / "ads.txt").write_text("1---1\n")
    found, _, _ = read(comics, tmp_path, ocr=str(other), ads=str(tmp_path / "ads.txt"))
    assert (found[0]["text"], found[0]["is_ad"]) == ("BYE", True)


def test_the_same_files_make_the_same_bytes(tmp_path):
    rows = [box(f"{book}/{page}_0", f"{book} {page}") for book in range(5) for page in range(5)]
    comics = write_comics(tmp_path / "comics", rows, [f"{book}/{page}_0" for book in range(5) for page in range(5)])
    first, again = (read(comics, tmp_path)[2] for _ in range(2))
    assert file_digest(first.out / "panels.parquet") == file_digest(again.out / "panels.parquet")


def test_nothing_is_left_behind_where_it_fails(tmp_path):
    comics = write_comics(tmp_path / "comics", [box("1/1_0"), box("1/1_0")], ["1/1_0"])
    with pytest.raises(DataError):
        read(comics, tmp_path)
    assert list(tmp_path.glob("out*/*")) == list(tmp_path.glob("cache/*")) == []


@pytest.mark.parametrize("check", ["decode", "headers"])
def test_comics_in_a_bucket_are_read_like_those_in_a_folder(check, tmp_path):
    comics = write_comics(
        tmp_path / "bucket" / "comics", [box("1/1_0", "HI"), box("1/1_1")], ["1/1_0", "1/1_1", "1/1_2"]
    )
    (comics / "raw_panel_images" / "1" / "1_1.jpg").write_bytes(b"")
    (comics / "predadpages.txt").write_text("1---1\n")
    with bucket(tmp_path / "bucket") as options:
        found, counts, space = read(f"gs://anonymous@bucket/comics{options}", tmp_path, pictures=check)
        assert by_id(found, "image") == {"1/1_0": "1/1_0.jpg", "1/1_1": None, "1/1_2": "1/1_2.jpg"}
        assert (counts["pictures_empty"], counts["ad_panels"]) == (1, 3)
        folder = open_images(images_uri(pq.read_table(space.out / "panels.parquet")), tmp_path)
        assert folder.load("1/1_2.jpg").size == (24, 16)
        with pytest.raises(DataError, match=r"9_9.jpg: no such picture"):
            folder.load("1/9_9.jpg")


def test_a_table_in_a_bucket_that_is_not_there_is_an_error(tmp_path):
    write_pictures(tmp_path / "bucket" / "comics" / "images", ["1/1_0.jpg"])
    with bucket(tmp_path / "bucket") as options:
        with pytest.raises(DataError, match="holds no OCR table"):
            read(f"gs://anonymous@bucket/comics{options}", tmp_path)
        with pytest.raises(DataError, match="no such file"):
            read(f"gs://anonymous@bucket/comics{options}", tmp_path, ocr=f"gs://anonymous@bucket/x.csv{options}")


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "nowhere", tmp_path)


def test_a_table_without_rows_and_pictures_is_an_error(tmp_path):
    path = write_csv(tmp_path / "comics" / "ocr.csv", [box("1/1_0")])
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match="holds no rows"):
        read(tmp_path / "comics", tmp_path, pictures="assumed")


@pytest.mark.parametrize(
    ("name", "value"), [("comics", ""), ("pictures", "glance"), ("seed", -1), ("ocr", "x.csv"), ("ads", "x.txt")]
)
def test_a_bad_setting_is_named(name, value):
    with pytest.raises(SettingsError, match=f"^{name} is "):
        IngestSettings(**{name: value})


def test_real_comics_are_read_by_both_kinds_of_table(real_data, tmp_path):
    found, counts, _ = read(real_data / "real_comics", tmp_path)
    assert (counts["panels"], counts["books"], counts["covers"]) == (189, 13, 3)
    assert sum(n for name, n in counts.items() if name.startswith("pictures_")) == 0
    rows = [read_panel(row["panel_id"], row["text"]) for row in found]
    table = write_csv(tmp_path / "panels.csv", rows)
    again, _, _ = read(real_data / "real_comics", tmp_path, ocr=str(table))
    for column in ("panel_id", "text", "image", "is_cover"):
        assert [row[column] for row in again] == [row[column] for row in found]


def test_the_drawn_sample_is_read_like_any_comics_and_its_reprint_found(tmp_path, drawn):
    space = replace(workspace(tmp_path), cache=drawn.parent)
    counts = ingest(IngestSettings(), space)
    table = pq.read_table(space.out / "panels.parquet")
    assert counts["books"] >= 40
    assert counts["pictures_missing"] == counts["pictures_damaged"] == 1
    assert (space.out / "facts.parquet").is_file()
    assert open_images(images_uri(table), drawn.parent).listing() >= set(filter(None, table["image"].to_pylist()))
    found, counts = build(space.out / "panels.parquet", tmp_path)
    pairs = dict(zip(found["book"].to_pylist(), found["group"].to_pylist(), strict=True))
    assert {book: group for book, group in pairs.items() if book != group} == REPRINTS
    assert all(counts[f"sequences_{name}"] for name in SPLITS)
