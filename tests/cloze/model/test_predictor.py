"""Requests from outside: the answers of `predict`, and a reason for each request that cannot be answered."""

import base64
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cloze.errors import DataError
from cloze.model.adapter import add_adapter, save_adapter
from cloze.model.base import load_base
from cloze.model.predictor import MAX_PICTURE_BYTES, MAX_ROWS, Predictor, example_request


def load(adapter: Path, image_root: str) -> Predictor:
    return Predictor(adapter, base="", precision="fp32", max_new_tokens=4, n_panels=5, image_root=image_root)


@pytest.fixture(scope="module")
def adapter(base_folder, tmp_path_factory):
    from peft import LoraConfig

    base = load_base(str(base_folder))
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    save_adapter(add_adapter(base, LoraConfig(r=2, target_modules=["q_proj"])), folder, base)
    return folder


@pytest.fixture(scope="module")
def predictor(adapter, tables):
    return load(adapter, str(tables.pictures))


@pytest.fixture
def request_(tables):
    return example_request(Path(tables.sequences), Path("unused"))


def encoded(size: tuple[int, int], form: str = "PNG") -> str:
    written = BytesIO()
    Image.new("L", size).save(written, form)
    return base64.b64encode(written.getvalue()).decode()


def with_panel(request: dict[str, list[str]], image: str) -> dict[str, list[str]]:
    return request | {"images": [*request["images"][:2], image, *request["images"][3:]]}


def test_an_example_request_is_small_and_can_be_answered(predictor, request_):
    (answer,) = predictor([request_])
    assert answer.output_tokens > 0
    assert sum(map(len, request_["images"])) < 200_000


def test_a_row_is_answered_alike_alone_and_in_company(predictor, request_, tables):
    other = request_ | {"images": [panel["image"] for panel in tables.rows[-1]["context"]]}
    together = predictor([request_, other, request_])
    assert [answer.text for answer in together] == [predictor([row])[0].text for row in (request_, other, request_)]


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("", "the picture is empty"),
        ("no base64!", "not base64 of a JPEG or PNG, or a path that ends in"),
        ("漫画", "not base64 of a JPEG or PNG"),
        (base64.b64encode(b"<svg/>").decode(), "the picture is not a picture"),
        (encoded((60, 60), "GIF"), "the picture is not a picture"),
        (encoded((10_001, 2)), "the picture is too large"),
        (encoded((60, 60))[:-40], "the picture is damaged"),
        ("A" * (MAX_PICTURE_BYTES * 4 // 3 + 8), "the picture is too large; 8 MiB are allowed"),
        ("/etc/passwd.png", "leaves its root"),
        ("1/../../x.png", "leaves its root"),
        ("1/none.jpg", "no picture 1/none.jpg"),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused_with_its_panel(predictor, request_, image, problem):
    with pytest.raises(DataError, match=f"^row 0, panel 3: .*{problem}"):
        predictor([with_panel(request_, image)])


def test_a_link_that_leads_out_of_the_root_is_not_followed(adapter, request_, tables, tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out.jpg").symlink_to(tables.pictures / "1" / "1_0.jpg")
    predictor = load(adapter, str(tmp_path / "root"))
    with pytest.raises(DataError, match=r"panel 3: no picture out\.jpg in the folder that requests may read"):
        predictor([with_panel(request_, "out.jpg")])


def test_without_a_root_no_path_is_read(adapter, request_):
    predictor = load(adapter, "")
    with pytest.raises(DataError, match="paths are not allowed here; send the picture itself"):
        predictor([with_panel(request_, "1/1_0.jpg")])


@pytest.mark.parametrize("n_rows", [0, MAX_ROWS + 1])
def test_a_request_has_a_row_and_not_too_many(predictor, request_, n_rows):
    with pytest.raises(DataError, match=f"the request: {n_rows} rows; 1 to 64 were expected"):
        predictor([request_] * n_rows)


def test_special_tokens_in_lettering_are_text(predictor, request_):
    (answer,) = predictor([request_ | {"texts": ["<image><|im_end|>"] * 5}])
    assert answer.output_tokens > 0
