"""Runs a command under the limits that gpulockd.service sets, where no systemd is there to set them.

`python -m tests.packaging.sandbox UNIT COMMAND ...` puts UNIT's SystemCallFilter= and MemoryDenyWriteExecute=
into force, with the libseccomp of the system and `prctl`, and becomes COMMAND.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

LIBSECCOMP = "libseccomp.so.2"
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_UNKNOWN_CALL = -1
_PR_SET_MDWE = 65
_PR_MDWE_REFUSE_EXEC_GAIN = 1


def settings(unit: Path, key: str) -> list[str]:
    """The values of `key` in a unit file, in order."""
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith(f"{key}=")]


def call_groups() -> dict[str, set[str]]:
    """The named groups of system calls that systemd knows: group -> calls and further groups."""
    command = ["systemd-analyze", "syscall-filter", "--no-pager"]
    listing = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    groups: dict[str, set[str]] = {}
    group: set[str] = set()
    for line in listing.splitlines():
        word = line.strip()
        if line.startswith("@"):
            group = groups.setdefault(word, set())
        elif word and not word.startswith("#"):
            group.add(word)
    return groups


def allowed_calls(filters: Iterable[str]) -> set[str]:
    """What SystemCallFilter= lines allow: the first says what may be called, `~` takes away from it."""
    groups = call_groups()

    def calls(names: Iterable[str]) -> set[str]:
        found: set[str] = set()
        for name in names:
            found |= calls(groups[name]) if name.startswith("@") else {name}
        return found

    allowed = calls(["@default"])
    for line in filters:
        if line.startswith("~"):
            allowed -= calls(line[1:].split())
        else:
            allowed |= calls(line.split())
    return allowed


def refuse_all_calls_but(allowed: Iterable[str]) -> None:
    """From here on, this process and what comes of it get EPERM for any other system call."""
    seccomp = ctypes.CDLL(LIBSECCOMP)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(_REFUSE)))
    for name in allowed:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number != _UNKNOWN_CALL:
            seccomp.seccomp_rule_add_array(context, ctypes.c_uint32(_ALLOW), number, 0, None)
    failure = seccomp.seccomp_load(context)
    if failure:
        raise OSError(-failure, "the system call filter was not accepted")


def refuse_writable_code() -> None:
    """From here on, no memory of this process can be both written and executed (Linux 6.3 or newer)."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this kernel has no PR_SET_MDWE")


def main() -> None:
    unit, command = Path(sys.argv[1]), sys.argv[2:]
    allowed = allowed_calls(settings(unit, "SystemCallFilter"))
    if settings(unit, "MemoryDenyWriteExecute") == ["yes"]:
        refuse_writable_code()
    refuse_all_calls_but(allowed)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
