import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloze.data.sequences import SequenceSettings, build_sequences, find_stories, read_panels, windows
from cloze.digests import file_digest
from cloze.errors import DataError, SettingsError
from cloze.tables import SEQUENCES, images_uri, read_table, table
from tests.cloze.data.comics_files import book_rows, panel_row, workspace, write_panels
from tests.cloze.data.original_study import sequences as original_sequences

LINES = (
    "",
    "  ",
    "THE END",
    "END",
    "is this the\xa0end?",
    "LOOK OUT, CAPTAIN!",
    "by George, he meets them",
    "CHAPTER Ⅳ",
    "PART ٣: STRAẞE",
    "the ﬁnis",
    "finis",
    "ÉVS X",
    "X VS. Y",
    "Captain\x85Marvel",
    "SEND FOR THE DOCTOR!",
    "only 10¢",
    "it was a long and quiet night in the old mill by the river, and nobody came",
    "Ⓐ B cd",
    "ABC d",
)


def build(path, tmp_path, **chosen):
    space = workspace(tmp_path)
    counts = build_sequences(SequenceSettings(panels=str(path), **chosen), space)
    return read_table(space.out / "sequences.parquet", "sequences"), counts


@st.composite
def books(draw):
    """Panels of up to three books with gaps, missing pictures and lines that the rules look for."""
    rows = []
    for book in draw(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)):
        page = draw(st.integers(0, 1))
        for _ in range(draw(st.integers(1, 12))):
            for panel in range(draw(st.integers(1, 3))):
                image = draw(st.sampled_from(["x.jpg"] * 6 + [None]))
                rows.append(panel_row(f"{book}/{page}_{panel}", draw(st.sampled_from(LINES)), image=image))
            page += draw(st.sampled_from([1, 1, 1, 1, 2]))
    return rows


@given(books(), st.integers(1, 8), st.integers(1, 3))
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_v1_is_the_original_study_panel_by_panel(rows, min_story, context):
    panels = table("panels", rows).sort_by([(name, "ascending") for name in ("book", "page", "panel")])
    stories, _ = find_stories(panels, "v1", min_story)
    targets, _ = windows(stories.starts, stories.has_image, context)
    ids = [panels["panel_id"][int(row)].as_py() for row in stories.rows]
    ours = [(ids[t], int(stories.numbers[t]), ids[t - context : t]) for t in targets.tolist()]
    assert ours == original_sequences(panels.to_pylist(), min_story, context)


@pytest.mark.parametrize(("n_panels", "expected"), [(0, 0), (5, 0), (6, 1), (7, 2), (100, 95)])
def test_a_story_of_n_panels_has_n_minus_5_windows(n_panels, expected):
    targets, n_windows = windows(np.zeros(n_panels, int), np.ones(n_panels, bool), 5)
    assert len(targets) == n_windows == expected


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=12), max_size=5), st.integers(1, 6))
def test_windows_are_those_that_a_loop_over_stories_finds(stories, context):
    starts = np.repeat(np.cumsum([0, *map(len, stories)])[:-1], [len(s) for s in stories]).astype(int)
    has_image = np.array([image for story in stories for image in story], bool)
    expected = [
        int(start) + i
        for start, story in zip(np.unique(starts), stories, strict=True)
        for i in range(context, len(story))
        if all(story[i - context : i + 1])
    ]
    targets, n_windows = windows(starts, has_image, context)
    assert targets.tolist() == expected
    assert n_windows == sum(max(0, len(story) - context) for story in stories)


def test_a_sequence_is_five_panels_and_the_next_of_the_same_story(tmp_path):
    rows = book_rows(3, 3) + book_rows(3, 3, first_page=5)  # page 4 is missing: two stories
    found, counts = build(write_panels(tmp_path / "p.parquet", reversed(rows)), tmp_path)
    first = found.slice(0, 1).to_pylist()[0]
    assert [panel["panel_id"] for panel in first["context"]] == ["3/1_0", "3/1_1", "3/1_2", "3/1_3", "3/2_0"]
    assert first["sequence_id"] == first["target"]["panel_id"] == "3/2_1"
    assert first["target"]["text"] == rows[5]["text"]
    assert sorted(set(zip(found["story"].to_pylist(), found["sequence_id"].to_pylist(), strict=True))) == [
        (story, f"3/{page}_{panel}")
        for story, page, panel in [
            (s, p, n) for s in (0, 1) for p in (1 + 4 * s, 2 + 4 * s, 3 + 4 * s) for n in range(4)
        ]
        if (page - 4 * story - 1) * 4 + panel >= 5
    ]
    assert counts["stories"] == 2
    assert counts["windows"] == counts["sequences"] == 14


def test_the_table_has_its_schema_and_says_where_pictures_lie(tmp_path):
    path = write_panels(tmp_path / "p.parquet", book_rows(1, 4))
    space = workspace(tmp_path)
    build_sequences(SequenceSettings(panels=str(path)), space)
    written = pq.read_table(space.out / "sequences.parquet")
    assert written.schema.equals(SEQUENCES)
    assert images_uri(written) == "/pictures"


