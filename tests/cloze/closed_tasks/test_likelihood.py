"""The model as an examinee: what it is shown, what decides, and what is refused."""

import pytest

from cloze.closed_tasks.items import TEXT_CLOZE, Panel, read_fold
from cloze.closed_tasks.likelihood import Reader, check_pictures, encode
from cloze.data.images import ImageFolder
from cloze.errors import DataError
from cloze.labels.prompts import lettering_prompt_digest
from tests.cloze.closed_tasks.folds import text_row, write_fold
from tests.cloze.model.conftest import base, base_folder, tables  # noqa: F401 - fixtures


@pytest.fixture
def items(tmp_path):
    rows = [text_row(panel, book=1, page_id="1", answer=panel % 3) for panel in (3, 4, 5)]
    return read_fold(write_fold(tmp_path / "fold.csv", rows), TEXT_CLOZE)


@pytest.fixture
def reader(base_folder, tables, tmp_path):  # noqa: F811
    return Reader(
        str(base_folder),
        "",
        precision="fp32",
        layout="",
        batch=2,
        images=tables.images,
        cache=tmp_path / "cache",
        features_gb=0,
    )


def test_the_prompt_shows_the_context_and_never_a_candidate(base, items):  # noqa: F811
    prompt = encode(base.chat, items[0], blind=False)
    shown = base.chat.show(prompt)
    assert prompt.pictures == ("1/1_0.jpg", "1/1_1.jpg", "1/1_2.jpg")
    assert prompt.ids[-len(base.chat.opening) :] == base.chat.opening
    assert "Lettering: the spirit hides the treasure\n" in shown
    assert "Panel 4" in shown
    assert not any(boxes[0] in shown for boxes in items[0].candidates)


def test_without_pictures_all_are_blank(base, items):  # noqa: F811
    assert encode(base.chat, items[0], blind=True).pictures == (None, None, None)
    assert encode(base.chat, None, blind=True).pictures == ()


def test_mean_and_total_are_of_the_same_tokens_and_pmi_takes_away_what_needs_no_context(reader, items):
    scores = reader(items, blind=False, pmi=True)
    chat = reader._base.chat
    for mean, total, item in zip(scores["mean"], scores["total"], items, strict=True):
        n_tokens = [len(chat.answer_ids(boxes[0])) for boxes in item.candidates]
        assert [m * n for m, n in zip(mean, n_tokens, strict=True)] == pytest.approx(total)
    anywhere = [
        [t - p for t, p in zip(*some, strict=True)] for some in zip(scores["total"], scores["pmi"], strict=True)
    ]
    assert anywhere[0] == pytest.approx(anywhere[2], rel=1e-4)  # the same candidates
    assert scores["total"][0] != pytest.approx(scores["total"][2], rel=1e-4)  # other pictures


def test_pictures_that_are_not_there_are_refused_before_a_model_is_loaded(items, tables):  # noqa: F811
    check_pictures(items, tables.images)
    absent = Panel("1/1_99", "1/1_99.jpg", ())
    unlike = [type(item)(item.item_id, 1, (*item.context[1:], absent), item.candidates, 0) for item in items]
    with pytest.raises(DataError, match=r"no picture 1/1_99.jpg \(1 of 5 panels have none\).*blind=images"):
        check_pictures(unlike, ImageFolder(str(tables.pictures), str(tables.pictures)))


def test_the_signature_names_base_layout_and_words(reader):
    assert reader.signature.endswith(f"|fp32|multi|{lettering_prompt_digest()}")
