from collections import Counter
from collections.abc import Iterator

import pytest

from cloze.sample.books import REPRINTS, SHORT_STORIES_BOOK, Book, book_numbers, make_book, make_books

SEED = 42


@pytest.fixture(scope="module")
def books():
    return list(make_books(SEED))


def test_there_are_49_books_with_about_4000_panels(books):
    assert [book.number for book in books] == list(book_numbers())
    assert len(books) == 49
    assert 3700 < sum(len(list(book.panels())) for book in books) < 4300


def test_pages_are_numbered_upwards_from_the_cover_and_hold_3_to_6_panels(books):
    for book in books:
        numbers = [page.number for page in book.pages]
        assert numbers == sorted(set(numbers))
        assert numbers[0] == 0
        assert {len(page.panels) for page in book.pages} <= {0, 3, 4, 5, 6}


def test_a_story_begins_on_a_page_of_its_own(books):
    for book in books:
        for page in book.pages:
            assert not any(panel.bubbles[0].kind == "title" for panel in page.panels[1:])


def test_all_stories_but_a_few_have_ten_panels_or_more(books):
    lengths = Counter((book.number, story) for book in books for story in _stories(book))
    short = [number for (number, _), n_panels in lengths.items() if n_panels < 10]
    assert short.count(SHORT_STORIES_BOOK) == 10
    assert len(short) - 10 < 12
    assert all(n <= 9 for (number, _), n in lengths.items() if number == SHORT_STORIES_BOOK)


def test_a_reprint_has_the_pages_of_its_original():
    for reprint, original in REPRINTS.items():
        assert make_book(SEED, reprint).pages == make_book(SEED, original).pages


def test_a_book_is_the_same_whoever_asks_for_it_and_another_with_another_seed(books):
    assert make_book(SEED, 7) == books[6]
    assert make_book(SEED + 1, 7).pages != books[6].pages


def test_there_is_no_book_of_an_unknown_number():
    with pytest.raises(KeyError, match="49"):
        make_book(SEED, 49)


def _stories(book: Book) -> Iterator[int]:
    """The story that each panel of the book belongs to."""
    story = -1
    for _, panel in book.panels():
        story += panel.bubbles[0].kind == "title"
        yield story