def test_sequences_are_sorted_by_book_page_and_panel_as_numbers(tmp_path):
    path = write_panels(tmp_path / "p.parquet", book_rows(10, 12) + book_rows(2, 12))
    found, _ = build(path, tmp_path)
    assert found["sequence_id"][0].as_py() == "2/2_1"
    assert found["sequence_id"].to_pylist().index("2/9_0") < found["sequence_id"].to_pylist().index("2/10_0")


def test_a_panel_without_picture_takes_its_six_windows(tmp_path):
    rows = book_rows(1, 4)
    rows[8]["image"] = None
    _, counts = build(write_panels(tmp_path / "p.parquet", rows), tmp_path)
    assert (counts["windows"], counts["windows_without_picture"], counts["sequences"]) == (11, 6, 5)


def test_what_is_left_out_is_counted(tmp_path):
    rows = book_rows(1, 4) + book_rows(2, 1) + [panel_row("1/0_0", "cover")]
    rows += [panel_row(f"1/9_{i}", "toys", is_ad=True) for i in range(3)]
    _, counts = build(write_panels(tmp_path / "p.parquet", rows), tmp_path)
    assert (counts["covers_dropped"], counts["ad_panels_dropped"]) == (1, 3)
    assert (counts["stories"], counts["short_stories_dropped"], counts["short_story_panels_dropped"]) == (2, 1, 4)
    assert (counts["books"], counts["books_without_sequence"]) == (1, 1)


def test_v1_keeps_listed_ad_pages_and_v2_leaves_them_out(tmp_path):
    rows = book_rows(1, 3) + [row | {"is_ad": True} for row in book_rows(1, 1, first_page=4)]
    path = write_panels(tmp_path / "p.parquet", rows)
    assert build(path, tmp_path, rules="v1")[1]["panels_kept"] == 16
    assert build(path, tmp_path, rules="v2")[1]["panels_kept"] == 12


def test_the_same_panels_make_the_same_bytes(tmp_path):
    rows = [row for book in range(9) for row in book_rows(book, 4)]
    digests: set[str] = set()
    for order in (rows, rows[::-1]):
        path = write_panels(tmp_path / f"p{len(digests)}.parquet", order)
        space = workspace(tmp_path)
        build_sequences(SequenceSettings(panels=str(path)), space)
        digests.add(file_digest(space.out / "sequences.parquet"))
    assert len(digests) == 1


def test_no_sequence_left_is_an_error_that_says_what_took_them(tmp_path):
    rows = [panel_row("1/0_0"), *book_rows(2, 2), *[row | {"image": None} for row in book_rows(3, 3)]]
    path = write_panels(tmp_path / "p.parquet", rows)
    with pytest.raises(
        DataError, match=r"no sequence is left of 21 panels: 1 are of covers, 0 of advertisements, 8 of 1"
    ):
        build(path, tmp_path)
    assert list(tmp_path.glob("out*/*")) == []


@pytest.mark.parametrize("rows", [[panel_row("1/0_0")], [panel_row("1/1_0", is_ad=True)], []])
def test_nothing_but_covers_or_advertisements_is_no_sequence(rows, tmp_path):
    with pytest.raises(DataError, match="no sequence is left"):
        build(write_panels(tmp_path / "p.parquet", rows), tmp_path)


def test_a_panel_that_is_there_twice_is_an_error(tmp_path):
    path = write_panels(tmp_path / "p.parquet", [*book_rows(1, 4), panel_row("1/2_1")])
    with pytest.raises(DataError, match="panel 1/2_1 is there twice"):
        read_panels(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("context", 0),
        ("min_story", 0),
        ("split", "0.7,0.3"),
        ("split", "0.7,0.2,0.2"),
        ("split", "a,b,c"),
        ("folds", "theirs"),
        ("rules", "v3"),
    ],
)
def test_a_bad_setting_is_named(name, value):
    with pytest.raises(SettingsError, match=f"^{name} is "):
        SequenceSettings(**{name: value})


def test_context_and_min_story_are_settings(tmp_path):
    path = write_panels(tmp_path / "p.parquet", book_rows(1, 2))
    found, _ = build(path, tmp_path, context=2, min_story=6)
    assert len(found) == 6
    assert {len(context) for context in found["context"].to_pylist()} == {2}


def test_real_golden_age_stories_become_the_known_sequences(real_data, tmp_path):
    import json

    from cloze.data.panels import IngestSettings, ingest

    comics = real_data / "real_comics"
    space = workspace(tmp_path)
    ingest(IngestSettings(comics=str(comics)), space)
    found, _ = build(space.out / "panels.parquet", tmp_path, min_story=6)
    known = json.loads((comics / "golden_age_sequences.json").read_text())
    ours = {row["sequence_id"]: [panel["panel_id"] for panel in row["context"]] for row in found.to_pylist()}
    checked = 0
    for story in known:
        names = [f"{book}/{page}_{panel}" for book, page, panel in [*story["context"], story["target"]]]
        if names[-1] in ours:
            assert ours[names[-1]] == names[:-1]
            checked += 1
    assert checked >= 3
