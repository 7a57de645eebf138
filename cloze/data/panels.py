"""From comic files to the table `panels`: what each panel is, says and shows.

The files lie as COMICS does: pictures as `raw_panel_images/{book}/{page}_{panel}.jpg`, an OCR table of either level
(`cloze.data.ocr_tables`), and perhaps `predadpages.txt`.
"""

import csv
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cloze.data.adverts import ADS_FILE, read_ad_pages
from cloze.data.comics import PICTURE_FOLDERS, SAMPLE, ComicFiles, draw_sample, find_comics
from cloze.data.database import connect
from cloze.data.ocr_tables import is_panel_level, read_lettering
from cloze.data.pictures import CHECKS, OPENING, PROBLEMS, find_problems
from cloze.errors import DataError, SettingsError
from cloze.settings import setting
from cloze.stage import Workspace
from cloze.tables import PANELS, with_images, write_table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ID = "book || '/' || page || '_' || panel"
_EXPECTED = f"coalesce(regexp_replace(trim(image), '^({'|'.join(PICTURE_FOLDERS)})/', ''), {_ID} || '.jpg')"


@dataclass(frozen=True, kw_only=True)
class IngestSettings:
    """What a user may set when reading comic files."""

    comics: str = setting(
        "Folder of comics in the COMICS layout, local or gs://bucket/folder; `sample` draws a small world of comics.",
        default=SAMPLE,
    )
    ocr: str = setting("OCR table (CSV), by box or by panel. Empty: the one in the folder.", default="")
    ads: str = setting(
        f"File of advertisement pages, one `book---page` a line. Empty: {ADS_FILE} of the folder, if there.", default=""
    )
    pictures: str = setting(
        "How pictures are checked. decode: read whole, which finds all damage. headers: size and end only. "
        "listed: only that they are there. assumed: not at all, for lettering without pictures.",
        default="decode",
        choices=CHECKS,
    )
    seed: int = setting("Seed that the sample is drawn from.", default=42)

    def __post_init__(self) -> None:
        if not self.comics:
            raise SettingsError("comics", self.comics, "a folder, gs://bucket/folder or `sample`")
        if self.pictures not in CHECKS:
            raise SettingsError("pictures", self.pictures, f"one of {', '.join(CHECKS)}")
        if self.seed < 0:
            raise SettingsError("seed", self.seed, "0 or more")
        if self.comics == SAMPLE and (self.ocr or self.ads):
            raise SettingsError(
                "ocr" if self.ocr else "ads", self.ocr or self.ads, "empty for the sample, which has its own"
            )


def ingest(settings: IngestSettings, workspace: Workspace) -> dict[str, float]:
    """Read comic files into `panels.parquet`; name each picture that cannot be used in `unusable_pictures.csv`.

    Raises:
        DataError: a folder, table, row or value is not what it must be.
    """
    workspace.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.cache) as scratch, connect(Path(scratch)) as database:
        if settings.comics == SAMPLE:
            comics = draw_sample(settings.seed, workspace.cache)
        else:
            need_pictures = settings.pictures != "assumed"
            comics = find_comics(
                settings.comics, settings.ocr, settings.ads, Path(scratch), need_pictures=need_pictures
            )
        lettering = read_lettering(comics.ocr)
        _place_pictures(database, lettering, comics, settings.pictures)
        _place_ads(database, comics.ads)
        placed = database.sql(_PLACED).to_arrow_table()
    panels, unusable = _panels(placed, lettering), _unusable(placed)
    if not panels.num_rows:
        raise DataError(comics.ocr, "holds no rows, and there is no picture beside it", "a panel a row was expected")
    write_table(with_images(panels, comics.images.uri), workspace.out / "panels.parquet")
    _write_unusable(unusable, workspace.out / "unusable_pictures.csv")
    if comics.facts:
        shutil.copyfile(comics.facts, workspace.out / "facts.parquet")
    return _counts(panels, unusable)


