"""The drawn world as files in the layout of COMICS: pictures, OCR table, ad pages, and ground truth beside them.

They have the faults of real collections: misread letters, a truncated picture, a missing one, sidecar files.
"""

import csv
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from cloze.sample.books import Book, Page, book_numbers, make_book
from cloze.sample.drawing import SIZES, Drawn, draw_advert, draw_cover, draw_panel
from cloze.sample.grammar import Panel, stream
from cloze.sample.lettering import Lettered
from cloze.sample.world import fact_rows
from cloze.tables import table, write_table

PICTURES = "raw_panel_images"
OCR_TABLE = "COMICS_ocr_file.csv"
ADS_FILE = "predadpages.txt"
FACTS_FILE = "facts.parquet"

# Faults that every large collection of scans has: in these books, the second panel of page 2.
TRUNCATED_BOOK = 5
MISSING_BOOK = 9
_FAULTY_PAGE, _FAULTY_PANEL = 2, 1

_QUALITY = 80
_MISREAD_BOXES = 0.04
_LOOK_ALIKES = {"O": "0", "I": "1", "S": "5", "B": "8", "E": "F", "L": "I", "N": "M", "U": "V"}
_COLUMNS = ["comic_no", "page_no", "panel_no", "textbox_no", "dialog_or_narration", "text", "x1", "y1", "x2", "y2"]


def draw_world(folder: Path, seed: int, books: Iterable[int] = book_numbers()) -> None:
    """Draw the world into a folder, in the layout of COMICS.

    Args:
        books: numbers of the books to draw; a book is the same whatever others there are.

    Raises:
        FileExistsError: the folder is there already.
    """
    folder.mkdir(parents=True)
    ocr: list[list[object]] = []
    ads: list[str] = []
    panels: dict[str, Panel] = {}
    for book in (make_book(seed, number) for number in books):
        panels |= book.panels()
        (folder / PICTURES / str(book.number)).mkdir(parents=True)
        for page in book.pages:
            if page.is_advert:
                ads.append(f"{book.number}---{page.number}")
            for number, drawn in enumerate(_draw_page(seed, book, page)):
                _save(drawn, folder / PICTURES, (book.number, page.number, number))
                rng = stream(seed, "ocr", book.number, page.number, number)
                ocr += _ocr_rows((book.number, page.number, number), drawn.lettering, rng)
    with (folder / OCR_TABLE).open("w", encoding="utf-8", newline="") as stream_:
        csv.writer(stream_, lineterminator="\n").writerows([_COLUMNS, *ocr])
    (folder / ADS_FILE).write_text("".join(f"{line}\n" for line in ads), encoding="utf-8")
    write_table(table("facts", fact_rows(panels)), folder / FACTS_FILE)


def misread(text: str, rng: random.Random) -> str:
    """The text as poor OCR reads it: a look-alike for one letter, or a letter lost."""
    places = [place for place, letter in enumerate(text) if letter in _LOOK_ALIKES]
    if not places:
        return text
    place = rng.choice(places)
    instead = _LOOK_ALIKES[text[place]] if rng.random() < 0.5 else ""
    return text[:place] + instead + text[place + 1 :]


def _draw_page(seed: int, book: Book, page: Page) -> Iterator[Drawn]:
    """Pictures of a page. A reprint shows what the original showed, so keys name the original."""
    key = f"{seed}/{book.original}/{page.number}"
    if page.is_advert:
        yield draw_advert(page.print, key)
    elif not page.panels:
        yield draw_cover(page.hero, page.print, key)
    for number, panel in enumerate(page.panels):
        yield draw_panel(panel, SIZES[(page.number + number) % len(SIZES)], f"{key}/{number}")


def _save(drawn: Drawn, pictures: Path, place: tuple[int, int, int]) -> None:
    book, page, panel = place
    path = pictures / f"{book}/{page}_{panel}.jpg"
    is_faulty_place = (page, panel) == (_FAULTY_PAGE, _FAULTY_PANEL)
    if page == 0:  # what a Mac leaves beside a file that it copied
        path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    if is_faulty_place and book == MISSING_BOOK:
        return
    drawn.picture.save(path, quality=_QUALITY)
    if is_faulty_place and book == TRUNCATED_BOOK:
        path.write_bytes(path.read_bytes()[:2000])


def _ocr_rows(place: tuple[int, int, int], lettering: list[Lettered], rng: random.Random) -> Iterator[list[object]]:
    for box, lettered in enumerate(lettering):
        kind = 1 if lettered.bubble.kind == "balloon" else 2
        text = lettered.bubble.text
        if rng.random() < _MISREAD_BOXES:
            text = misread(text, rng)
        yield [*place, box, kind, text, *(f"{edge:.1f}" for edge in lettered.box)]
