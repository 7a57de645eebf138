"""What of a prediction can be drawn, in as few tokens as a text encoder takes.

CLIP's text encoder sees 77 tokens; a described panel has some 190 (docs/rendering.md), and what comes after the 77th
changes nothing. Much of a description cannot be seen at all: what is said, what a mood is like, how sure the writer
is. Here that is taken out by rules, and of the rest as many clauses are kept as fit. Captions that a LoRA is trained
on and prompts that are drawn go through the same function.
"""

import bisect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cloze.errors import SettingsError

LIMIT = 77  # tokens that CLIP's text encoder sees, start and end marks included

Manner = Literal["speech", "shout", "thought", "caption", "sound"]


@dataclass(frozen=True)
class Line:
    """A line of dialogue as a prediction quotes it, and who says it; no speaker where the text names none."""

    text: str
    speaker: str = ""
    manner: Manner = "speech"


@dataclass(frozen=True)
class Compiled:
    """What a picture is drawn from.

    Attributes:
        text: the prompt, style words first; empty where nothing in the prediction can be seen.
        tokens: of the prompt.
        cut: tokens of what can be seen and did not fit.
        written: tokens of the prediction as it was written.
        speech: what is said in it, in its order.
    """

    text: str
    tokens: int
    cut: int
    written: int
    speech: tuple[Line, ...]


def compile_prompt(text: str, count: Callable[[str], int], limit: int = LIMIT, style: str = "") -> Compiled:
    """The prompt of a prediction: style words, then what can be seen in it, clause after clause, within the limit.

    A clause that does not fit ends its sentence, and what is left out is counted; a shorter sentence after it may
    still fit. Only where not even one clause fits is the first cut between words.

    Args:
        text: a prediction or label, of any length; may be empty.
        count: tokens of a text as the encoder counts them, its start and end marks included.
        limit: how many tokens the encoder sees, marks included.
        style: words that every prompt begins with, so that they are never the part that is cut.

    Raises:
        SettingsError: the style leaves no room for a clause.
    """
    speech, seen = _part(text)
    sentences = [clauses for sentence in _sentences(seen) if (clauses := _visible(sentence))]
    if not sentences:
        return Compiled("", count(""), 0, count(text), speech)
    whole = _join(style, sentences)
    kept = _fitting(sentences, count, limit, style)
    prompt = _join(style, kept)
    tokens = count(prompt)
    return Compiled(prompt, tokens, max(count(whole) - tokens, 0), count(text), speech)


def _fitting(sentences: list[list[str]], count: Callable[[str], int], limit: int, style: str) -> list[list[str]]:
    kept: list[list[str]] = []
    for sentence in sentences:
        taken: list[str] = []
        for clause in sentence:
            if count(_join(style, [*kept, [*taken, clause]])) > limit:
                break  # what follows explains it
            taken.append(clause)
        if taken:
            kept.append(taken)
    if kept:
        return kept
    first = sentences[0][0]
    for parts, glue in ((first.split(), " "), (list(first), "")):  # one word may be thousands of letters
        starts = [glue.join(parts[:n]) for n in range(1, min(len(parts), 4 * limit) + 1)]
        fitting = bisect.bisect_right(starts, limit, key=lambda start: count(_join(style, [[start]])))
        if fitting:
            return [[starts[fitting - 1]]]
    raise SettingsError("style", style, f"words that leave room for others in {limit} tokens")


def _join(style: str, sentences: list[list[str]]) -> str:
    """Style and sentences; a full stop stands between sentences, so that compiling again finds the same ones."""
    told = ". ".join(", ".join(clauses) for clauses in sentences)
    return ", ".join(part for part in (style, told) if part)


# --- What is said, and what is left when it is taken out -----------------------------------------------------------

