"""File descriptors: may the daemon open as many as its sessions need?"""

from __future__ import annotations

from pathlib import Path

from .finding import Finding

_EACH_SESSION = 2  # its socket, and a pidfd of its owner
_SPARE = 128  # journal, Redis, epoll, listeners, the log


def check(pid: int, max_sessions: int | None, proc: Path = Path("/proc")) -> Finding:
    """`max_sessions` is the daemon's setting; None where it did not say."""
    try:
        soft = _soft_limit((proc / str(pid) / "limits").read_text())
    except OSError:
        return Finding("files", "skip", f"the limits of pid {pid} cannot be read from here")
    if soft is None:
        return Finding("files", "ok", "no limit on open files")
    if max_sessions is None:
        return Finding("files", "skip", f"at most {soft} open files")
    needed = max_sessions * _EACH_SESSION + _SPARE
    said = f"at most {soft} open files; {max_sessions} sessions need {needed}"
    if soft >= needed:
        return Finding("files", "ok", said)
    return Finding("files", "warn", said, f"LimitNOFILE={needed} in gpulockd.service, or a lower daemon.max_sessions")


def _soft_limit(limits: str) -> int | None:
    """The soft limit of `Max open files`; None: unlimited."""
    for line in limits.splitlines():
        if line.startswith("Max open files"):
            soft = line.removeprefix("Max open files").split()[0]
            return None if soft == "unlimited" else int(soft)
    return None
