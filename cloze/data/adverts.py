"""Which panels are advertisements.

Pages listed as advertisements (`predadpages.txt`) are marked when files are read. Phrases of the lettering are looked
for by the rules: `v1` is the original study's, exactly; `v2` mends what it takes for one (docs/cleaning.md has the
measurements).
"""

import re
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from cloze.data.patterns import search
from cloze.data.runs import Pages, spread
from cloze.errors import DataError

ADS_FILE = "predadpages.txt"
_PAGE = re.compile(r"(\d{1,9})---(\d{1,9})")

# What the original study took for an advertisement, anywhere in a panel's lettering.
V1_PHRASES = (
    "BUY NOW",
    "ORDER NOW",
    "ORDER TODAY",
    "SEND FOR",
    "SEND ONLY",
    "SEND JUST",
    "ONLY $",
    "JUST $",
    "ONLY 10",
    "ONLY 25",
    "ONLY 50",
    "FREE GIFT",
    "FREE CATALOG",
    "FREE BOOK",
    "FREE SAMPLE",
    "MONEY BACK",
    "GUARANTEE",
    "GUARANTEED",
    "COUPON",
    "CLIP THIS",
    "CUT OUT",
    "MAIL TO",
    "MAIL THIS",
    "SEND TO",
    "P.O. BOX",
    "POST OFFICE BOX",
    "BOX NO.",
    "BODY BUILDING",
    "BUILD MUSCLE",
    "CHARLES ATLAS",
    "X-RAY SPECS",
    "X-RAY VISION",
    "SEE THRU",
    "BB GUN",
    "AIR RIFLE",
    "DAISY GUN",
    "STAMP COLLECT",
    "COIN COLLECT",
    "MAGIC TRICK",
    "LEARN MAGIC",
    "SEA MONKEY",
    "SEA-MONKEY",
    "SEAMONKEY",
    "WAR BONDS",
    "WAR STAMPS",
    "BUY BONDS",
    "DEFENSE BONDS",
    "SAVINGS BONDS",
    "DEPT.",
    "DEPARTMENT",
    "NEW YORK, N.Y",
    "CHICAGO, ILL",
    "NEWARK, N.J",
    "10¢",
    "25¢",
    "50¢",
    "98¢",
    "$1.00",
    "$1.98",
    "10 CENTS",
    "25 CENTS",
    "50 CENTS",
    "SUBSCRIBE",
    "SUBSCRIPTION",
    "JOIN NOW",
    "JOIN THE CLUB",
    "MEMBERSHIP",
)
# Each phrase also occurs in stories ("I want my money back!", "Send for Harris!", "my war stamps"); an advertisement
# has several kinds of them in one panel. COMICS separates punctuation (`$ 1 . 98`), hence the optional spaces.
V2_KINDS = {
    "order": (
        r"\b(?:BUY|ORDER|JOIN|ACT)\s+(?:NOW|TODAY)\b",
        r"\bSEND\s+(?:FOR|ONLY|JUST|TO|NO\s+MONEY|COUPON)\b",
        r"\bMAIL\s+(?:TO|THIS|COUPON|TODAY)\b",
        r"\b(?:CLIP|CUT\s+OUT)\b",
        r"\bCOUPONS?\b",
    ),
    "price": (
        r"\$\s?\d",
        r"\d\s?¢",
        r"\b\d+\s+CENTS\b",
        r"\b(?:ONLY|JUST)\s+(?:10|25|50)\b",
        r"\bPOST\s?PAID\b",
    ),
    "offer": (
        r"\bFREE\s+(?:GIFT|CATALOG|BOOK|SAMPLE|TRIAL)",
        r"\bMONEY[\s-]BACK\b",
        r"\bGUARANTEED?\b",
        r"\bSUBSCRI(?:BE|PTIONS?)\b",
        r"\bMEMBERSHIP\b",
        r"\bJOIN\s+THE\s+CLUB\b",
    ),
    "address": (
        r"\bP\s?\.\s?O\s?\.\s?BOX\b",
        r"\bPOST\s+OFFICE\s+BOX\b",
        r"\bBOX\s+NO\s?\.",
        r"\bDEPT\s?\.",
        r"\b(?:NEW\s+YORK|CHICAGO|NEWARK)\s?,\s?(?:N\s?\.\s?Y|ILL|N\s?\.\s?J)\b",
        r"\bNAME\s(?:.{0,60}\s)?ADDRESS\s(?:.{0,60}\s)?CITY\b",
    ),
    "product": (
        r"\bBODY[\s-]?BUILDING\b",
        r"\bBUILD\s+MUSCLE",
        r"\bCHARLES\s+ATLAS\b",
        r"\bX[\s-]RAY\s+(?:SPECS|VISION)\b",
        r"\bSEE\s+THRU\b",
        r"\b(?:BB|AIR|DAISY)\s+(?:GUN|RIFLE)\b",
        r"\b(?:STAMP|COIN)\s+COLLECT",
        r"\b(?:LEARN\s+MAGIC|MAGIC\s+TRICKS?)\b",
        r"\bSEA[\s-]?MONKEY",
        r"\b(?:WAR|DEFENSE|SAVINGS|BUY)\s+(?:BONDS|STAMPS)\b",
    ),
}


def ad_panels(rules: str, spoken: pa.Array, on_ad_page: np.ndarray, pages: Pages) -> np.ndarray:
    """Which panels are left out as advertisements.

    Args:
        rules: `v1`: a panel with an ad phrase. `v2`: all panels of a listed page, and of a page with a panel whose
            phrases are of two kinds or more.
        spoken: (n,) lettering in capitals.
        on_ad_page: (n,) whether the panel's page is listed.
        pages: of these panels.

    Returns:
        (n,) booleans.
    """
    if rules == "v1":
        return search(spoken, map(re.escape, V1_PHRASES)).to_numpy(zero_copy_only=False)
    some = np.flatnonzero(search(spoken, chain(*V2_KINDS.values())))  # hardly any panel: the rest is done with
    suspects = spoken.take(pa.array(some))
    n_kinds = sum((np.asarray(search(suspects, kind)).astype(int) for kind in V2_KINDS.values()), np.zeros(len(some)))
    is_ad = on_ad_page.copy()
    is_ad[some[n_kinds >= 2]] = True
    return spread(np.logical_or.reduceat(is_ad, pages.starts), pages.starts, len(is_ad)) if len(is_ad) else is_ad


def read_ad_pages(path: Path) -> list[tuple[int, int]]:
    """Book and page of every line of a `predadpages.txt`, the ad pages that COMICS was published with.

    Raises:
        DataError: no such file, or a line that is not `book---page`.
    """
    if not path.is_file():
        raise DataError(
            path, "no such file; ad pages were expected, one `book---page` a line", "leave ads empty for none"
        )
    pages = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        match = _PAGE.fullmatch(line.strip())
        if line.strip() and not match:
            raise DataError(f"{path}, line {number}", f"{line.strip()!r} is not `book---page`, such as 3663---59")
        if match:
            pages.append((int(match[1]), int(match[2])))
    return pages
