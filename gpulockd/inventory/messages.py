"""What the daemon and its NVML worker say to each other: one JSON array a line.

A question is `[id, call, arguments]`, an answer `[id, value, failure]`, and a failure `[words, remedy]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any

from ..core.model import GpuIdentity, GpuProcess, Sample

Seen = tuple[GpuIdentity, Sample]
"""A GPU and how it is."""

KERNEL_LOG = "look for NVRM and Xid lines in the kernel log: `journalctl --dmesg --grep 'NVRM|Xid'`"
"""The remedy for what has no better one."""


class NvmlFailed(Exception):
    """NVML refused, in its own words, or did not answer; `remedy` is what to do about it."""

    def __init__(self, words: str, remedy: str = KERNEL_LOG) -> None:
        super().__init__(f"{words}: {remedy}")
        self.words = words
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Driver:
    version: str
    cards: int
    """Those that NVML numbers from 0; MIG instances are parts of them."""


@dataclass(frozen=True, slots=True)
class Question:
    id: int
    call: str
    arguments: tuple[Any, ...] = ()
    """The first one, if any, is the card's number."""

    def encode(self) -> bytes:
        return _line(self.id, self.call, self.arguments)

    @classmethod
    def decode(cls, line: bytes) -> Question:
        number, call, arguments = json.loads(line)
        return cls(number, call, tuple(arguments))


@dataclass(frozen=True, slots=True)
class Answer:
    id: int
    value: Any = None
    failure: tuple[str, str] | None = None

    def encode(self) -> bytes:
        return _line(self.id, self.value, self.failure)

    @classmethod
    def decode(cls, line: bytes) -> Answer:
        number, value, failure = json.loads(line)
        return cls(number, value, failure and tuple(failure))

    def result(self) -> Any:
        """Raises `NvmlFailed` if that is the answer."""
        if self.failure:
            raise NvmlFailed(*self.failure)
        return self.value


def dump_driver(driver: Driver) -> Any:
    return astuple(driver)


def load_driver(value: Any) -> Driver:
    return Driver(*value)


def dump_processes(processes: Iterable[GpuProcess] | None) -> Any:
    return None if processes is None else [[process.pid, process.memory] for process in processes]


def load_processes(value: Any) -> tuple[GpuProcess, ...] | None:
    return None if value is None else tuple(GpuProcess(pid, memory) for pid, memory in value)


def dump_seen(seen: Iterable[Seen]) -> Any:
    return [
        [
            astuple(identity),
            [sample.memory_used, sample.utilization, dump_processes(sample.processes), sample.fault],
        ]
        for identity, sample in seen
    ]


def load_seen(value: Any) -> list[Seen]:
    return [
        (
            GpuIdentity(*identity),
            Sample(memory_used=used, utilization=share, processes=load_processes(processes), fault=fault),
        )
        for identity, (used, share, processes, fault) in value
    ]


def _line(*members: Any) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"
