"""What a judgement is taken to cost before it is asked for."""

from pathlib import Path

import pytest

from cloze.judging.prompt import PANEL
from cloze.judging.questions import PREDICTION, Item, Judgements
from cloze.judging.rubric import DEFAULT, read_rubric
from cloze.labels.cost import PRICES, RESOLUTIONS, price_of
from cloze.labels.requests import Asking

DOCS = Path(__file__).resolve().parents[3] / "docs" / "judge.md"
ITEM = Item("1/1_1", PREDICTION, "word " * 120, [{"image": "x.jpg", "text": "x" * 100}] * 6, "x" * 100)


def questions(**changes) -> Judgements:
    asking = {"model": "gemini-3.1-flash-lite", "resolution": "low", "temperature": 0.0, "top_p": 0.9, **changes}
    settings = Asking(paradigm="judge", form="rubric", max_output_tokens=512, **asking)
    return Judgements([ITEM], settings, PANEL, read_rubric(DEFAULT))


@pytest.mark.parametrize("model", PRICES)
def test_the_prices_on_the_page_are_those_that_are_estimated(model):
    prices = []
    for resolution in RESOLUTIONS:
        (planned,) = questions(model=model, resolution=resolution).plan((384, 300))
        usd = price_of(model, "", batch=True).usd(planned.est_input_tokens, planned.est_output_tokens)
        prices.append(f"{1100 * usd:.2f}")
    assert f"| {' | '.join(prices)} |" in DOCS.read_text(encoding="utf-8")


def test_whatever_an_answer_may_depend_on_makes_another_question():
    keys = {
        questions(**changes).key(ITEM) for changes in ({}, {"temperature": 0.5}, {"model": "other"}, {"top_p": 1.0})
    }
    assert len(keys) == 4
    assert questions().key(ITEM) == questions().key(ITEM)
