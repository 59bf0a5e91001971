"""What a reader has been told to accept: `<!-- audit: ignore RULE because of this -->`, with its reason.

In Markdown it holds for the passage that it stands in, or, alone on its lines, for the block after it;
`ignore-file` holds for the whole file. In YAML, `# audit: ignore RULE reason` holds for its line and the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .document import Document
from .findings import Finding
from .source import Place, Source

RULES: Mapping[str, str] = {
    "suppression-unused": "a suppression that suppresses nothing",
    "suppression-unreasoned": "a suppression without a reason, which suppresses nothing",
    "suppression-unknown": "a suppression of a rule that there is not",
}
_FORM = re.compile(r"\s*audit:\s*(?P<verb>[\w-]+)\s*(?P<rule>[a-z][\w-]*)?[\s:,–—-]*(?P<reason>.*?)\s*", re.DOTALL)
_YAML_COMMENT = re.compile(r"#[ \t]*(audit:[^\n]*)")


@dataclass(frozen=True, slots=True)
class Suppression:
    place: Place
    rule: str
    reason: str
    first: int
    last: int
    """The lines that it holds for."""

    def covers(self, finding: Finding) -> bool:
        here = finding.place.file == self.place.file and self.first <= finding.place.line <= self.last
        return here and finding.rule == self.rule and bool(self.reason)


def in_document(document: Document) -> Iterator[Suppression]:
    source = document.source
    for comment in document.comments:
        if match := _FORM.fullmatch(comment.text):
            place = source.place(comment.offset)
            first, last = _extent(document, place.line, source.place(comment.end).line)
            if match["verb"] == "ignore-file":
                first, last = 1, len(source.lines)
            elif match["verb"] != "ignore":
                continue
            yield Suppression(place, match["rule"] or "", match["reason"], first, last)


def in_yaml(source: Source) -> Iterator[Suppression]:
    for comment in _YAML_COMMENT.finditer(source.text):
        if (match := _FORM.fullmatch(comment.group(1))) and match["verb"] == "ignore":
            place = source.place(comment.start())
            yield Suppression(place, match["rule"] or "", match["reason"], place.line, place.line + 1)


def apply(
    findings: Sequence[Finding], suppressions: Sequence[Suppression], known: Mapping[str, str], off: Sequence[str]
) -> list[Finding]:
    """The findings that are left, and one for each suppression that is none. Rules that are off suppress nothing."""
    left = [finding for finding in findings if not any(each.covers(finding) for each in suppressions)]
    for each in suppressions:
        if each.rule not in known:
            known_rules = "gpulockctl audit --list-rules names them"
            says = f"{each.rule or 'no rule'} is suppressed here"
            left.append(Finding("suppression-unknown", each.place, says, "there is no such rule", "", known_rules))
        elif not each.reason:
            form = f"write <!-- audit: ignore {each.rule} REASON -->"
            left.append(Finding("suppression-unreasoned", each.place, "this gives no reason", "", "", form))
        elif each.rule not in off and not any(each.covers(finding) for finding in findings):
            left.append(
                Finding("suppression-unused", each.place, f"nothing of {each.rule} is found here", "", "", "remove it")
            )
    return left


def _extent(document: Document, first: int, last: int) -> tuple[int, int]:
    """The lines of the passage that has the comment, or of the block after it."""
    for begin, end in document.extents:
        if begin <= first and last <= end and (begin, end) != (first, last):
            return begin, end
    after = [extent for extent in document.extents if extent[0] > last]
    return (first, min(after)[1]) if after else (first, last)