_PICTURES = r"""
    create table pictures as
    select name, ids.book::int as book, ids.page::int as page, ids.panel::int as panel
    from (
        select name, regexp_extract(name, '^(\d{1,9})/(\d{1,9})_(\d{1,9})\.\w+$', ['book', 'page', 'panel']) as ids
        from listing
    )
    where ids.book <> ''
"""
_BY_PANEL = f"""
    create table joined as
    select read.* replace (pictures.name as image)
    from (select * replace ({_EXPECTED} as image) from lettering) as read
    left join pictures on pictures.name = read.image
"""  # noqa: S608
_BY_BOX = """
    create table joined as
    select book, page, panel, row, name as image
    from lettering
    full join (select book, page, panel, min(name) as name from pictures group by all) using (book, page, panel)
"""
_PLACED = f"""
    select
        {_ID} as panel_id, book, page, panel, row, image, page < 1 as is_cover, ad_pages.book is not null as is_ad,
        if(image is null, '{PROBLEMS[0]}', problem) as problem
    from joined
    left join problems on problems.name = joined.image
    left join ad_pages using (book, page)
    order by book, page, panel
"""  # noqa: S608


def _place_pictures(database: "DuckDBPyConnection", lettering: pa.Table, comics: ComicFiles, check: str) -> None:
    """Make the tables `joined` (each panel, its row in `lettering`, its picture if there) and `problems`.

    An OCR table by box does not name panels without text, so each picture is a panel there. One by panel names all
    that were read: other pictures are of panels that nobody has read, not of panels that say nothing.
    """
    names = sorted(comics.images.listing()) if check != "assumed" else []
    rows = pa.array(np.arange(lettering.num_rows))
    database.register("lettering", lettering.select(["book", "page", "panel", "image"]).append_column("row", rows))
    database.register("listing", pa.table({"name": pa.array(names, pa.string())}))
    database.execute(_PICTURES)
    if check == "assumed":
        database.execute(f"create table joined as select * replace ({_EXPECTED} as image) from lettering")  # noqa: S608
    else:
        database.execute(_BY_PANEL if is_panel_level(comics.ocr) else _BY_BOX)
    used = "select distinct image from joined where image is not null order by image"
    opened = database.sql(used).to_arrow_table()["image"].to_pylist() if check in OPENING else []
    problems = find_problems(comics.images, opened, check)
    found = {"name": pa.array(problems, pa.string()), "problem": pa.array(problems.values(), pa.string())}
    database.register("found", pa.table(found))
    database.execute("create table problems as from found")


def _place_ads(database: "DuckDBPyConnection", ads: Path | None) -> None:
    """Make the table `ad_pages`."""
    pages = read_ad_pages(ads) if ads else []
    columns = {"book": pa.array((b for b, _ in pages), pa.int32()), "page": pa.array((p for _, p in pages), pa.int32())}
    database.register("ads", pa.table(columns))
    database.execute("create table ad_pages as select distinct book, page from ads")


def _panels(placed: pa.Table, lettering: pa.Table) -> pa.Table:
    """The table `panels`; where a panel has no row in `lettering`, it says nothing."""
    import pyarrow.compute as pc

    said = lettering.select(["text", "bubbles"])
    rows = pc.fill_null(placed["row"], lettering.num_rows)
    if not np.array_equal(rows.to_numpy(), np.arange(lettering.num_rows)):  # as they are, mostly; taking copies text
        silent = pa.table({"text": [""], "bubbles": pa.array([[]], PANELS.field("bubbles").type)})
        said = pa.concat_tables([said, silent]).take(rows)
    columns = {name: placed[name] for name in PANELS.names if name in placed.column_names}
    columns |= {"image": pc.if_else(placed["problem"].is_null(), placed["image"], None)}
    columns |= {"text": said["text"], "bubbles": said["bubbles"]}
    return pa.table([columns[name] for name in PANELS.names], names=PANELS.names).cast(PANELS)


def _unusable(placed: pa.Table) -> list[dict[str, str | None]]:
    return placed.select(["panel_id", "image", "problem"]).filter(placed["problem"].is_valid()).to_pylist()


def _write_unusable(rows: list[dict[str, str | None]], path: Path) -> None:
    if rows:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _counts(panels: pa.Table, unusable: list[dict[str, str | None]]) -> dict[str, float]:
    import pyarrow.compute as pc

    problems = Counter(row["problem"] for row in unusable)
    return {
        "panels": panels.num_rows,
        "books": pc.count_distinct(panels["book"]).as_py(),
        "covers": pc.sum(panels["is_cover"]).as_py(),
        "ad_panels": pc.sum(panels["is_ad"]).as_py(),
        "panels_without_text": pc.sum(pc.equal(panels["text"], "")).as_py(),
        **{f"pictures_{problem.replace(' ', '_')}": problems[problem] for problem in PROBLEMS},
    }
