"""What /proc says of a process. Every function answers None, or an empty string, for one that is gone or hidden."""

from __future__ import annotations

import os
from typing import NamedTuple

COMMAND_CHARACTERS = 200
_READ_BYTES = 4096


class Stat(NamedTuple):
    """The fields of /proc/PID/stat that tell processes apart and relate them."""

    pid: int
    state: str
    """One letter; `Z` and `X` for a process that has ended."""
    parent: int
    group: int
    session: int
    start_time: int
    """Clock ticks after boot."""


def stat(pid: int) -> Stat | None:
    """Raises `OSError` where no descriptor is left to ask with: who it is must not be guessed."""
    text = _read(f"/proc/{pid}/stat")
    return parse_stat(text) if text else None


def parse_stat(text: bytes) -> Stat:
    """The name may contain anything, spaces and parentheses too: it ends at the last `)`."""
    pid, _, rest = text.partition(b" (")
    # From field 3 on.
    fields = rest[rest.rindex(b")") + 2 :].split()
    return Stat(
        pid=int(pid),
        state=fields[0].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start_time=int(fields[19]),
    )


def command(pid: int) -> str:
    """Its command line as a person would type it, or its name in brackets where it has none."""
    if line := readable_command(_glance(f"/proc/{pid}/cmdline")):
        return line
    name = _glance(f"/proc/{pid}/comm").decode(errors="replace")
    return f"[{readable(name)}]" if name else ""


def readable_command(cmdline: bytes) -> str:
    """Without the directory of the program, and on one line."""
    program, *arguments = cmdline.rstrip(b"\0").decode(errors="replace").split("\0")
    if program.startswith("/") and " " not in program:
        program = program.rpartition("/")[2]
    return readable(" ".join((program, *arguments)))


def readable(text: str) -> str:
    """Safe on anybody's terminal: what a process calls itself is its own choice."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    return line if len(line) <= COMMAND_CHARACTERS else line[: COMMAND_CHARACTERS - 1] + "…"


def cgroup(pid: int) -> str:
    """The text of its /proc/PID/cgroup."""
    return _glance(f"/proc/{pid}/cgroup").decode(errors="replace")


def cgroup_surely(pid: int) -> str:
    """The same. Raises `OSError` where no descriptor is left to ask with."""
    return _read(f"/proc/{pid}/cgroup").decode(errors="replace")


def effective_uid(pid: int) -> int | None:
    for line in _glance(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[2])
    return None


def _glance(path: str) -> bytes:
    """For what is only shown to people."""
    try:
        return _read(path)
    except OSError:
        return b""


def _read(path: str) -> bytes:
    """Its first few kilobytes: more of it is of no use here."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, _READ_BYTES)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
