"""Text about the drawn world without drawing it: single-panel captions, and every word there is."""

from collections.abc import Iterator

from cloze.sample.books import make_books
from cloze.sample.grammar import Panel
from cloze.sample.telling import tell


def captions(seed: int) -> Iterator[tuple[str, str, str]]:
    """panel_id, image name and caption of each story panel, book by book.

    A caption tells what that panel alone shows, in the clauses of a label.
    """
    for book in make_books(seed):
        for panel_id, panel in book.panels():
            yield panel_id, f"{panel_id}.jpg", tell(panel.scene)


def lettering(panel: Panel) -> str:
    """All lettering of a panel, as drawn, without the noise of the OCR table."""
    return " ".join(bubble.text for bubble in panel.bubbles)


def all_words(seed: int) -> list[str]:
    """Each different word of captions, labels and lettering, sorted, punctuation and all."""
    found: set[str] = set()
    for book in make_books(seed):
        for page in book.pages:
            found.update(word for bubble in page.print for word in bubble.text.split())
        for _, panel in book.panels():
            found.update(f"{tell(panel.scene)} {lettering(panel)}".split())
    return sorted(found)
