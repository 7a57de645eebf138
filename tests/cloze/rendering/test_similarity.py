"""How near one picture comes to another, and drawn panels judged by it."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageOps

from cloze.errors import MissingInputError
from cloze.rendering.judged import NEAR_COPY, judge, judged_summary, metrics_of_rows, warn_of_copies
from cloze.rendering.similarity import SIMILARITIES, encoder_similarity
from cloze.scoring.results import Column

N_BOOKS, N_EACH = 6, 4


def scene(book: int, panel: int) -> Image.Image:
    """A picture with the colour of its book and blocks that are its own."""
    rng = np.random.default_rng([book, panel])
    pixels = np.full((60, 80, 3), np.random.default_rng(book).integers(40, 220, 3), dtype=np.uint8)
    for _ in range(6):
        y, x = rng.integers(0, 45), rng.integers(0, 60)
        pixels[y : y + 15, x : x + 20] = pixels[0, 0] // 2
    return Image.fromarray(pixels)


def compared(name: str, one: Image.Image, other: Image.Image) -> float:
    similarity = SIMILARITIES[name]
    return similarity.compare(similarity.view(one), similarity.view(other))


@pytest.fixture(scope="module")
def columns():
    """Drawings that are panel 6 in all books but the last, where each is panel 5 again."""
    books = np.repeat(np.arange(N_BOOKS), N_EACH)
    ids = [f"{book}/{panel}_0" for book in range(N_BOOKS) for panel in range(N_EACH)]
    truths = [scene(book, panel) for book in range(N_BOOKS) for panel in range(N_EACH)]
    panels5 = [scene(book, panel + 50) for book in range(N_BOOKS) for panel in range(N_EACH)]
    drawings = [*truths[:-N_EACH], *panels5[-N_EACH:]]
    base = [Image.new("RGB", (64, 64), "grey")] * len(ids)
    return judge([None, *drawings[1:]], truths, panels5, ids, books, 1, base), books, ids


@pytest.mark.parametrize("name", SIMILARITIES)
def test_a_picture_is_most_like_itself_and_more_like_a_faded_copy_than_like_another(name):
    picture, other = scene(1, 1), scene(2, 7)
    faded = Image.blend(picture, Image.new("RGB", picture.size, "white"), 0.1).resize((120, 90))
    assert compared(name, picture, picture) == pytest.approx(1)
    assert compared(name, picture, faded) == pytest.approx(compared(name, faded, picture))
    assert 1 > compared(name, picture, faded) > compared(name, picture, other)


def test_each_measure_sees_what_it_is_named_for():
    picture = scene(1, 1)
    mirrored, grey = ImageOps.mirror(picture), ImageOps.grayscale(picture)
    assert compared("palette", picture, mirrored) > 0.99 > compared("palette", picture, grey)
    assert compared("edges", picture, grey) > 0.99 > compared("edges", picture, mirrored)
    assert compared("structure", picture, grey) > 0.99 > compared("structure", picture, mirrored)


@pytest.mark.parametrize("size", [(20, 2000), (1, 1)])
def test_odd_pictures_have_similarities_too(size):
    odd = Image.new("RGB", size, "black")
    for name in SIMILARITIES:
        assert -1 <= compared(name, odd, scene(1, 1)) <= 1
    assert compared("edges", odd, odd) == 0


def test_real_panels_are_told_from_other_books_by_palette_and_copies_by_edges(real_data):
    folders = [folder for folder in sorted((real_data / "real_comics" / "images").iterdir()) if folder.name != "9000"]
    pictures = [[Image.open(path).convert("RGB") for path in sorted(folder.glob("*.jpg"))[:5]] for folder in folders]
    views = {name: [[SIMILARITIES[name].view(p) for p in book] for book in pictures] for name in ("palette", "edges")}
    own = [float(a @ b) for book in views["palette"] for a, b in pairwise(book)]
    foreign = [
        float(a @ b)
        for one, other in zip(views["palette"], views["palette"][1:], strict=False)
        for a, b in zip(one, other, strict=False)
    ]
    assert np.greater.outer(own, foreign).mean() > 0.65  # measured: 0.79 over all pairs
    cropped = [p.crop((p.width // 25, p.height // 30, p.width, p.height)) for book in pictures for p in book]
    before = [view for book in views["edges"] for view in book]
    copies = [float(SIMILARITIES["edges"].view(p) @ view) for p, view in zip(cropped, before, strict=True)]
    nexts = [float(a @ b) for book in views["edges"] for a, b in pairwise(book)]
    assert np.mean(np.array(copies) >= NEAR_COPY) > 0.95
    assert np.mean(np.array(nexts) >= NEAR_COPY) < 0.2


def test_right_drawings_beat_every_floor_and_what_is_missing_is_unknown(columns):
    judged, books, _ = columns
    found = judged_summary(judged, books, 500, 1)
    assert found["eval/panel6/edges"] > found["floor/foreign/panel6/edges"] + 0.5
    assert found["ci_low/lift/panel6/edges"] < found["lift/panel6/edges"] < found["ci_high/lift/panel6/edges"]
    assert found["closer/foreign/panel6/edges"] > found["ci_low/closer/foreign/panel6/edges"] > 0.5
    assert {key.split("/")[1] for key in found if key.startswith("floor/")} == {
        "panel5", "foreign", "foreign_drawing", "base",
    }  # fmt: skip
    assert all(np.isnan(judged[Column(floor, "panel6", "palette")][0]) for floor in ("", "panel5", "base"))


def test_floors_come_from_other_books_whatever_the_order():
    books = np.array([2, 1, 2, 1, 3])
    pictures = [scene(int(book), i) for i, book in enumerate(books)]
    ids = list("abcde")
    straight = judge(pictures, pictures, pictures, ids, books, 3)
    turned = judge(pictures[::-1], pictures[::-1], pictures[::-1], ids[::-1], books[::-1], 3)
    for column, values in straight.items():
        assert values == pytest.approx(turned[column][::-1])
    assert (straight[Column("foreign", "panel6", "edges")] < 0.99).all()


def test_a_drawing_that_is_panel_5_again_is_named(columns, caplog):
    judged, books, ids = columns
    found = judged_summary(judged, books, 100, 1)
    assert (found["near_copies_drawings"], found["near_copies_panels6"]) == (N_EACH, 0)
    warn_of_copies(judged, ids)
    assert caplog.messages == ["4 drawings are nearly panel 5 again: 5/0_0, 5/1_0, 5/2_0, 5/3_0"]


def test_rows_hold_what_is_known_of_each_drawing(columns):
    missing, first, *_ = metrics_of_rows(columns[0])
    by_name = {each["metric"]: each["score"] for each in first}
    assert by_name["palette"] == pytest.approx(1)
    assert by_name["floor/base/palette"] < 0.5
    assert {each["metric"] for each in missing} == {"floor/panel6/copy"}


def test_an_encoder_is_compared_where_a_folder_is_given(tmp_path):
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, set_seed

    set_seed(1)
    tiny = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=tiny | {"vocab_size": 50},
        vision_config=tiny | {"image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(tmp_path)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = encoder_similarity(tmp_path)
    own, other = encoder.view(scene(1, 1)), encoder.view(scene(4, 2))
    assert own.shape == (8,)
    assert encoder.compare(own, own) == pytest.approx(1)
    assert encoder.compare(own, other) < 0.999
    (tmp_path / "config.json").unlink()
    with pytest.raises(MissingInputError, match="no image encoder"):
        encoder_similarity(tmp_path)
