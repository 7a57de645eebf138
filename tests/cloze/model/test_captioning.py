import pytest
import torch
from PIL import Image

from cloze.data.images import ImageFolder
from cloze.model.captioning import Panel, caption_example, context_example, learn_words, seen_words
from cloze.model.conversation import Chat, Example
from cloze.model.features import Features

CAPTIONS = ("In the cave, Vex hides.", "At the harbor, Nell waves.")


@pytest.fixture
def panels(tables):
    names = [panel["image"] for row in tables.rows for panel in row["context"]]
    unique = list(dict.fromkeys(names))
    return [Panel(name, "VEX SPEAKS", CAPTIONS[index % 2]) for index, name in enumerate(unique)]


def supervised_text(example: Example, chat: Chat) -> str:
    ids = [t for t, is_answer in zip(example.ids, example.supervised, strict=True) if is_answer]
    return str(chat.tokenizer.decode(ids))


def test_one_panel_is_asked_for_its_own_caption(base, panels):
    example = caption_example(panels[0], base.chat)
    assert supervised_text(example, base.chat) == f"{CAPTIONS[0]}<|im_end|>"
    assert example.pictures == (panels[0].image,)


def test_five_panels_are_captioned_one_after_another_and_none_is_foretold(base, panels):
    example = context_example(panels[:5], [4, 0, 2, 1, 3], base.chat)
    said = [CAPTIONS[index % 2] for index in (4, 0, 2, 1, 3)]
    assert supervised_text(example, base.chat) == "".join(f"{caption}<|im_end|>" for caption in said)
    shown = base.chat.show(example)
    assert "Predict" not in shown
    assert "Panel 6" not in shown
    assert shown.index("in Panel 5.") < shown.index("in Panel 1.")


def test_five_panels_are_shown_in_the_words_of_the_study(base, sequence):
    panels = [Panel(panel["image"], panel["text"], "A caption.") for panel in sequence["context"]]
    shown = base.chat.show(context_example(panels, range(5), base.chat)).split("Describe")[0]
    assert base.chat.show(base.chat.encode(sequence)).startswith(shown)


def test_words_that_the_lettering_gives_away_are_not_asked_of_the_picture(panels):
    words, targets = seen_words(panels)
    assert "vex" not in words
    assert {"cave", "hides", "harbor", "waves", "nell"} <= set(words)
    assert targets[0, words.index("cave")] == 1
    assert targets[0, words.index("harbor")] == 0


def test_the_tower_learns_the_words_of_pictures_it_can_tell_apart(base, panels, tmp_path):
    base.model.requires_grad_(True)
    dark, light = Image.new("RGB", (64, 64), (10, 10, 40)), Image.new("RGB", (64, 64), (250, 220, 90))
    for index, panel in enumerate(panels):
        (tmp_path / panel.image).parent.mkdir(exist_ok=True)
        (dark, light)[index % 2].save(tmp_path / panel.image)
    features = Features(base, ImageFolder(str(tmp_path), str(tmp_path)), is_frozen=False)
    untrained = learn_words(base.model, panels, features, 1, 1e-3, seed=0)
    assert learn_words(base.model, panels, features, 40, 1e-3, seed=0) < 0.2 * untrained
    assert torch.isfinite(features([panels[0].image])[0]).all()
