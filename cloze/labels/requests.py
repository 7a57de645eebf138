"""One sequence as a request: which panels the labeller sees, the words around them, and how it shall answer.

A request's body is that of `generateContent` in its REST form (https://ai.google.dev/api/generate-content); the batch
file, the interactive client and, translated, other providers all get it from here.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cloze.labels.cost import family, picture_tokens, text_tokens
from cloze.labels.ledger import Planned
from cloze.labels.parse import SCHEMA
from cloze.labels.prompts import Words, labeller_prompt, prompt_digest

if TYPE_CHECKING:
    import pyarrow as pa

    from cloze.labels.inquiry import PicturePart

_ROWS = 2000  # of a table that are Python objects at once
_OUTPUT_TOKENS = {"paragraph": 160, "json": 220}  # of a typical answer
# Golden Age comics are violent and worse; what is refused all the same is counted as blocked.
_UNFILTERED = [
    {"category": f"HARM_CATEGORY_{name}", "threshold": "BLOCK_NONE"}
    for name in ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
]

_PICTURE = "\0"  # the place of a picture among the words; no lettering holds it


@dataclass(frozen=True)
class Asking:
    """What all requests of a run share.

    Attributes:
        images: URI of the image root, where it says which pictures these are (the drawn sample's); else empty, so that
            moved comics are not paid for again.
    """

    paradigm: str
    form: str
    model: str
    resolution: str
    temperature: float
    top_p: float
    max_output_tokens: int
    images: str = ""

    @property
    def prompt_digest(self) -> str:
        """Of the words."""
        return prompt_digest(self.paradigm, self.form)


def shown_panels(sequence: Mapping[str, Any], paradigm: str) -> list[Mapping[str, Any]]:
    """The panels that the labeller sees; under `pred` nothing of the target goes any further than here."""
    return [*sequence["context"], sequence["target"]] if paradigm == "descp" else list(sequence["context"])


def in_rows(sequences: "pa.Table") -> Iterator[dict[str, Any]]:
    """The rows of a table, a few thousand of them in memory at once."""
    for batch in sequences.to_batches(max_chunksize=_ROWS):
        yield from batch.to_pylist()


def plan_requests(sequences: "pa.Table", asking: Asking, sides: tuple[int, int]) -> Iterator[Planned]:
    """One planned request per sequence.

    Args:
        sides: width and height in pixels that a picture is taken to have when its tokens are estimated.
    """
    per_picture = picture_tokens(asking.model, asking.resolution, *sides)
    common, words_digest = json.dumps(asdict(asking), sort_keys=True), asking.prompt_digest
    est_output_tokens = min(_OUTPUT_TOKENS[asking.form], asking.max_output_tokens)
    for row in in_rows(sequences):
        panels = shown_panels(row, asking.paradigm)
        words = _words(panels, asking)
        digest = _digest(common, words, panels)
        yield Planned(
            key=f"{asking.paradigm}/{row['sequence_id']}/{digest}",
            subject=row["sequence_id"],
            paradigm=asking.paradigm,
            prompt_digest=words_digest,
            model=asking.model,
            request_digest=digest,
            est_input_tokens=text_tokens(len(words)) + per_picture * len(panels),
            est_output_tokens=est_output_tokens,
        )


def request_body(
    panels: Sequence[Mapping[str, Any]], asking: Asking, attempt: int, picture: "PicturePart"
) -> dict[str, Any]:
    """The body of one request.

    Args:
        panels: from `shown_panels`.
        attempt: counted from 1; each has another seed and twice the room of the one before.
        picture: gives the part that carries or names a panel's picture.
    """
    parts = [
        {"text": part.text} if isinstance(part, Words) else picture(panels[part.panel]["image"])
        for part in labeller_prompt(asking.paradigm, [panel["text"] for panel in panels], asking.form)
    ]
    return user_turn(parts, generation_config(asking, attempt, SCHEMA if asking.form == "json" else None))


def user_turn(parts: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request that says these parts."""
    return {
        "contents": [{"role": "user", "parts": parts}],
        "safetySettings": _UNFILTERED,
        "generationConfig": config,
    }


def generation_config(asking: Asking, attempt: int, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """How to answer: each attempt has another seed and twice the room of the last one; JSON where there is a schema."""
    config: dict[str, Any] = {
        "temperature": asking.temperature,
        "topP": asking.top_p,
        "maxOutputTokens": asking.max_output_tokens * 2 ** (attempt - 1),
        "seed": attempt,
    }
    if kind := family(asking.model):
        config["mediaResolution"] = f"MEDIA_RESOLUTION_{asking.resolution.upper()}"
        # Thoughts are billed as output; each family spells "none, please" in its own way and refuses the other's.
        config["thinkingConfig"] = {"thinkingBudget": 0} if kind == "2.5" else {"thinkingLevel": "MINIMAL"}
    if schema:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    return config


def _words(panels: Sequence[Mapping[str, Any]], asking: Asking) -> str:
    parts = labeller_prompt(asking.paradigm, [panel["text"] for panel in panels], asking.form)
    return "".join(part.text if isinstance(part, Words) else _PICTURE for part in parts)


def _digest(common: str, words: str, panels: Sequence[Mapping[str, Any]]) -> str:
    """Sixteen hex digits of everything that an answer may depend on."""
    content = "\0".join([common, words, *(panel["image"] for panel in panels)])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
