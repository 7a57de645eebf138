"""What labels cost: prices of models, and tokens of a request estimated before it is sent.

Prices are Google's published ones as of 2026-11 (https://ai.google.dev/gemini-api/docs/pricing), USD per million
tokens; the Batch API costs half of them. Picture tokens follow https://ai.google.dev/gemini-api/docs/tokens and
https://ai.google.dev/gemini-api/docs/media-resolution.
"""

import math
from dataclasses import dataclass

from cloze.errors import SettingsError

RESOLUTIONS = ("low", "medium", "high")

_MILLION = 1_000_000
_BATCH_DISCOUNT = 0.5
_LETTERS_PER_TOKEN = 3.5  # English prose has 4 or more: estimates err on the dear side
_SMALL_SIDE, _SMALL = 384, 258  # 2.5: a picture of at most so many px a side costs so many tokens
_TILE_SHARE, _TILE_SIDES = 1.5, (256, 768)
_BY_RESOLUTION = {"2.5": {"low": 64, "medium": 256}, "3": {"low": 280, "medium": 560, "high": 1120}}
_UNKNOWN = 1120  # another maker's model: the dearest of the above


@dataclass(frozen=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float
    cached_input: float

    def usd(self, input_tokens: float, output_tokens: float, cached_tokens: float = 0) -> float:
        """Price of an answer; `cached_tokens` of the `input_tokens` were read from a cache."""
        fresh = (input_tokens - cached_tokens) * self.input
        return (fresh + cached_tokens * self.cached_input + output_tokens * self.output) / _MILLION


# Standard prices: input, output (thoughts included), input read from a cache.
PRICES = {
    "gemini-2.5-flash": Price(0.30, 2.50, 0.03),
    "gemini-2.5-flash-lite": Price(0.10, 0.40, 0.01),
    "gemini-3.1-flash-lite": Price(0.25, 1.50, 0.025),
    "gemini-3.5-flash-lite": Price(0.30, 2.50, 0.03),
    "gemini-3.8-flash": Price(0.75, 3.75, 0.075),
}


def price_of(model: str, prices: str, *, batch: bool) -> Price:
    """The price of a model.

    Args:
        prices: `INPUT,OUTPUT` in USD per million tokens, as billed; empty for the published price.
        batch: at the Batch API's discount.

    Raises:
        SettingsError: its price is not known, so no budget could hold.
    """
    if prices:
        try:
            given_input, given_output = (float(price) for price in prices.split(","))
        except ValueError:
            raise SettingsError("prices", prices, "INPUT,OUTPUT in USD per million tokens, as 0.125,0.75") from None
        return Price(given_input, given_output, given_input)
    if model not in PRICES:
        raise SettingsError("prices", "", f"given for {model}, as INPUT,OUTPUT; known prices: {', '.join(PRICES)}")
    price, share = PRICES[model], _BATCH_DISCOUNT if batch else 1.0
    return Price(price.input * share, price.output * share, price.cached_input * share)


def family(model: str) -> str:
    """`2.5` or `3` for Google's models, which count pictures and spell thinking differently; else empty."""
    for name, prefixes in {"2.5": ("gemini-2.5",), "3": ("gemini-3",)}.items():
        if model.startswith(prefixes):
            return name
    return ""


def picture_tokens(model: str, resolution: str, width: int, height: int) -> int:
    """Tokens that a picture of so many pixels is billed as."""
    kind = family(model)
    if not kind:
        return _UNKNOWN
    if resolution in _BY_RESOLUTION[kind]:
        return _BY_RESOLUTION[kind][resolution]
    if max(width, height) <= _SMALL_SIDE:
        return _SMALL
    low, high = _TILE_SIDES
    side = min(max(math.floor(min(width, height) / _TILE_SHARE), low), high)
    return _SMALL * math.ceil(width / side) * math.ceil(height / side)


def text_tokens(n_letters: int) -> int:
    """Tokens of an English text, estimated from its length."""
    return math.ceil(n_letters / _LETTERS_PER_TOKEN)
