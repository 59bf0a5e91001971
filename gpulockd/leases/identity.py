"""Who a daemon is, so that others can name it, and its successor on the same host can tell that it is dead."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..core.model import Process

_ENDED = frozenset("ZXx")
"""States of a process that runs no more, though its parent has not asked for it yet."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One run of one daemon."""

    host: str
    """Its name in the fleet, for people; two hosts may bear the same by mistake."""
    process: Process
    pid_namespace: int
    """Inode of the PID namespace in which `process.pid` means something."""
    instance: str
    """Random, and new for each run: the leases of an earlier run are not this one's."""

    @classmethod
    def of_this_process(cls, host: str) -> Self:
        """A new instance in the calling process."""
        pid = os.getpid()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return cls(
            host=host,
            process=Process(pid, _start_time(_stat(pid)), boot_id),
            pid_namespace=Path("/proc/self/ns/pid").stat().st_ino,
            instance=secrets.token_hex(8),
        )

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Self:
        """The reverse of `document`. Raises `KeyError` or `ValueError` for something else."""
        return cls(
            host=str(document["host"]),
            process=Process(int(str(document["pid"])), int(str(document["start_time"])), str(document["boot_id"])),
            pid_namespace=int(str(document["pid_namespace"])),
            instance=str(document["instance"]),
        )

    def document(self) -> dict[str, str | int]:
        """As plain values, the way it stands in Redis."""
        return {
            "host": self.host,
            "pid": self.process.pid,
            "start_time": self.process.start_time,
            "boot_id": self.process.boot_id,
            "pid_namespace": self.pid_namespace,
            "instance": self.instance,
        }

    def knows_dead(self, other: Identity) -> bool:
        """Whether `other` has certainly ended, as far as can be told from here.

        Only a daemon of the same boot and PID namespace can be judged: elsewhere its pid is somebody else's.
        """
        if other.process.boot_id != self.process.boot_id or other.pid_namespace != self.pid_namespace:
            return False
        try:
            os.kill(other.process.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # Some process has the pid; /proc may tell which.
        try:
            stat = _stat(other.process.pid)
        except OSError:
            return False  # Hidden from us (hidepid), or gone this instant: not certain.
        return _state(stat) in _ENDED or _start_time(stat) != other.process.start_time


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: the second may contain blanks and parentheses."""
    text = Path(f"/proc/{pid}/stat").read_bytes().decode("utf-8", "replace")
    return text.rpartition(")")[2].split()


def _state(stat: list[str]) -> str:
    return stat[0]


def _start_time(stat: list[str]) -> int:
    return int(stat[19])
