"""What is said to be done, verified or improved, and what the top and the end of a document say."""

from __future__ import annotations

import pytest

from .marked import Workshop, marks

UNPROVEN = {
    "marks, words and percentages": """\
«✅» half the load

- «[x]» new intervals
- [ ] another one
- ✅ [the run](report.md)

This was «optimised, verified» last week.

Handover is now «40 % faster».

Waits were «reduced by 35%», they say.

A paragraph between.

Handover is 40 % faster:

Evidence: it was verified in production, see [the run](report.md).

When all tests pass, it is merged. It must be fully tested. Not verified in production. It is done by the daemon.

Every lock is released when the holder is done. It takes 2 % of a core. Reducing the load helps.
""",
    "Chinese": """\
## «已完成»

轮询优化«已验证»，效果很好。等待时间«缩短了 40%»。

优化待验证，尚未完成。预计提升 30%。需要验证通过后上线。

响应速度«提升３倍»。

性能提升 40%（见[测试报告](report.md)）。
""",
    "columns of states": """\
| task | status | note |
|---|---|---|
| polling | «done» | |
| waiting | «✅ 已完成» | |
| queue | done | [run](report.md) |
| journal | to be done | |
| leases | 待验证 | |

| feature | Linux | macOS |
|---|---|---|
| pidfd | ✅ | ❌ |

| platform | status |
|---|---|
| Linux | ✅ Supported |
| macOS | ❌ Not supported |
| tests | «✔ done» |
""",
    "suggestions may expect": """\
## 优化建议

预期收益：等待时间降低 40%。

1. Lower the interval: waits become 40 % shorter, saving 10 %.
""",
}

HEADERS = {
    "front matter, top and end": """\
---
title: Guide
version: 2.1
---

# The guide v2.1

> Version: v2.1 | Last updated: 2025-03-01 | Status: stable

Text that names the version: see below.

## Chapter

Status: whatever, in the middle.

Text.

Text.

Text.

Text.

Text.

---

*Version: «2.0»* · *Last updated: «2025/02/01»*

Status: «draft»
""",
    "Chinese, a table": """\
# 指南

| 项目 | 内容 |
|---|---|
| 版本 | v1.3 |
| 更新日期 | 2025年3月1日 |

## 正文

一。

二。

三。

四。

五。

**文档版本**：«1.2»

更新日期：2025-03-01

状态：完成
""",
    "nothing twice": "# Guide\n\nVersion: 1.0\n\n## Next\n\nDate of the release: 2020-01-01\n\nStatus quo.\n",
}


@pytest.mark.parametrize("text", UNPROVEN.values(), ids=UNPROVEN)
def test_claims_without_evidence(workshop: Workshop, text: str) -> None:
    assert workshop.found(text, "claim-unproven") == marks(text)[1]


@pytest.mark.parametrize("text", HEADERS.values(), ids=HEADERS)
def test_headers_and_footers(workshop: Workshop, text: str) -> None:
    assert workshop.found(text, "header-disagrees") == marks(text)[1]
