"""Values as people write them, and whether they say the same."""

from __future__ import annotations

import math

import pytest

from gpulockd.audit.quantities import Quantity, Value, agrees, narrow, quantity_at, whole

WHOLE = [
    ("2", Quantity(2, "", 2)),
    ("2 s", Quantity(2, "time", 2)),
    ("2秒", Quantity(2, "time", 2)),
    ("２．５ 秒钟", Quantity(2.5, "time", 2.5)),
    ("500 ms", Quantity(0.5, "time", 500)),
    ("30 分钟", Quantity(1800, "time", 30)),
    ("30-minute", Quantity(1800, "time", 30)),
    ("1h30m", Quantity(5400, "time", None)),
    ("1 小时 30 分钟", Quantity(5400, "time", None)),
    ("half an hour", Quantity(1800, "time", 0.5)),
    ("ten seconds", Quantity(10, "time", 10)),
    ("两分钟", Quantity(120, "time", 2)),
    ("1,800", Quantity(1800, "", 1800)),
    ("-10", Quantity(-10, "", -10)),
    ("64 KiB", Quantity(65536, "bytes", 64)),
    ("3 次", Quantity(3, "count", 3)),
    ("80 %", Quantity(80, "percent", 80)),
    ("forever", Quantity(math.inf, "time")),
    ("1–5", None),
    ("2 to 4 s", None),
    ("2.1.0", None),
    ("2x", None),
    ("10:30", None),
    ("a and b", None),
    ("and", None),
    ("soon", None),
]


@pytest.mark.parametrize(("text", "quantity"), WHOLE, ids=[each[0] for each in WHOLE])
def test_what_a_text_is(text: str, quantity: Quantity | None) -> None:
    assert whole(text) == quantity


def test_a_narrow_text_keeps_its_places() -> None:
    text = "最大（２ｓ），％"
    assert narrow(text) == "最大(2s),%"
    assert len(narrow(text)) == len(text)


def test_a_quantity_ends_where_it_ends() -> None:
    found = quantity_at("is 2 seconds, or 3", 3)
    assert found is not None
    assert (found.start, found.end) == (3, 12)


AGREES: list[tuple[str, Value, str | None, bool | None]] = [
    ("2 s", 2, "s", True),
    ("2000 ms", 2, "s", True),
    ("2", "2s", None, True),
    ("30m", 1800.0, "s", True),
    ("30m", "1800", None, True),
    ("2 s", 2, "ms", False),
    ("500 ms", 500, None, True),
    ("5 min", 5, None, True),
    ("5 min", 5, "s", False),
    ("5 s", 5, "", None),
    ("64 MiB", 64, "MiB", True),
    ("64", 64, "MiB", True),
    ("64 MB", 64, "MiB", False),
    ("64 KiB", 65536, "b", True),
    ("64 MiB", 64, "", None),
    ("64 MiB", 64, None, None),
    ("64 MiB", 64, "s", False),
    ("0.5", 2, "s", False),
    ("yes", True, None, True),
    ("关闭", True, None, False),
    ("maybe", True, None, None),
    ("often", 2, "s", None),
    ("80%", 0.8, None, True),
    ("forever", math.inf, "s", True),
    ("keep", "keep", "", True),
    ("revoke", "keep", "", False),
    ('""', "", "", True),
    ("x", "", "", False),
    ("[alice, 1001]", ("alice", 1001), "", True),
    ("[]", ("alice",), "", False),
    ("alice", ("alice",), "", None),
    ("null", None, None, True),
]


@pytest.mark.parametrize(("written", "value", "unit", "answer"), AGREES)
def test_whether_a_text_says_a_value(written: str, value: Value, unit: str | None, answer: bool | None) -> None:
    assert agrees(written, value, unit) is answer
