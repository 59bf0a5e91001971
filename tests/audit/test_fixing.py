"""`--fix`: the wrong values and nothing else, and nothing more the second time."""

from __future__ import annotations

import difflib
import os
import stat

import pytest

from gpulockd.audit import fix

from .marked import Workshop

BEFORE = """\
\ufeff# 指南\r
\r
| 配置项 | 值 | default (ms) |   \r
|---|---|---|\r
| `poll_interval` | 0.5秒 | 500 |\r
| `max_wait_time` | **300** | `1800000` |\r
\r
1. Nested:\r
\r
    ```yaml\r
    gpu_lock:   # keep   this\r
      poll_interval:    0.5   # and this\r
      max_wait_time: 5m\r
      use_event_driven: no\r
    redis:\r
      url: "redis://other:6379/0"\r
    ```\r
\r
[deep](deep.md "title")  \r
`poll_interval` is 0.5 seconds.\r
no line end"""

AFTER = {
    "| `poll_interval` | 0.5秒 | 500 |": "| `poll_interval` | 2秒 | 2000 |",
    "| `max_wait_time` | **300** | `1800000` |": "| `max_wait_time` | **1800** | `1800000` |",
    "      poll_interval:    0.5   # and this": "      poll_interval:    2   # and this",
    "      max_wait_time: 5m": "      max_wait_time: 30m",
    "      use_event_driven: no": "      use_event_driven: true",
    '      url: "redis://other:6379/0"': '      url: "redis://localhost:6379/0"',
    '[deep](deep.md "title")  ': '[deep](docs/deep.md "title")  ',
}


def fixed(workshop: Workshop) -> int:
    outcome = workshop.audit()
    return fix([each.edit for each in outcome.findings if each.edit], outcome.sources)


def test_only_the_wrong_values_change(workshop: Workshop) -> None:
    path = workshop.write("guide.md", BEFORE)
    path.chmod(0o640)
    workshop.write("docs/deep.md", "")
    assert fixed(workshop) == len(AFTER) + 1
    after = path.read_bytes().decode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    changes = [line for line in difflib.ndiff(BEFORE.split("\r\n"), after.split("\r\n")) if line[0] in "-+"]
    assert {line[2:] for line in changes if line[0] == "-"} == set(AFTER)
    assert {line[2:] for line in changes if line[0] == "+"} == set(AFTER.values())


def test_the_second_time_changes_nothing(workshop: Workshop) -> None:
    path = workshop.write("guide.md", BEFORE)
    fixed(workshop)
    first = path.read_bytes()
    assert fixed(workshop) == 0
    assert path.read_bytes() == first
    assert [each.rule for each in workshop.audit().findings] == ["link-broken", "value-in-prose"]


def test_a_file_that_has_changed_meanwhile_is_left_alone(workshop: Workshop) -> None:
    path = workshop.write("guide.md", BEFORE)
    outcome = workshop.audit()
    path.write_text("something else\n")
    assert fix([each.edit for each in outcome.findings if each.edit], outcome.sources) == 0
    assert path.read_text() == "something else\n"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_what_may_not_be_written_is_left_whole(workshop: Workshop) -> None:
    path = workshop.write("guide.md", BEFORE)
    workshop.root.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            fixed(workshop)
    finally:
        workshop.root.chmod(0o700)
    assert path.read_bytes().decode() == BEFORE