_SAYING = (
    "says?|said|asks?|asked|repl(?:y|ies|ied)|answers?|answered|responds?|responded|exclaims?|exclaimed|"
    "shouts?|shouted|yells?|yelled|screams?|screamed|cries|cried|calls?|called|whispers?|whispered|mutters?|"
    "tells?|told|adds?|added|continues?|speaks?|states?|announces?|declares?|warns?|begs?|pleads?|thinks?|wonders?|"
    "saying|asking|replying|answering|responding|exclaiming|shouting|yelling|screaming|crying|calling|whispering|"
    "muttering|telling|adding|thinking|wondering|stating|reads?|reading"
)
_MANNERS: tuple[tuple[Manner, re.Pattern[str]], ...] = (
    ("sound", re.compile(r"\b(?:sounds?|sfx|onomatopoeia|noise)\b", re.IGNORECASE)),
    ("caption", re.compile(r"\b(?:caption|narrat|text box)", re.IGNORECASE)),
    ("thought", re.compile(r"\b(?:think|thought|wonder)", re.IGNORECASE)),
    ("shout", re.compile(r"\b(?:shout|yell|scream|cries|crying|exclaim)", re.IGNORECASE)),
    ("speech", re.compile(r"\b(?:say|said|asks?\b|repl|answer|respon)", re.IGNORECASE)),
)
_HERE = "\x00"  # stands where words were said; no text has it, for what cannot be printed is taken out
_NEAR = 300  # letters around quoted words that tell who says them
_NAME = r"[A-Z][\w'’.-]*(?: (?:of |the )?[A-Z][\w'’.-]*){0,3}"
_QUOTE = re.compile(r'"([^"]*)"')
_SCRIPT = re.compile(rf"^({_NAME})(?: ?\([^)]*\))?: *(?=\S)")
_STAGE = re.compile(r"\(([^,()]{2,30})[^()]*\) *$")
_BEFORE = re.compile(rf"\b({_NAME}|(?:[Tt]he|[Aa]n?) [\w -]{{2,30}}?)(?: \w+ly)? (?:{_SAYING})\b[^.!?]*$")
_AFTER = re.compile(rf"^,? (?:(?:{_SAYING}) ({_NAME})|({_NAME}) (?:{_SAYING}))\b")
_SECTIONS = ("dialog", "sound", "narrat", "caption", "scene", "setting", "background", "action", "character", "note")
_HEADING = re.compile(r"^[\s*#>-]*(?:(?:next )?panel(?: (?:\d+|six))?|prediction|description) *[:.-]\s*", re.IGNORECASE)


def _part(text: str) -> tuple[tuple[Line, ...], str]:
    """What is quoted in a text, and the text without it."""
    plain = re.sub(r"[“”„«»]|''|``", '"', text).replace("’", "'")
    plain = "".join(letter if letter.isprintable() else "\n" if letter in "\n\r" else " " for letter in plain)
    spoken: list[Line] = []
    left: list[str] = []
    stage = ""
    for row in plain.splitlines():
        line = _HEADING.sub("", re.sub(r"[*_#`]+", "", row)).strip()
        if not line:
            continue
        lines, rest = _of_line(line, stage)
        spoken += lines
        left.append(rest if not rest or rest.rstrip()[-1:] in ".!?" else f"{rest}.")
        found = _STAGE.search(line)
        stage = found[1] if found else ""
    return tuple(spoken), " ".join(left)


def _of_line(line: str, stage: str) -> tuple[list[Line], str]:
    """Lines of dialogue in a line of text, and the rest of it. `stage`: whom a stage direction before it names."""
    script = _SCRIPT.match(line)
    if script and script[1].lower().startswith(_SECTIONS):
        line, script = line[script.end() :], None
    if script and '"' not in line:
        return [Line(re.sub(r"\([^)]*\)", "", line[script.end() :]).strip(), script[1])], ""
    found: list[Line] = []
    rest, done, before = [], 0, ""
    for quote in _QUOTE.finditer(line):
        gap, after, words = line[done : quote.start()], line[quote.end() : quote.end() + _NEAR], quote[1].strip()
        rest.append(gap)
        before = (before + gap)[-_NEAR:]  # the words around all quotes up to here
        done = quote.end()
        if _is_said(words, before, after):
            found.append(Line(words, script[1] if script else _speaker(before, after, stage), _manner(before)))
            rest.append(_HERE)
        else:
            rest.append(words)  # a name or a manner of speaking: it stays where it is
    rest.append(line[done:])
    told = "".join(rest).replace('"', "")
    return found, told[script.end() :] if script else told


