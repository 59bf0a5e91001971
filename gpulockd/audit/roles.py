"""What a stretch of a document is for: a claim about now, or a suggestion, an example, history.

Told by the words of headings, of the sentence before a block or table, and of the headers of columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

Role = Literal["claim", "suggestion", "example", "history"]
Column = Literal["key", "value", "default", "unit", "suggestion", "history", ""]

CURRENT = re.compile(
    r"\b(?:current(?:ly)?|in force|in effect|effective|actual|production|today)\b"
    r"|当前|现值|现行|目前|现在|实际|生效|线上|生产",
    re.IGNORECASE,
)
NOW = re.compile(r"\bnow\b", re.IGNORECASE)
"""Says so where nothing else does: "now, for example" is an example."""
DEFAULT = re.compile(r"\bdefaults?\b|默认|缺省", re.IGNORECASE)
SUGGESTION = re.compile(
    r"\b(?:suggest(?:ed|ions?)?|recommend(?:ed|ations?)?|propos(?:ed|als?)|planned|roadmap|next steps?|future|target)\b"
    r"|建议|推荐|计划|规划|目标值|提议|待验证|下一步|后续",
    re.IGNORECASE,
)
EXAMPLE = re.compile(
    r"\b(?:examples?|for instance|samples?|such as|imagine|template)\b|\be\.g\."
    r"|示例|例如|例子|举例|样例|比如|模板|范例",
    re.IGNORECASE,
)
HISTORY = re.compile(
    r"\b(?:history|changelog|release notes|(?:recent )?changes|previous(?:ly)?|formerly|used to|deprecated|legacy"
    r"|incidents?|post-?mortem|migrat(?:ion|ing))\b"
    r"|\bbefore\s*(?:/|and|&|vs\.?|→)\s*after\b|^\W*(?:before|after|old)\b(?=\W*$|\s*[:：(（])|\((?:before|after|old)\)"
    r"|变更|历史|更新日志|[修更]改前|[修更]改后|以前|原来|原值|旧[值版配]|(?:优化|调整|改动|升级)[前后]|改动记录|更新记录|事故",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"^\W*(?:keys?|settings?|options?|parameters?|params?|name|config(?:uration)?(?: key| item)?|variables?"
    r"|配置项|配置键|参数名?|参数名称|键名?|选项|设置项|变量名?|环境变量|名称|项目?)\W*$",
    re.IGNORECASE,
)
_VALUE = re.compile(r"\b(?:values?|set to|setting)\b|^\W*now\W*$|值|^配置$|^设置$", re.IGNORECASE)
_UNIT = re.compile(r"^\W*(?:units?|单位)\W*$", re.IGNORECASE)
_OLD = re.compile(
    r"^\W*(?:before|after|old|new|was|previous(?:ly)?)\b|^(?:之前|之后|原|旧|新)[值]?|[^当]前$|后$", re.IGNORECASE
)


@lru_cache(maxsize=4096)
def of_words(text: str) -> Role | None:
    """The role that a heading or an introduction gives to what follows; None where it gives none."""
    if CURRENT.search(text) and not SUGGESTION.search(text):
        return "claim"
    for role, pattern in (("suggestion", SUGGESTION), ("example", EXAMPLE), ("history", HISTORY)):
        if pattern.search(text):
            return role  # type: ignore[return-value]
    return "claim" if NOW.search(text) else None


def of_section(titles: Iterable[str]) -> Role:
    """By the nearest heading that says anything. The title of the whole document counts, too."""
    for title in reversed(list(titles)):
        if role := of_words(title):
            return role
    return "claim"


def of_place(lead: str, titles: Iterable[str]) -> Role:
    """The role of a block or a table: its introduction's last sentence goes before its headings."""
    sentences = [each for each in re.split(r"(?<=[.!?])\s+|[。！？]", lead) if each.strip()]
    return (of_words(sentences[-1]) if sentences else None) or of_section(titles)


@lru_cache(maxsize=4096)
def of_column(header: str) -> Column:
    if _KEY.search(header):
        return "key"
    if _UNIT.search(header):
        return "unit"
    if SUGGESTION.search(header):
        return "suggestion"
    if CURRENT.search(header):
        return "value"
    if DEFAULT.search(header):
        return "default"
    if HISTORY.search(header) or _OLD.search(header):
        return "history"
    return "value" if _VALUE.search(header) else ""
