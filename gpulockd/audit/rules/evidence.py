"""Claims of success, "done", "verified", ✅, 已完成, "40 % faster", have their evidence behind a link."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..claims.prose import FAR
from ..document import Document, Table
from ..findings import Finding
from ..passage import Passage
from ..project import Project
from ..roles import of_column, of_section
from .suggestions import NOT_VERIFIED, claims_to_be_verified

RULES: Mapping[str, str] = {
    "claim-unproven": "something is said to be done, verified or improved, and no link beside it leads to the evidence",
}
_WORDS = r"(?:done|verified|completed?|finished|optimi[sz]ed|tested|validated)"
# Both begin with what may come first: a look at one character, where a search would try every word everywhere.
_DONE = re.compile(
    r"(?:^|\b(?=[acfoptv\d])|(?=[✅☑✔(（已验测全完]))(?:"
    rf"^\W*(?:[✅☑✔]|\[[xX]\]\s)|[✅☑✔]\W*$|^\W*{_WORDS}\W*$|[(（]\s*{_WORDS}\s*[)）]|^\W*(?:status|state)\W+{_WORDS}\b"
    r"|\b(?:fully|thoroughly)\s+(?:tested|verified|optimi[sz]ed)\b"
    r"|\boptimi[sz]ed\s*(?:,|and|&)\s*(?:verified|tested)\b"
    r"|\b(?:verified|tested|validated|confirmed|proven)\s+in\s+production\b"
    r"|\ball\s+(?:\d+\s+)?(?:tests?|checks?)\s+(?:have\s+)?pass(?:ed)?\b"
    r"|\b\d+\s*(?:of|/|out of)\s*\d+\s*(?:tests?|checks?)?\s*pass(?:ed)?\b"
    r"|已完成|已验证|已优化|已测试|验证通过|测试通过|全部通过|完成度\s*[:：]?\s*\d+)",
    re.IGNORECASE,
)
_GAIN = re.compile(
    r"(?:\b(?=[cdgilrs])|(?=[\d提降减缩改节加下]))(?:"
    r"\b(?:improv|increas|reduc|decreas|sav|speed|gain|lower|cut)\w*[^.;:\n]{0,40}?(?<!\d)\d{1,6}(?:\.\d{1,4})?\s*(?:%|x\b|times\b)"
    r"|(?<!\d)\d{1,6}(?:\.\d{1,4})?\s*(?:%|x|×|times)\s*(?:faster|slower|less|fewer|better|improvement|reduction|speed-?up|quicker)\b"
    r"|(?:提升|提高|降低|减少|缩短|改善|节省|加快|下降)[^。；，\n]{0,12}?(?<!\d)\d{1,6}(?:\.\d{1,4})?\s*(?:[%％]|倍)"
    r"|(?<!\d)\d{1,6}(?:\.\d{1,4})?\s*倍\s*(?:的?(?:提升|提速|加速)))",
    re.IGNORECASE,
)
_STATUS_COLUMN = re.compile(
    r"\b(?:status|state|progress|verified|verification|done)\b|状态|进度|验证|完成", re.IGNORECASE
)
_CONDITION = re.compile(
    r"\b(?:if|means?|when|once|until|must|should|can|could|may|would|after)\b|如果|若|当(?!前)|需|应该|应当|可以|可能|预计|预期"
    r"|\b(?:goals?|targets?|aims?|plans?|hopes?)\b|目标|计划|希望|力争",
    re.IGNORECASE,
)
_QUOTES = ('"', "“", "‘", "「", "『", "'", "《")
_EVIDENCE = re.compile(
    r"^\W*(?:evidence|source|measured|see|proof|details?|report)\b|^\W*(?:证据|依据|来源|详见|见|报告)", re.IGNORECASE
)


def check(project: Project) -> Iterator[Finding]:
    for audited in project.documents:
        document = audited.document
        for table in document.tables:
            yield from _in_table(table)
        for number, passage in enumerate(document.passages):
            if passage.kind != "cell" and not _proven(document, number):
                yield from (_finding(passage, found) for found in claims_in(passage))


def claims_in(passage: Passage) -> Iterator[re.Match[str]]:
    """What of a passage claims a success, without supposing or denying it."""
    text = passage.prose
    expects = of_section(passage.section) == "suggestion"
    for found in (*_DONE.finditer(text), *(() if expects else _GAIN.finditer(text))):
        before = re.split(r"[.;。；，,\n]", text[max(0, found.start() - FAR) : found.start()])[-1]
        if before.endswith(_QUOTES):
            continue  # the word is spoken of, not used
        if not (NOT_VERIFIED.search(before[-12:]) or _CONDITION.search(before) or NOT_VERIFIED.match(found.group())):
            yield found


def _proven(document: Document, number: int) -> bool:
    """By a link in it; below a heading, or where the next passage says that it is the evidence, by one there."""
    passage = document.passages[number]
    if passage.links:
        return True
    following = document.passages[number + 1 : number + 2]
    return any(
        each.links and (passage.kind == "heading" or _EVIDENCE.search(each.words)) and each.kind != "cell"
        for each in following
    )


def _in_table(table: Table) -> Iterator[Finding]:
    """The cells of a column of states; a table of suggestions has a rule of its own."""
    headers = [cell.words for cell in table.header]
    if any(of_column(header) == "suggestion" for header in headers):
        return
    for row in table.rows:
        proven = any(cell.links for cell in row)
        for header, cell in zip(headers, row, strict=False):
            if proven or not _STATUS_COLUMN.search(header):
                continue
            if _is_short(cell) and _is_success(cell.words):
                yield _finding(cell, re.match(r"\s*", cell.content))


def _is_success(text: str) -> bool:
    """A mark alone, or with a word of success; with another word it may tell of a feature: "✅ Supported"."""
    words = re.sub(r"[\W_]+", " ", text).strip()
    return claims_to_be_verified(text) and (not words or claims_to_be_verified(words))


def _is_short(cell: Passage) -> bool:
    return len(cell.words.split()) <= 3 and len(cell.words) <= 24


def _finding(passage: Passage, found: re.Match[str] | None) -> Finding:
    at = found.start() if found else 0
    said = found.group().strip() if found and found.group().strip() else passage.words.strip()
    return Finding(
        "claim-unproven",
        passage.source.place(passage.offset(at)),
        f"“{said}” is claimed",
        "no link beside it leads to the evidence",
        hint="link to the run that shows it, or say that it is to be verified",
    )