def _is_said(words: str, before: str, after: str) -> bool:
    """Whether quoted words are spoken: they end like a sentence, stand alone, or a word of saying leads to them."""
    if not re.search(r"\w", words):
        return False
    leads = re.search(rf"(?:[:,]|\b(?:{_SAYING}|like|of|or|as|be|include)) *$", before)
    return words[-1] in ".!?,-…" or bool(leads) or not _sentence(before).strip() or bool(_AFTER.match(after))


def _manner(before: str) -> Manner:
    """How words are said, by the last sign of it in the sentence before them."""
    signs = [(sign.start(), name) for name, pattern in _MANNERS for sign in pattern.finditer(_sentence(before))]
    return max(signs)[1] if signs else "speech"


def _sentence(before: str) -> str:
    return re.split(r"[.!?] ", before)[-1]


def _speaker(before: str, after: str, stage: str) -> str:
    if here := _STAGE.search(before):
        return here[1]
    if named := _BEFORE.search(before):
        return named[1]
    if named := _AFTER.match(after):
        return named[1] or named[2]
    return "" if before.strip() else stage


# --- What can be seen ----------------------------------------------------------------------------------------------

_ABBREVIATED = re.compile(r"\b(Mr|Mrs|Ms|Dr|St|Sgt|Lt|Col|Capt|Prof|Jr|Sr|vs)\.")
_OPENING = 60  # letters of a sentence that tell what it is about
# What is about the page and not in the picture.
_TALK = re.compile(
    r"\b(?:dialog(?:ue)?s?|sound effects?|sound of|sounds of|onomatopoeia|speech (?:bubble|balloon)s?|captions?|"
    r"visible text|overall|atmosphere|mood|(?<!skin )tone|art ?style|illustrat\w+|narrative|story ?line|viewers?|"
    r"readers?|imagine|storytelling|context|provided by|previous panels?|pivotal|could include|might include|note:|"
    r"expected|theme)\b",
    re.IGNORECASE,
)
# Clauses that explain what was seen.
_EXPLAINS = re.compile(
    r"^(?:and |but |while |thus |further )?(?:which |that |this |it )?(?:\w+ly )?(?:also )?"
    r"(?:suggest|indicat|impl(?:y|ies)|convey|emphasi[sz]|highlight|hint|add(?:s|ing)\b|creat|reflect|signif|symboli"
    r"|underscor|contrast|evok|express(?:es|ing)\b|demonstrat|foreshadow|reinforc|seeking|mak(?:es|ing) it|given\b"
    r"|due to|because|potentially|leading them|ensur|represent)",
    re.IGNORECASE,
)
_ABSTRACT = re.compile(
    r"(?:posture|body language|expression|demeanou?r|presence) (?:suggest|indicat|convey)|\bis one of\b|"
    r"\bdiscuss(?:es|ing)?\b|\bstrateg|\bthoughts about\b|^\W*(?:there is |there's )?a sense of\b",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"\b(?:no|not|nor|never|none|without|nothing|nobody|n't)\b|n't\b", re.IGNORECASE)
