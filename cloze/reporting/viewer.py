"""What the page's script shows: every strip as JSON, and each picture once."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloze.reporting.pictures import Gap
from cloze.reporting.strips import Panel, Strip

if TYPE_CHECKING:
    from cloze.reporting.page import Collection

DRAWN = "drawn from this text"  # stands below such a picture
VIEWER = Path(__file__).resolve().parents[2] / "reports" / "viewer.js"


def viewer_data(collections: Sequence["Collection"]) -> dict[str, Any]:
    """What `reports/viewer.js` reads: the conditions, the strips, and the pictures that the page does not show itself.

    Returns:
        `titles` of the conditions; `strips`, whose conditions and facts are numbers into these lists; `pictures`,
        base64 of a WebP by id.
    """
    strips = [(item, strip) for item in collections for _, found in item.strips for strip in found]
    titles = list(dict.fromkeys(title for _, strip in strips for title in strip.scores))
    plain = {picture.id for item in collections for picture in item.plain_thumbnails}
    pictures = [picture for item in collections for gallery in item.galleries for picture in gallery.thumbnails]
    return {
        "titles": titles,
        "strips": [_strip(strip, item.ranking, titles) for item, strip in strips],
        "pictures": {picture.id: picture.data for picture in pictures if picture.id not in plain},
    }


def policy_hash(script: str) -> str:
    """The source expression that allows this script, and no other, in a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _strip(strip: Strip, ranking: str, titles: Sequence[str]) -> dict[str, Any]:
    return {
        "id": strip.sequence_id,
        "book": strip.book,
        "ranking": ranking,
        "rank": strip.rank,
        "scores": [strip.scores.get(title) for title in titles],
        "context": [_panel(panel) for panel in strip.context],
        "target": _panel(strip.target),
        "answers": [
            {
                "by": [titles.index(title) for title in answer.titles],
                "text": answer.text,
                "cut": answer.is_cut,
                "recalled": [strip.facts.index(fact) for fact in answer.recalled],
                **({"drawn": _panel(Panel(strip.sequence_id, answer.drawn, DRAWN))} if answer.drawn else {}),
            }
            for answer in strip.answers
        ],
        "labels": strip.labels,
        "facts": [[fact.fact, fact.value, fact.seen_in] for fact in strip.facts],
    }


def _panel(panel: Panel) -> dict[str, Any]:
    picture = panel.picture
    if isinstance(picture, Gap):
        return {"id": panel.panel_id, "text": panel.text, "gap": picture.reason, "detail": picture.detail}
    return {
        "id": panel.panel_id,
        "text": panel.text,
        "picture": picture.id,
        "width": picture.width,
        "height": picture.height,
    }
