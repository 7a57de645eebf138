from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cloze.model.base import load_base
from cloze.model.known_bases import true_config
from cloze.model.layouts import picture_tiles, picture_tokens

BASE = load_base("sample")


def test_five_panels_are_3650_tokens_as_multi_at_7b():
    assert (
        sum(picture_tokens(true_config(), "multi", size) for size in [(448, 268), (900, 1300)] * 2 + [(9, 9)]) == 3650
    )


def test_tiles_make_a_picture_cost_up_to_ten_times_as_much():
    config = true_config()
    assert [picture_tokens(config, "anyres", size) for size in [(384, 384), (700, 450), (2304, 2304)]] == [
        1485,
        2599,
        7371,
    ]
    assert [picture_tiles(config, "anyres", size) for size in [(384, 384), (700, 450), (2304, 2304)]] == [2, 5, 37]


@settings(max_examples=30)
@given(width=st.integers(20, 300), height=st.integers(20, 300))
def test_tokens_and_tiles_are_the_processors_own(width, height):
    processor, config = BASE.chat.processor, BASE.model.config
    found = processor(text="<image>", images=[Image.new("RGB", (width, height))], return_tensors="pt")
    n_tokens = int((found["input_ids"] == processor.image_token_id).sum())
    assert picture_tokens(config, "anyres", (width, height)) == n_tokens
    assert picture_tiles(config, "anyres", (width, height)) == found["pixel_values"].shape[1]
