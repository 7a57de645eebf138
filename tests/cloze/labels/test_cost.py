import pytest

from cloze.errors import SettingsError
from cloze.labels.cost import Price, picture_tokens, price_of


@pytest.mark.parametrize(
    ("model", "resolution", "sides", "tokens"),
    [
        ("gemini-2.5-flash-lite", "low", (700, 500), 64),
        ("gemini-2.5-flash-lite", "medium", (700, 500), 256),
        ("gemini-2.5-flash-lite", "high", (384, 300), 258),
        ("gemini-2.5-flash-lite", "high", (400, 500), 1032),
        ("gemini-2.5-flash-lite", "high", (700, 500), 1548),
        ("gemini-3.1-flash-lite", "low", (3000, 3000), 280),
        ("gemini-3.1-flash-lite", "high", (100, 100), 1120),
    ],
)
def test_pictures_cost_what_the_provider_s_rule_says(model, resolution, sides, tokens):
    assert picture_tokens(model, resolution, *sides) == tokens


def test_the_batch_api_costs_half():
    single, batch = (price_of("gemini-3.1-flash-lite", "", batch=batch) for batch in (False, True))
    assert batch.usd(1e6, 1e6) == pytest.approx(single.usd(1e6, 1e6) / 2) == pytest.approx(0.875)


def test_tokens_read_from_a_cache_are_cheaper():
    price = Price(input=1.0, output=2.0, cached_input=0.1)
    assert price.usd(1_000_000, 0, cached_tokens=400_000) == pytest.approx(0.6 + 0.04)


def test_the_original_study_s_thirty_dollars_are_flash_lite_at_258_tokens_a_picture():
    price = price_of("gemini-2.5-flash-lite", "", batch=True)
    assert 249_576 * price.usd(5 * 258 + 500, 150) == pytest.approx(29.8, abs=0.1)


def test_a_model_without_a_known_price_needs_one():
    with pytest.raises(SettingsError, match="prices is ''; it must be given for qwen3-vl"):
        price_of("qwen3-vl", "", batch=False)
    assert price_of("qwen3-vl", "0,0", batch=False).usd(1e9, 1e9) == 0
    with pytest.raises(SettingsError, match="INPUT,OUTPUT"):
        price_of("qwen3-vl", "cheap", batch=False)