_LEADS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"^(?:in|for) (?:the|this|that)(?: \w+)?(?: \w+)? panel(?: \d+)?(?: of (?:the|this)[\w ]*?"
        r"(?:comic|strip|sequence|story|page|book)[\w ]*)?,? *",
        r"^in panel \w+,? *",
        r"^(?:the |this )?(?:\w+ )?panel(?: \d+| six)? (?:then )?(?:shows|depicts|opens with|features|is|would show) *",
        r"^(?:here,? )?(?:we|you|one) (?:can |could |might |would |now |then )*(?:see|find|observe|notice)s? ",
        r"^(?:the|this) (?:scene|image|picture|setting|action)(?: likely| probably)? "
        r"(?:shifts? to|is set (?:against the backdrop of|against)|is set|takes place|unfolds|shows|depicts|is) ",
        r"^(?:meanwhile|however|additionally|furthermore|moreover|suddenly|then|now|next|finally|also|indeed)\b,? *",
        r"^there (?:is|are|was|were|'s|would be|may be|might be|could be)(?: also| now)? ",
        r"^there's (?:also )?",
        r"^(?:(?:and|but|while|as|so) )+(?=\w)",
    )
)
_HEDGES = tuple(
    (re.compile(pattern, re.IGNORECASE), put)
    for pattern, put in (
        (
            r"\b(?:possibly|perhaps|maybe|likely|presumably|probably|seemingly|apparently|clearly|visibly|evidently"
            r"|potentially|obviously|somewhat|slightly|something akin to|something like|kind of|sort of)\b ?",
            "",
        ),
        (r"\b(?:who |which |that )?(?:appears?|seems?|appearing|seeming) (?:as if|as though|like) ", "as if "),
        (r"\b(?:who|which|that) (?:appears?|seems?) to (?:be )?", ""),
        (r"\b(?:appears?|seems?|appearing|seeming) to (?:be |have been )?", ""),
        (r"\b(?:appears?|seems?|appearing) (?=\w)", ""),
        (r"\b(?:would|could|might|may|can|should) (?:also |then |even )?(?:be )?(?:seen |shown |depicted )?", ""),
        (r"\b(?:is|are|was|were) (?:then |also |now )?(?:seen|shown|depicted|portrayed|visible)(?: as)?\b ?", ""),
        (r"\b(?:the|a) (?:main |central )?character (?:known as|named|called|of) ", ""),
        (r"\b(?:with|in|showing|and) (?:a|an|his|her|their) (?:\w+ )?sense of [\w ]+?(?= as | while |[,.;]|$)", ""),
        (r"\b(?:a|the) sense of ", ""),
        (r"\b(?:is|are) (?=\w+ing\b)", ""),
    )
)
_SAYS_AT_END = re.compile(rf"(?:^|.* )(?:{_SAYING})\W*$", re.IGNORECASE)


def _sentences(text: str) -> list[str]:
    # The parts of a sentence in brackets are clauses of it.
    open_text = re.sub(r"\s*\((?:panel \w+|note:[^)]*)\)", "", text, flags=re.IGNORECASE)
    open_text = re.sub(r"[()\[\]{}]+", ", ", open_text)
    whole = _ABBREVIATED.sub(r"\1", re.sub(r"\s+", " ", open_text))
    return [part for part in re.split(r"(?<=[.!?])[\s,]+|\.{2,}|…", whole) if part.strip()]


def _visible(sentence: str) -> list[str]:
    """The clauses of a sentence that can be seen; none where it is about something else."""
    if _TALK.search(sentence[:_OPENING]):
        return []
    clauses: list[str] = []
    for part in re.split(r"\s*[,;:—–]\s*|\s+-+\s+", sentence):
        if (
            _HERE in part
            or _ABSTRACT.search(part)
            or _EXPLAINS.match(part.strip())
            or _NOTHING.search(part)
            or _SAYS_AT_END.match(part)
        ):
            continue
        clause = _shortened(part)
        if re.search(r"\w", clause) and not _EXPLAINS.match(clause) and not _SAYS_AT_END.match(clause):
            clauses.append(clause)
    return clauses


def _shortened(clause: str) -> str:
    """A clause without the words that lead to it or weaken it."""
    clause = clause.strip(" .!?")
    for _ in range(3):  # one lead may stand behind another
        for lead in _LEADS:
            clause = lead.sub("", clause)
        for hedge, put in _HEDGES:
            clause = hedge.sub(put, clause)
        clause = re.sub(r"\s+", " ", clause).strip(" .!?")
    return clause
