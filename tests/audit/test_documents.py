"""Whole documents of the kind that people write, with errors of every kind planted in them; and the same without.

In `documents/`, `«wrong¦right»` is a place with an error, and what would be right there.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpulockd.audit import Finding, fix

from .marked import Mark, Workshop

HERE = Path(__file__).parent / "documents"
ROOT = Path(__file__).parents[2]
PLANTED = re.compile("«([^¦»]*)¦([^»]*)»")
GUIDES = ("guide.en.md", "guide.zh.md")
OURS = (*GUIDES, "runbook.en.md", "migration.en.md", "faq.zh.md", "readme.zh.md")
"""About gpulockd, as people write about it."""
OTHERS = ("stock.en.md", "stock.zh.md")
"""About another project, of which the audit knows what a rules file tells."""

ALERTS = """\
groups:
  - {name: a, rules: [{alert: GPULockDaemonAbsent}, {alert: GPULockLost}, {alert: GPULockQuarantineLasting}]}
"""
STOCK = """\
cache:
  ttl: 60
  max_entries: 10000
retry:
  attempts: 3
  backoff_ms: 250
"""
STOCK_RULES = """\
profile: generic
units: {ttl: s, attempts: "", max_entries: ""}
names: {cache TTL: cache.ttl, 缓存时间: cache.ttl}
variable_prefix: STOCK_
routes_in: [src/stock/api.py]
metrics_in: [src/stock/*.py]
metric_prefixes: [stock_]
packages: [src/stock]
programs: {stockctl: [src/stock/cli.py]}
"""
STOCK_FILES = {
    "config.yml": STOCK,
    "docs/docs/design.md": "# The design\n",
    "docs/docs/retry.csv": "backoff_ms,mean_ms\n250,410\n100,180\n",
    "src/stock/__init__.py": "",
    "src/stock/cache.py": "class Cache:\n    def get(self): ...\n",
    "src/stock/api.py": """\
from fastapi import FastAPI
from prometheus_client import Counter
app = FastAPI()
requests = Counter("stock_requests_total", "Requests.")
hits = Counter("stock_cache_hits", "Counts that the cache had.")
@app.post("/items")
def add(): ...
@app.get("/items/{id}")
def show(id, attempts=3, backoff_ms=250): ...
@app.put("/items/{id}")
def change(id): ...
""",
    "src/stock/cli.py": """\
import argparse
parser = argparse.ArgumentParser()
commands = parser.add_subparsers()
serve = commands.add_parser("serve")
serve.add_argument("--host")
serve.add_argument("--port")
commands.add_parser("migrate").add_argument("--to")
""",
}


@pytest.fixture
def tree(workshop: Workshop) -> Workshop:
    workshop.write("config.yml", (ROOT / "config.yml").read_bytes())
    workshop.write("docs/operations.md", "# Operations\n\n## Redis\n")
    workshop.write("monitoring/alerts.yml", ALERTS)
    return workshop


def planted(name: str) -> tuple[str, list[Mark]]:
    """The document with its errors, and where they are."""
    return planted_in((HERE / name).read_text())


def planted_in(text: str) -> tuple[str, list[Mark]]:
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


def clean(name: str) -> str:
    return without((HERE / name).read_text())


def without(text: str) -> str:
    """The document as it would be right."""
    return PLANTED.sub(lambda match: match.group(2), text)


def tree_of(tree: Workshop, name: str) -> Workshop:
    """With what the document is about."""
    for file, content in STOCK_FILES.items() if name in OTHERS else ():
        tree.write(file, content)
    return tree


def rules_for(name: str) -> str:
    return STOCK_RULES if name in OTHERS else "alerts: [monitoring/alerts.yml]\n"


def findings(tree: Workshop, text: str, name: str = "") -> list[Finding]:
    tree_of(tree, name).write("docs/guide.md", text)
    found = tree.audit("docs/guide.md", rules=rules_for(name)).findings
    return [each for each in found if each.rule != "key-undocumented"]


def corrected(tree: Workshop, name: str) -> int:
    outcome = tree.audit("docs/guide.md", rules=rules_for(name))
    return fix([each.edit for each in outcome.findings if each.edit], outcome.sources)


@pytest.mark.parametrize("name", [*OURS, *OTHERS])
def test_every_planted_error_is_found_where_it_is(tree: Workshop, name: str) -> None:
    text, expected = planted(name)
    found = findings(tree, text, name)
    places = {Mark(each.place.line, each.place.column) for each in found}
    missed = [
        f"{mark.line}:{mark.column} {text.splitlines()[mark.line - 1]}" for mark in expected if mark not in places
    ]
    assert missed == []
    unplanted = [each for each in found if Mark(each.place.line, each.place.column) not in expected]
    assert [f"{each.place} {each.rule} {each.message}" for each in unplanted] == []


@pytest.mark.parametrize("name", [*OURS, *OTHERS])
def test_nothing_is_found_in_the_same_document_without_them(tree: Workshop, name: str) -> None:
    assert [f"{each.place} {each.rule} {each.message}" for each in findings(tree, clean(name), name)] == []


def test_they_have_errors_of_most_kinds(tree: Workshop) -> None:
    kinds = {each.rule for name in (*OURS, *OTHERS) for each in findings(tree, planted(name)[0], name)}
    assert len(kinds) >= 22


@pytest.mark.parametrize("name", GUIDES)
def test_a_document_of_eight_hundred_lines(tree: Workshop, name: str) -> None:
    """The errors stand behind the chapters of other documents without any, and with line ends of another system."""
    text, expected = planted(name)
    chapters = "".join(f"\n## {clean(other).partition(chr(10) + '## ')[2]}" for other in 2 * OURS if other != name)
    lines = len(chapters.split("\n")) - 1
    head, _, rest = text.partition("\n## ")
    whole = f"{head}\n{chapters}\n## {rest}"
    assert whole.count("\n") > 800
    first = head.count("\n") + 1
    moved = [Mark(mark.line + (lines + 1 if mark.line > first else 0), mark.column) for mark in expected]
    found = findings(tree, whole.replace("\n", "\r\n"))
    assert sorted({Mark(each.place.line, each.place.column) for each in found}) == sorted(moved)


@pytest.mark.parametrize("name", [*OURS, *OTHERS])
def test_what_is_put_right_is_what_was_wrong(tree: Workshop, name: str) -> None:
    """No other line changes, and nothing more the second time."""
    text, expected = planted(name)
    tree_of(tree, name).write("docs/guide.md", text)
    made = corrected(tree, name)
    fixed = (tree.root / "docs/guide.md").read_text()
    wrong = {mark.line for mark in expected}
    lines = zip(text.split("\n"), fixed.split("\n"), strict=True)
    changed = [number for number, (before, after) in enumerate(lines, 1) if before != after]
    assert set(changed) <= wrong
    assert len(changed) <= made <= len(expected)
    assert corrected(tree, name) == 0
    assert (tree.root / "docs/guide.md").read_text() == fixed
    assert len(findings(tree, fixed, name)) <= len(findings(tree, text, name)) - made
