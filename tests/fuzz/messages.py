"""What a hostile client says: nearly right messages, wrong ones, and bytes that are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack

from gpulock import wire

from .choices import Choices

METHODS = (*wire.METHODS, *["acquire"] * 8, *["release"] * 3, "cancel", "revoke", "extend", "nonsuch", "", "acquire\0")
NAMES = (*{name: None for parameters in wire.METHODS.values() for name in parameters._fields}, "tusk", "")
TEXTS = (
    "",
    "0",
    "1",
    "GPU-0",
    "L1-1",
    "R1-1",
    "pid:1",
    "forever",
    "10ms",
    "queued",
    "lost",
    "warning",
    "\x1b[2J",
    "x" * 2000,
)
PLAUSIBLE: dict[str, tuple[Any, ...]] = {
    "gpus": (1, 2, 3, ["0"], ["1"], ["0", "1"], ["GPU-1"]),
    "wait_timeout": (0, 1, 30, "5m", "forever", None),
    "max_hold": (1, 30, "1h", None),
    "priority": (0, 1, -1, 100),
    "notify": (["queued"], ["lost", "warning"], []),
    "labels": ({}, {"a": "b"}),
    "subject": ("0", "1", "L1-1", "L1-2", "R1-3", "pid:1001"),
    "gpu": ("0", "1", None),
    "lock": ("L1-1", "L1-2", "L1-3", None),
    "within": ("L1-1", "L1-2", None),
    "msgid": (0, 1, 2, 3),
    "grace": (0, 1, "5s", None),
    "limit": (1, 10),
    "versions": ([1], [1, 2], [99]),
}
NUMBERS = (0, 1, 2, 3, -1, 0.001, 0.5, float("nan"), float("inf"), -0.0, 2**31, 2**63, 2**64 - 1)


def value(choices: Choices, depth: int = 0) -> Any:
    """Anything that MessagePack can say, mostly something that a parameter may be."""
    match choices.number(10 if depth < 4 else 6):
        case 0:
            return None
        case 1:
            return choices.one_of((True, False))
        case 2:
            return choices.number(8)
        case 3:
            return choices.one_of(NUMBERS)
        case 4:
            return choices.one_of(TEXTS)
        case 5:
            return choices.raw(choices.number(16))
        case 6:
            return [value(choices, depth + 1) for _ in range(choices.number(5))]
        case 7:
            return {choices.one_of(NAMES): value(choices, depth + 1) for _ in range(choices.number(5))}
        case 8:
            return msgpack.ExtType(choices.number(128), choices.raw(choices.number(8)))
        case _:
            return choices.raw(choices.number(32)).decode("latin-1")


def message(choices: Choices) -> bytes:
    """One frame, or something that should have been one."""
    kind = choices.number(16)
    if kind == 0:
        return choices.raw(choices.number(64))
    if kind == 1:
        return _packed(value(choices))
    method = choices.one_of(METHODS)
    params = _params(choices, method)
    if kind == 2:
        return _packed([2, method, [params]])
    if kind == 3:
        return _packed([choices.number(4), value(choices), value(choices), value(choices)])
    return _packed([0, choices.number(8), method, [params] if params else []])


def _params(choices: Choices, method: str) -> dict[str, Any]:
    """Mostly of the method's own, and mostly such as it takes."""
    own = wire.METHODS[method]._fields if method in wire.METHODS else ()
    params = {}
    for _ in range(choices.number(4)):
        name = choices.one_of(own if own and choices.number(8) else NAMES)
        likely = PLAUSIBLE.get(name, TEXTS)
        params[name] = choices.one_of(likely) if choices.number(4) else value(choices)
    return params


def _packed(told: Any) -> bytes:
    data: bytes = msgpack.packb(told)
    return data


def speech(choices: Choices, most: int = 64) -> Iterator[bytes]:
    """What comes over one connection, in the pieces in which it is read."""
    rest = b""
    for _ in range(most):
        if not choices.left:
            break
        rest += message(choices)
        cut = len(rest) - choices.one_of((0, 0, 0, 1, 2, 7))
        if cut > 0:
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest
