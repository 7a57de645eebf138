"""Books of the drawn world: stories laid out on numbered pages, with covers, adverts, gaps and a reprint."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cloze.sample import vocabulary as words
from cloze.sample.grammar import Bubble, Panel, stream, tell_story

N_BOOKS = 48
STORIES_PER_BOOK = 5
STORY_PANELS = (14, 18)
SHORT_STORY_PANELS = (6, 9)
PAGE_PANELS = (3, 6)
# This book holds short stories only, adverts between them, none long enough to cut into sequences under any rules.
SHORT_STORIES_BOOK = 17
# The same book came out again under another number.
REPRINTS = {131: 31}

SHORT_STORY_SHARE = 0.02
UNMARKED_END_SHARE = 0.06
ADVERT_SHARE = 0.5
GAP_SHARE = 0.1

_ADVERTS = (
    ("BIG STRONG ARMS!", "SEND ONLY 10 CENTS AND LEARN HOW!"),
    ("A REAL TOY ROCKET!", "ORDER NOW! YOUR MONEY BACK IF IT DOES NOT FLY!"),
    ("LEARN MAGIC AT HOME!", "MAIL THIS COUPON FOR A FREE BOOK!"),
    ("100 TIN SOLDIERS!", "SEND ONLY 50 CENTS TO BOX NO. 7!"),
)


@dataclass(frozen=True)
class Page:
    """What is printed on one page: a cover, an advert, or panels of a story.

    Attributes:
        number: 0 is the cover.
        panels: the story panels in reading order; none on a cover or an advert.
        print: lettering of a cover or an advert, which is one picture.
        hero: who is on the cover.
    """

    number: int
    panels: tuple[Panel, ...] = ()
    print: tuple[Bubble, ...] = ()
    hero: str = ""

    @property
    def is_advert(self) -> bool:
        """Whether `predadpages.txt` names this page."""
        return self.number > 0 and not self.panels


@dataclass(frozen=True)
class Book:
    """A book of the drawn world; `original` is the number it came out under first."""

    number: int
    original: int
    pages: tuple[Page, ...]

    def panels(self) -> Iterator[tuple[str, Panel]]:
        """Each story panel with its panel_id."""
        for page in self.pages:
            for number, panel in enumerate(page.panels):
                yield f"{self.number}/{page.number}_{number}", panel


def book_numbers() -> tuple[int, ...]:
    """Numbers of all books, reprints last."""
    return (*range(1, N_BOOKS + 1), *REPRINTS)


def make_book(seed: int, number: int) -> Book:
    """The book of that number, from the seed alone and whatever other books there are.

    Raises:
        KeyError: no book has that number.
    """
    if number in REPRINTS:
        return replace(make_book(seed, REPRINTS[number]), number=number)
    if not 1 <= number <= N_BOOKS:
        raise KeyError(number)
    rng = stream(seed, number)
    pages = [_cover(number, rng)]
    for story, n_panels, has_end in _plan(number, rng):
        first = pages[-1].number + _leaf(len(pages), rng)
        panels = tell_story(stream(seed, number, story), n_panels, has_end=has_end)
        pages += _lay_out(panels, first, rng)
        if rng.random() < ADVERT_SHARE or number == SHORT_STORIES_BOOK:
            pages.append(_advert(pages[-1].number + 1, rng))
    return Book(number, number, tuple(pages))


def make_books(seed: int) -> Iterator[Book]:
    """All books, in the order of their numbers."""
    return (make_book(seed, number) for number in book_numbers())


def _plan(number: int, rng: random.Random) -> list[tuple[int, int, bool]]:
    """Story number, panels and whether THE END is written, of each story of a book."""
    if number == SHORT_STORIES_BOOK:
        return [(story, rng.randint(*SHORT_STORY_PANELS), True) for story in range(2 * STORIES_PER_BOOK)]
    plan = []
    for story in range(STORIES_PER_BOOK):
        bounds = SHORT_STORY_PANELS if rng.random() < SHORT_STORY_SHARE else STORY_PANELS
        plan.append((story, rng.randint(*bounds), rng.random() >= UNMARKED_END_SHARE))
    return plan


def _leaf(n_pages: int, rng: random.Random) -> int:
    """How many pages on the next story begins: 2 where a page between two stories is lost."""
    return 2 if n_pages > 1 and rng.random() < GAP_SHARE else 1


def _cover(number: int, rng: random.Random) -> Page:
    hero = rng.choice(words.HEROES)
    return Page(0, print=(Bubble("title", f"{hero.upper()} COMICS"), Bubble("narration", f"NO. {number}")), hero=hero)


def _advert(number: int, rng: random.Random) -> Page:
    title, offer = rng.choice(_ADVERTS)
    return Page(number, print=(Bubble("title", title), Bubble("narration", offer)))


def _lay_out(panels: tuple[Panel, ...], first: int, rng: random.Random) -> list[Page]:
    """A story's panels on pages of 3 to 6, beginning on page `first`."""
    pages: list[Page] = []
    start = 0
    while start < len(panels):
        stop = start + rng.randint(*PAGE_PANELS)
        if len(panels) - stop < PAGE_PANELS[0]:  # never leave a page with one or two panels
            stop = len(panels) if len(panels) - start <= PAGE_PANELS[1] else start + PAGE_PANELS[0]
        pages.append(Page(first + len(pages), panels[start:stop]))
        start = stop
    return pages
