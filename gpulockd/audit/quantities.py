"""Values as people write them, in English and Chinese: `2 s`, `30 分钟`, `half an hour`, `１８００`, `64 KiB`."""

from __future__ import annotations

import math
import re
from typing import Literal, NamedTuple

from .numerals import NUMERALS, by_word

Kind = Literal["time", "bytes", "percent", "count", ""]

_TIME: dict[str, float] = {}
for _factor, _names in (
    (1e-6, "us µs μs microsecond microseconds 微秒"),
    (1e-3, "ms msec millisecond milliseconds 毫秒"),
    (1.0, "s sec secs second seconds 秒 秒钟"),
    (60.0, "m min mins minute minutes 分 分钟"),
    (3600.0, "h hr hrs hour hours 小时 个小时"),
    (86400.0, "d day days 天 日"),
):
    _TIME |= dict.fromkeys(_names.split(), _factor)
_BYTES: dict[str, float] = {"b": 1, "byte": 1, "bytes": 1, "字节": 1}
for _power, _letter in enumerate("kmgt", 1):
    _BYTES |= {f"{_letter}b": 1000.0**_power, f"{_letter}ib": 1024.0**_power}
_COUNT = dict.fromkeys(("次", "个", "条", "张", "倍", "times"), 1.0)
_PERCENT = {"%": 1.0, "percent": 1.0}
_UNITS: dict[str, tuple[Kind, float]] = {
    **{name: ("time", factor) for name, factor in _TIME.items()},
    **{name: ("bytes", factor) for name, factor in _BYTES.items()},
    **{name: ("count", factor) for name, factor in _COUNT.items()},
    **{name: ("percent", factor) for name, factor in _PERCENT.items()},
}
_WORDS = {**NUMERALS, **by_word({0.5: "half a|half an", 1: "a|an", 45: "forty-five|四十五"})}


