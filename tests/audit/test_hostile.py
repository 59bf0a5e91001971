"""Text that nobody would write: it takes seconds at most, and never a traceback."""

from __future__ import annotations

import time

import pytest

from .marked import Workshop

TEXTS = {
    "a paragraph without end": "`poll_interval` is 2 s, " * 10_000,
    "brackets": "[" * 20_000,
    "parentheses before a key": "(" * 30_000 + "`poll_interval`",
    "digits": "1" * 100_000,
    "words of success": "improved " * 20_000,
    "deep lists": "".join("  " * depth + "- a\n" for depth in range(800)),
    "deep flow YAML": "```yaml\ngpu_lock: " + "[" * 20_000 + "\n```",
    "deep block YAML": "```yaml\n" + "".join(" " * depth + "a:\n" for depth in range(1_500)) + "```",
    "a YAML that contains itself": "```yaml\ngpu_lock: &a\n  poll_interval: *a\n```",
    "an unclosed quote": "```sh\n" + "gpulock '" * 20_000 + "\n```",
    "front matter alone": "\ufeff---\n---",
    "nothing": "",
    "old line ends": "\r\r\n\n\r`lock_timeout` is 3600 s\r",
    "separators of lines that are none": "\x0c\x0b\x85\u2028\u2029 `poll_interval` is 2\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_it_is_survived(workshop: Workshop, text: str) -> None:
    workshop.write("guide.md", text)
    began = time.process_time()
    found = {each.rule for each in workshop.audit().findings}
    assert found <= {"block-broken", "block-refused", "key-undocumented"}
    assert time.process_time() - began < 30


def test_places_after_every_kind_of_line_end(workshop: Workshop) -> None:
    workshop.write("guide.md", "a\r\nb\rc\n`poll_interval` is 3 s\r\n> \t`poll_interval` is 4 s\r")
    assert [str(each.place) for each in workshop.audit().findings] == ["guide.md:4:20", "guide.md:5:23"]


TABLE = "| a | b |\n|---|---|\n"
EDITIONS = {
    "tables of many rows": (TABLE + "| 1 | 2 |\n" * 2_000, TABLE + "| 3 | 4 |\n" * 2_001),
    "paragraphs of many numbers": ("one 1 " * 20_000, "two 2 " * 20_000),
    "programs of many lines": ("```sh\n" + "a\n" * 8_000 + "```\n", "```sh\n" + "b\na\n" * 4_000 + "```\n"),
    "many sections": (
        "".join(f"# {number}\n\n" for number in range(900)),
        "".join(f"## {number}\n\n" for number in range(1_000)),
    ),
    "levels that jump": ("###### a\n\n# b\n\n### c\n", "# a\n\n###### b\n\n## c\n"),
    "nothing at all": ("", "# x\n"),
    "digits": ("1" * 10_000 + " and 1.2." + "3" * 10_000, "2"),
}


@pytest.mark.parametrize(("one", "other"), EDITIONS.values(), ids=EDITIONS)
def test_editions_that_have_nothing_in_common(workshop: Workshop, one: str, other: str) -> None:
    workshop.write("a.md", one)
    workshop.write("b.md", other)
    began = time.process_time()
    found = workshop.audit("a.md", "b.md", rules="editions: [[a.md, b.md]]\n").findings
    assert {each.rule.partition("-")[0] for each in found} == {"edition"}
    assert time.process_time() - began < 30
