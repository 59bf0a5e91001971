"""Whole documents of the kind that people write, with errors of every kind planted in them; and the same without.

In `documents/`, `«wrong¦right»` is a place with an error, and what would be right there.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpulockd.audit import Finding

from .marked import Mark, Workshop

HERE = Path(__file__).parent / "documents"
ROOT = Path(__file__).parents[2]
PLANTED = re.compile("«([^¦»]*)¦([^»]*)»")
LANGUAGES = ("en", "zh")


@pytest.fixture
def tree(workshop: Workshop) -> Workshop:
    workshop.write("config.yml", (ROOT / "config.yml").read_bytes())
    workshop.write("docs/operations.md", "# Operations\n\n## Redis\n")
    return workshop


def planted(language: str) -> tuple[str, list[Mark]]:
    """The document with its errors, and where they are."""
    text = (HERE / f"guide.{language}.md").read_text()
    found: list[Mark] = []
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        written = ""
        at = 0
        for match in PLANTED.finditer(line):
            written += line[at : match.start()]
            found.append(Mark(number, len(written) + 1))
            written += match.group(1)
            at = match.end()
        lines.append(written + line[at:])
    return "\n".join(lines), found


def clean(language: str) -> str:
    return PLANTED.sub(lambda match: match.group(2), (HERE / f"guide.{language}.md").read_text())


def findings(tree: Workshop, text: str) -> list[Finding]:
    tree.write("docs/guide.md", text)
    found = tree.audit("docs/guide.md").findings
    return [each for each in found if each.rule != "key-undocumented"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_planted_error_is_found_where_it_is(tree: Workshop, language: str) -> None:
    text, expected = planted(language)
    found = findings(tree, text)
    places = {Mark(each.place.line, each.place.column) for each in found}
    missed = [
        f"{mark.line}:{mark.column} {text.splitlines()[mark.line - 1]}" for mark in expected if mark not in places
    ]
    assert missed == []
    unplanted = [each for each in found if Mark(each.place.line, each.place.column) not in expected]
    assert [f"{each.place} {each.rule} {each.message}" for each in unplanted] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_found_in_the_same_document_without_them(tree: Workshop, language: str) -> None:
    assert [f"{each.place} {each.rule} {each.message}" for each in findings(tree, clean(language))] == []


def test_they_have_errors_of_most_kinds(tree: Workshop) -> None:
    kinds = {each.rule for language in LANGUAGES for each in findings(tree, planted(language)[0])}
    assert len(kinds) >= 18


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_document_of_eight_hundred_lines(tree: Workshop, language: str) -> None:
    """The errors stand behind chapters without any, and with line ends of another system."""
    text, expected = planted(language)
    chapters = "".join(f"\n## Chapter {number}\n\nText of it, and a list:\n\n- one\n  - two\n" for number in range(100))
    lines = len(chapters.split("\n")) - 1
    head, _, rest = text.partition("\n## ")
    whole = f"{head}\n{chapters}\n## {rest}"
    assert whole.count("\n") > 800
    first = head.count("\n") + 1
    moved = [Mark(mark.line + (lines + 1 if mark.line > first else 0), mark.column) for mark in expected]
    found = findings(tree, whole.replace("\n", "\r\n"))
    assert sorted({Mark(each.place.line, each.place.column) for each in found}) == sorted(moved)
