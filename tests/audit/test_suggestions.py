"""Tables of suggestions, and what says that it is done."""

from __future__ import annotations

import pytest

from .marked import Workshop, marks

SUGGESTIONS = {
    "suggestion-columns": """\
| «parameter» | current | suggested |
|---|---|---|
| `poll_interval` | 2 | 1 |

| 参数 | 当前值 | 建议值 | 预期收益 | 风险 | 验证状态 |
|---|---|---|---|---|---|
| `poll_interval` | 2 | 1 | 更快 | 低 | 待验证 |

| idea | suggested by |
|---|---|
| cake | anna |
""",
    "suggestion-unproven": """\
| parameter | current | suggested | expected gain | risk | status |
|---|---|---|---|---|---|
| `poll_interval` | 2 | 1 | faster | low | «verified» |
| `poll_interval` | 2 | 1 | faster | low | [verified](https://example.org/run) |
| `poll_interval` | 2 | 1 | faster | low | not verified |
| `poll_interval` | 2 | 1 | faster | low | to be verified |
| `poll_interval` | 2 | 1 | 更快 | 低 | «✅ 已验证» |
| `poll_interval` | 2 | 1 | 更快 | 低 | 未验证 |
""",
}


@pytest.mark.parametrize(("rule", "text"), SUGGESTIONS.items(), ids=SUGGESTIONS)
def test_suggestions(workshop: Workshop, rule: str, text: str) -> None:
    assert workshop.found(text, rule) == marks(text)[1]