def _either(words: dict[str, float] | dict[str, tuple[Kind, float]]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


# 五分之一 is a fifth, and no five minutes.
_UNIT = rf"(?:{_either(_UNITS)})(?![A-Za-z_]|之[一二三四五六七八九十百\d])"
_DIGITS = r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?"
# Bare digits may not be a part of something else: a version, an address, a name, a date.
_PART = re.compile(
    rf"(?P<number>{_DIGITS})(?:\s*-?\s*(?P<unit>{_UNIT})|(?![\w-]|[.:/]\w))"
    rf"|(?P<word>{_either(_WORDS)})(?:(?<=[a-z])[\s-]+|(?<![a-z])\s*)(?P<word_unit>{_UNIT})",
    re.IGNORECASE,
)
_MORE = re.compile(rf"\s*(?:and\s+)?(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>{_UNIT})", re.IGNORECASE)
_RANGE = re.compile(r"\s*(?:-|–|—|~|至|到|to|\.\.+|→|->|=>|±|/)\s*[-+]?\d", re.IGNORECASE)

TRUE = frozenset(["true", "yes", "on", "enabled", "启用", "开启", "打开", "是", "已启用", "已开启"])
FALSE = frozenset(["false", "no", "off", "disabled", "禁用", "关闭", "否", "停用", "已禁用", "已关闭"])
FOREVER = frozenset(["forever", "inf", ".inf", "infinity", "unlimited", "永久", "无限", "不限", "无限制", "永不"])
NOTHING = frozenset(('""', "''", "", "null", "~", "none", "empty", "空", "无", "(empty)", "(空)"))

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


class Quantity(NamedTuple):
    number: float
    """In the base unit of its kind: seconds, bytes; else as it is written."""
    kind: Kind = ""
    written: float | None = None
    """The number before its unit; None where there are several."""


class Found(NamedTuple):
    quantity: Quantity
    start: int
    end: int


def narrow(text: str) -> str:
    """Full-width digits, letters and punctuation as ASCII; every character keeps its place."""
    return text if text.isascii() else text.translate(_FULL_WIDTH)


def quantity_at(text: str, start: int) -> Found | None:
    """The quantity that begins at `start` of a `narrow` text; nothing for ranges, which say more than one value."""
    match = _PART.match(text, start)
    if match is None:
        return None
    if match["word"]:
        number, name = _WORDS[match["word"].lower()], match["word_unit"]
    else:
        number, name = float(match["number"].replace(",", "").replace("−", "-")), match["unit"]
    end = match.end()
    if name is None:
        return None if _RANGE.match(text, end) else Found(Quantity(number, "", number), start, end)
    kind, factor = _UNITS[name.lower()]
    total, alone = number * factor, True
    while kind == "time" and (more := _MORE.match(text, end)) and more["unit"].lower() in _TIME:
        total += float(more["number"]) * _TIME[more["unit"].lower()]
        end, alone = more.end(), False
    if _RANGE.match(text, end):
        return None
    return Found(Quantity(total, kind, number if alone else None), start, end)


def whole(text: str) -> Quantity | None:
    """The quantity that `text` is, and nothing besides."""
    text = narrow(text).strip().strip("`\"'")
    if text.lower() in FOREVER:
        return Quantity(math.inf, "time")
    found = quantity_at(text, 0)
    return found.quantity if found and found.end == len(text) else None


def unit_in(text: str) -> str | None:
    """The unit that a header names in brackets, or a cell consists of: `timeout (s)`, `值（秒）`, `ms`."""
    text = narrow(text).strip()
    bracket = re.search(rf"\(\s*(?:in\s+)?({_UNIT})\s*\)", text, re.IGNORECASE)
    name = bracket.group(1) if bracket else text
    return name if name.lower() in _UNITS else None


def seconds_of(unit: str) -> float | None:
    """How many seconds one of `unit` is; None where it is no unit of time."""
    return _TIME.get(narrow(unit).strip().lower())


Value = str | int | float | bool | tuple["str | int | float | bool | None", ...] | None


def agrees(written: str, value: Value, unit: str | None) -> bool | None:
    """Whether `written` says `value`; None where that cannot be told.

    `unit` is the one that a bare number has: of time or of bytes, empty for none, None where nobody knows.
    """
    text = narrow(written).strip().strip("`").strip()
    bare = text.strip("\"'")
    match value:
        case bool():
            word = bare.lower()
            return (word in TRUE) is value if word in TRUE | FALSE else None
        case int() | float():
            said = whole(bare)
            return None if said is None else _same(said, Quantity(float(value), "", float(value)), unit)
        case str() if (meant := whole(value)) is not None:
            said = whole(bare)
            return bare == value if said is None else _same(said, meant, unit)
        case str():
            return text.lower() in NOTHING if not value else bare == value
        case tuple():
            items = [item.strip().strip("\"'") for item in bare.strip("[]").split(",") if item.strip()]
            return items == [str(item) for item in value] if text.startswith("[") or not text else None
        case None:
            return text.lower() in NOTHING


def _same(said: Quantity, meant: Quantity, unit: str | None) -> bool | None:
    if said.kind == "percent":
        return _close(said.number, meant.number) or _close(said.number / 100, meant.number)
    if "bytes" in {said.kind, meant.kind}:
        size = _BYTES.get((unit or "").lower())
        if size is None and said.kind != meant.kind:
            return None if unit is None or not unit else False
        sizes = [each.number if each.kind == "bytes" else each.number * (size or 1) for each in (said, meant)]
        return _close(*sizes)
    if said.kind != "time" and meant.kind != "time":
        return _close(said.number, meant.number) or (unit is None and said.written == meant.written)
    if unit == "" and meant.kind != "time":
        return None  # a count is spoken of in seconds: they are not the same thing
    factor = _TIME[unit or "s"]
    seconds = [each.number if each.kind == "time" else each.number * factor for each in (said, meant)]
    return _close(*seconds) or (unit is None and meant.kind != "time" and said.written == meant.written)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
