"""Claims in running text: "`poll_interval` is 2 seconds", "polls every 500 ms", "轮询间隔为 2 秒".

A sentence that supposes, advises or remembers ("if", "set it to", "was") claims nothing about now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from ..document import Document
from ..passage import Passage
from ..quantities import Found, narrow, quantity_at
from ..roles import of_section
from ..truths import Truths, is_distinctive
from .claim import Claim

_IS = re.compile(
    r"[\s`*_]*[()\[\]]?[\s`*_]*(?:"
    r"(?:,\s*)?(?:(?:that|which)\s+)?"
    r"(?:(?:is|are|stands at|equals|has|of|at|defaults? to|(?:the )?default(?: value)?(?: is| of)?|by default"
    r"|(?:is )?(?:currently|now)|(?:is )?set to|is configured (?:to|as)|value)\b[\s,]*)+"
    r"|[=:]{1,2}"
    r"|[,，]?(?:当前|目前|现在|默认|缺省|生产|线上|实际)*(?:值|环境)*(?:仍?[为是]|等于|设[置定]?[为成]|配置[为成]|取值?[为是]?|采用|[:：=])?"
    r")[\s`*_]*",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"[\s`*_,]*(?:\(|（|of|for|的|:|,)?[\s`*_]*$", re.IGNORECASE)
_SUPPOSES = re.compile(
    r"\b(?:if|when|with|unless|where|while|suppose|assume|say|try|set|setting|sets|raise|raised|lower|lowered|increase"
    r"|reduce|change|changed|changing|use|using|should|could|would|may|might|can|must|instead of|e\.g|such as|example"
    r"|was|were|used to|formerly|previously|earlier|old|until|before|suggest\w*|recommend\w*|propos\w*"
    r"|less than|more than|below|above|over|under|from|between|under|begin|not|no longer|never)\b"
    r"|如果|若|假如|当(?!前).*时|例如|比如|建议|推荐|可以|可设|应该|应当|应设|需要|需设|改[为成]|调整[为到成]|提高到|降低到|增加到|减少到|设为.*时"
    r"|曾|原先|原来|以前|之前|旧|不再|不是|不得|小于|大于|低于|高于|(?<!不)超过|从",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![A-Za-z])[A-Za-z]\w*(?:[_.]\w+)+")
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|[。！？；;]|\n\s*\n")
_CLAUSE_BREAK = re.compile(r"[,;:()，；：（）、。]|[.!?](?=\s)|\s[–—-]\s")
_NUMBERS = re.compile(r"(?<![A-Za-z0-9_.,/:-])(?=[-+−\dA-Za-z])|(?<![\w.,/:-])(?=[半一二三四五六七八九十])")

FAR = 500
"""So many characters around a value are looked at: sentences are shorter, and text without sentences has no end."""


class Mention(NamedTuple):
    keys: tuple[str, ...]
    name: str
    start: int
    end: int
    """Offsets into the passage."""


def prose_claims(document: Document, truths: Truths) -> Iterator[Claim]:
    names = names_of(truths)
    spoken = _any_of(tuple(sorted(names, key=len, reverse=True))) if names else None
    for passage in document.passages:
        role = of_section(passage.section)
        text = narrow(passage.content)
        for mention in mentions(passage, truths, names, spoken):
            found = _behind(text, mention) or _ahead(text, mention)
            if found and not is_hypothetical(passage, found.start, found.end):
                start, end = passage.offset(found.start), passage.offset(found.end)
                written = passage.content[found.start : found.end]
                yield Claim(mention.keys, mention.name, written, passage.source, start, end, "prose", role)
        yield from _settings_in_code(passage, truths)


def names_of(truths: Truths) -> dict[str, str]:
    """What people call settings in sentences: what the profile says, and keys of several words, spelled out."""
    counts: dict[str, list[str]] = {}
    for key in truths.keys:
        words = key.rpartition(".")[2].replace("-", "_").split("_")
        if len(words) > 1 and all(len(word) > 1 for word in words):
            counts.setdefault(" ".join(words).lower(), []).append(key)
    spelled = {name: keys[0] for name, keys in counts.items() if len(keys) == 1}
    return spelled | {name.lower(): key for name, key in truths.spoken.items()}


def mentions(
    passage: Passage, truths: Truths, names: dict[str, str], spoken: re.Pattern[str] | None
) -> Iterator[Mention]:
    for code in passage.codes:
        name = code.text.rstrip(":")
        keys = truths.resolve(name, passage.section)
        if keys and (len(keys) == 1 or is_distinctive(name)):
            yield Mention(keys, name, code.start, code.end)
    for match in _NAME.finditer(passage.prose):
        if keys := truths.resolve(match.group(), passage.section):
            yield Mention(keys, match.group(), match.start(), match.end())
    for match in spoken.finditer(passage.prose.lower()) if spoken else ():
        yield Mention((names[match.group()],), match.group(), match.start(), match.end())


@lru_cache(maxsize=4)
def _any_of(names: tuple[str, ...]) -> re.Pattern[str]:
    """Latin names stand between spaces; Chinese ones have none around them."""
    latin = [re.escape(name) for name in names if name.isascii()]
    other = [re.escape(name) for name in names if not name.isascii()]
    first = "".join(sorted({re.escape(name[0]) for name in names if name.isascii()}))
    parts = [rf"(?<![\w-])(?=[{first}])(?:{'|'.join(latin)})(?![\w-])"] if latin else []
    return re.compile("|".join([*parts, *other]))


def is_hypothetical(passage: Passage, start: int, end: int | None = None) -> bool:
    """Whether the clause around a value supposes, advises or remembers."""
    text = passage.content[max(0, start - FAR) : (end or start) + FAR]
    start, end = min(start, FAR), (end or start) - max(0, start - FAR)
    begins = [match.end() for match in _SENTENCE_END.finditer(text, 0, start)]
    sentence = text[begins[-1] if begins else 0 : start]
    after = _SENTENCE_END.search(text, end)
    behind = re.split(_CLAUSE_BREAK, text[end : after.start() if after else len(text)], maxsplit=1)[0]
    return bool(_SUPPOSES.search(sentence) or re.search(r"→|->|改为|until|ago|之前|以前", behind))


def _behind(text: str, mention: Mention) -> Found | None:
    """The value that a mention is followed by."""
    linking = _IS.match(text, mention.end)
    at = linking.end() if linking else mention.end
    if linking is None or not linking.group().strip("`*_ ()"):
        # "`poll_interval` 2 s" and "`poll_interval` (2 s)": only with a unit, or brackets, it is the value.
        found = quantity_at(text, at)
        found = found if found and (found.quantity.kind or "(" in text[mention.end : at]) else None
    else:
        found = quantity_at(text, at)
    # "`port` (0: off)" explains what a value would mean.
    return None if found and re.match(r"\s*[:=]", text[found.end : found.end + 3]) else found


def _ahead(text: str, mention: Mention) -> Found | None:
    """The value before a mention in brackets: "2 s (`poll_interval`)", "five minutes of waiting (`head_start`)".

    The clause before the bracket has to have one value only, and a few words behind it at most.
    """
    before = _BEFORE.search(text, max(0, mention.start - FAR), mention.start)
    if before is None or not before.group().strip("`*_ \n"):
        return None
    nearest = max(0, before.start() - FAR)
    clause_start = max(
        (match.end() for match in _CLAUSE_BREAK.finditer(text, nearest, before.start())), default=nearest
    )
    found: list[Found] = []
    for match in _NUMBERS.finditer(text, clause_start, before.start()):
        quantity = quantity_at(text, match.start())
        is_value = quantity and quantity.quantity.kind and quantity.end <= before.start()
        if quantity and is_value and (not found or quantity.start >= found[-1].end):
            found.append(quantity)
    between = text[found[0].end : before.start()] if len(found) == 1 else ""
    in_brackets = before.group().lstrip(" *_`\n")[:1] in {"(", "（"}
    fits = len(found) == 1 and (not between.strip(" *_`") or (in_brackets and len(between.split()) <= 3))
    return found[0] if fits else None


def _settings_in_code(passage: Passage, truths: Truths) -> Iterator[Claim]:
    """`poll_interval: 0.5` in backticks, where no sentence says that it is but one possibility."""
    for code in passage.codes:
        match = re.fullmatch(r"([A-Za-z][\w.-]*)\s*(?::\s|=)\s*(\S.*)", code.text)
        keys = truths.resolve(match[1], passage.section) if match else ()
        if not match or not keys or (len(keys) > 1 and not is_distinctive(match[1])):
            continue
        if not quantity_at(match[2], 0) or is_hypothetical(passage, code.start, code.end):
            continue
        at = passage.content.find(code.text, code.start) + match.start(2)
        start, end = passage.offset(at), passage.offset(at + len(match[2]))
        yield Claim(keys, match[1], match[2], passage.source, start, end, "prose", of_section(passage.section))
