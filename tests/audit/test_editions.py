"""Two editions of one document: what differs is found in its place, and what a translator may do is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gpulockd.audit import Finding
from gpulockd.audit.rules import editions

from .marked import Mark, Workshop, marks

RULES = "editions: [[docs/guide.md, docs/guide.zh.md]]\n"

ENGLISH = """\
# Guide

[中文](guide.zh.md)

A task waits for 30 minutes at most (`max_wait_time`). Version 1.2.3 needs Linux 5.3, two processes, and one GPU in
twenty; half an hour later, on March 1, 2025, it ends with 124.

## Settings of the lock

See [the values](#the-values) and [operations](operations.md#redis). `gpulockctl why 2` tells what stands in the way.

- It has `poll_interval`, and `GPU_LOCK_POLL_INTERVAL=2`.
- `release()` gives it back within 10 s, by SIGTERM.

### The values

| key | value | meaning |
|---|---|---|
| `poll_interval` | 2 s | the pause |
| `max_wait_time` | 30 min | up to 3 times |

## In use

```console
# look first
$ gpulock -w 30m -- python train.py   # wait
$ gpulockctl status --watch
```

```yaml
# the configuration
gpu_lock:
  poll_interval: 2
  max_poll_interval: 10
```

```python
# take it
print("taken")  # and say so
```

```mermaid
flowchart LR
    a["a worker"] -->|asks| b
```
"""

CHINESE = """\
# 使用指南

[English](guide.md)

任务最多等待 30 分钟（`max_wait_time`）。1.2.3 版需要 Linux 5.3、两个进程，以及每二十块 GPU 中的一块；
半小时之后，即 2025 年 3 月 1 日，它以 124 结束。

## 一、锁的设置

参见[具体的值](#2-具体的值)和[运维](operations.md#redis)。用 `gpulockctl why 2` 查看原因。

- 它有 `poll_interval`，以及 `GPU_LOCK_POLL_INTERVAL=2`；`poll_interval` 很重要。
- `release()` 在 10 秒内归还，借助 SIGTERM。

### 2. 具体的值

| 配置项 | 值 | 含义 |
|:---|---|---|
| `poll_interval` | 2 秒 | 间隔 |
| `max_wait_time` | 30 分钟 | 最多 3 次 |

## 使用

```console
# 先看一看
$ gpulock -w 30m -- python train.py   # 等待
$ gpulockctl status --watch
```

```yaml
# 配置
gpu_lock: {poll_interval: 2, max_poll_interval: 10}
```

```python
# 取锁
print("已取得")  # 说出来
```

```mermaid
flowchart LR
    a["工作进程"] -->|请求| b
```
"""

PLANTED: dict[str, tuple[str, str, str]] = {
    "a number in a paragraph": ("edition-value", "它以 124 结束", "它以 «125» 结束"),
    "a version": ("edition-value", "1.2.3 版", "«1.2.4» 版"),
    "a time, in another unit": ("edition-value", "最多等待 30 分钟", "最多等待 «3 小时»"),
    "a time in words": ("edition-value", "半小时之后", "«两小时»之后"),
    "a number in a cell": ("edition-value", "最多 3 次", "最多 «4 次»"),
    "a value in a cell": ("edition-value", "| 2 秒 |", "| «3 秒» |"),
    "a value in backticks": ("edition-value", "`GPU_LOCK_POLL_INTERVAL=2`", "`«GPU_LOCK_POLL_INTERVAL=5»`"),
    "a value in a block": ("edition-value", "poll_interval: 2,", "poll_interval: «5»,"),
    "a key in a block": ("edition-key", "2, max_poll_interval", "2, «fallback_timeout»"),
    "a key in a cell": ("edition-key", "| `max_wait_time` |", "| `«lock_timeout»` |"),
    "a command": ("edition-command", "`gpulockctl why 2`", "`«gpulockctl why 3»`"),
    "an option in a block": ("edition-command", "$ gpulockctl status --watch", "«$ gpulockctl status --fleet»"),
    "a command that is not there": ("edition-command", "$ gpulockctl status --watch\n", ""),
    "a name": ("edition-name", "`release()`", "`«relase()»`"),
    "a line of a program": ("edition-block", 'print("已取得")', '«printed("已取得")»'),
    "an arrow": ("edition-block", 'a["工作进程"] -->', '«a["工作进程"] ---»'),
    "a link": ("edition-link", "[运维](operations.md#redis)", "«[运维](operations.md#http)»"),
    "a heading's level": ("edition-section", "### 2. 具体的值", "#### «2. 具体的值»"),
    "a section more": ("edition-section", "## 使用\n", "## «另外»\n\n没有。\n\n## 使用\n"),
    "a row more": ("edition-table", "| `poll_interval` | 2", "| «`ttl`» | | |\n| `poll_interval` | 2"),
    "a column more": ("edition-table", "| 配置项 | 值 | 含义 |\n|:---|", "| «配置项» | 值 | 含义 | 备注 |\n|:---|---|"),
    "a table less": ("edition-table", CHINESE[CHINESE.index("| 配置项") : CHINESE.index("## 使用")], ""),
    "a block less": ("edition-block", CHINESE[CHINESE.index("```mermaid") :], ""),
}


@pytest.fixture
def tree(workshop: Workshop) -> Workshop:
    workshop.write("docs/operations.md", "# Operations\n\n## Redis\n\n## HTTP\n")
    workshop.write("docs/guide.md", ENGLISH)
    return workshop


def compared(tree: Workshop, chinese: str) -> Sequence[Finding]:
    """What comparing alone tells, whatever the configuration knows."""
    tree.write("docs/guide.zh.md", chinese)
    return sorted(editions.check(tree.audit("docs", rules=RULES).project), key=lambda finding: finding.place)


def test_a_translation_is_no_finding(tree: Workshop) -> None:
    assert [f"{each.place} {each.message}" for each in compared(tree, CHINESE)] == []


@pytest.mark.parametrize(("rule", "right", "wrong"), PLANTED.values(), ids=PLANTED)
def test_what_differs_is_found_where_it_stands(tree: Workshop, rule: str, right: str, wrong: str) -> None:
    assert CHINESE.count(right) == 1
    text, expected = marks(CHINESE.replace(right, wrong))
    found = compared(tree, text)
    assert {each.rule for each in found} == {rule}
    there = [each for each in found if each.place.file == "docs/guide.zh.md"]
    assert [Mark(each.place.line, each.place.column) for each in there] == expected
    assert all(each.place.file == "docs/guide.md" for each in found if each not in there)


def test_a_finding_tells_what_the_other_edition_says_and_where(tree: Workshop) -> None:
    (finding,) = compared(tree, CHINESE.replace("它以 124", "它以 125"))
    assert str(finding.place) == "docs/guide.zh.md:6:27"
    assert finding.message == "125 stands here, but the other edition has 124 (docs/guide.md:6:60)"
    (finding,) = compared(tree, CHINESE.replace("$ gpulockctl status --watch\n", ""))
    assert str(finding.place) == "docs/guide.md:27:1"
    assert finding.message == (
        "“$ gpulockctl status --watch” stands here, but the other edition does not have it (docs/guide.zh.md:25:1)"
    )


def test_nothing_is_put_right_by_comparing_alone(tree: Workshop) -> None:
    findings = compared(tree, CHINESE.replace("它以 124", "它以 125"))
    assert [each.edit for each in findings] == [None]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_the_configuration_knows_is_told_once_and_put_right(tree: Workshop, language: str) -> None:
    tree.write("docs/guide.zh.md", CHINESE)
    if language == "zh":
        tree.write("docs/guide.zh.md", CHINESE.replace("poll_interval: 2,", "poll_interval: 5,"))
    else:
        tree.write("docs/guide.md", ENGLISH.replace("poll_interval: 2\n", "poll_interval: 5\n"))
    (finding,) = tree.audit("docs", rules=RULES).findings
    assert finding.rule == "value-in-block"
    assert finding.edit is not None
    assert finding.edit.text == "2"


def test_paragraphs_that_a_translator_joined_are_compared_together(tree: Workshop) -> None:
    joined = CHINESE.replace("查看原因。\n\n- 它有", "查看原因。它有").replace("很重要。\n- ", "很重要。")
    assert joined != CHINESE
    assert compared(tree, joined) == []
    assert [each.rule for each in compared(tree, joined.replace("10 秒", "11 秒"))] == ["edition-value"]


def test_an_edition_that_is_not_there(tree: Workshop) -> None:
    (finding,) = [each for each in tree.audit("docs", rules=RULES).findings if each.rule.startswith("edition-")]
    assert (finding.rule, str(finding.place)) == ("edition-missing", "docs/guide.md:1:1")


def test_one_edition_alone_is_not_compared(tree: Workshop) -> None:
    tree.write("docs/guide.zh.md", "# 摘要\n")
    assert [each.rule for each in tree.audit("docs/guide.md", rules=RULES).findings] == []
    assert [each.rule for each in tree.audit("docs/operations.md", rules=RULES).findings] == []


def test_editions_are_those_that_are_listed(tree: Workshop) -> None:
    tree.write("docs/guide.zh.md", "# 摘要\n\n见英文版。\n")
    assert tree.audit("docs").findings == []


LIBERTIES = {
    "a minute, half an hour": ("Wait a minute, or half an hour; in one second.", "等 1 分钟，或 30 分钟；1 秒之内。"),
    "the last half hour": ("20 in the last half hour, two days ago.", "最近半小时 20 个，2 天前。"),
    "figures and words": (
        "Two of 3 hosts, the first and the 2nd, four-core.",
        "3 台中的 2 台，第 1 台和第二台，4 核。",
    ),
    "roughly": ("In a minute or two, or within tens of seconds.", "一两分钟或几十秒之内。"),
    "composed": ("After twenty-five minutes.", "二十五分钟之后。"),
    "a fifth": ("A fifth of 15 s is 3 s.", "15 秒的五分之一是 3 秒。"),
    "thousands": ("10,000 requests, 1.5 million bytes, 2,000 seeds.", "1 万个请求、150 万字节、2000 个种子。"),
    "dates": ("On 5 Nov 2025, and on 2025-11-05.", "2025 年 11 月 5 日，以及 2025-11-05。"),
    "widths": ("At 80 % after 10 s (twice).", "１０秒之后达到８０％（两次）。"),
    "numbering": ("## 1. First\n\n## 2. Second", "## 一、第一\n\n## 二、第二"),
    "code as words": ("It sets CUDA_VISIBLE_DEVICES.", "它设置 `CUDA_VISIBLE_DEVICES`。"),
    "units": ("30 minutes, 1h30m, 500 ms, 64 KiB.", "1800 秒、1 小时 30 分钟、0.5 秒、64 KiB。"),
    "versions": ("From 5.3 to 6.18, 1.2.3 and Python 3.", "从 5.3 到 6.18、1.2.3，以及 Python 3。"),
    "three times as fast": ("It is 3x as fast, 3 times.", "速度是 3 倍，3 次。"),
    "the web": ("See [Redis](https://redis.io/docs).", "参见 [Redis](https://redis.com.cn/docs)。"),
}


@pytest.mark.parametrize(("english", "chinese"), LIBERTIES.values(), ids=LIBERTIES)
def test_what_a_translator_may_do(tree: Workshop, english: str, chinese: str) -> None:
    tree.write("docs/guide.md", f"# Guide\n\n{english}\n")
    assert [each.message for each in compared(tree, f"# 指南\n\n{chinese}\n")] == []


def test_three_editions_are_compared_with_the_first(tree: Workshop) -> None:
    tree.write("docs/guide.zh.md", CHINESE)
    tree.write("docs/guide.de.md", ENGLISH.replace("ends with 124", "endet mit 125"))
    rules = "editions: [[docs/guide.md, docs/guide.zh.md, docs/guide.de.md]]\n"
    found = [each for each in tree.audit("docs", rules=rules).findings if each.rule.startswith("edition-")]
    assert [each.place.file for each in found] == ["docs/guide.de.md"]
