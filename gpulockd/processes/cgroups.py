"""Control groups: where a process is, and which one of them could tell whose it is.

The kernel keeps a process in its control group whatever becomes of its parents, its session and its process group, and
what it forks stays there with it. So the group says whose a process is where it was made for one job: by a container,
a batch system, `systemd-run`. Whether it was is for `families` to judge; here is only what /proc/PID/cgroup says.

Paths are as the daemon's own cgroup namespace shows them: all alike, and so fit to be compared.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

TRACKING = ("", "name=systemd", "freezer")
"""The hierarchies in which jobs are told apart: the unified one, systemd's, and the one that older batch systems use.
The others of version 1 share out resources, to jobs that may have nothing else in common."""

_DELETED = " (deleted)"
"""What the kernel says behind the path of a zombie whose group was removed."""

Places = Mapping[str, str]
"""A path for each hierarchy, the root's left out: that is everybody's."""


@functools.lru_cache(1024)
def places(text: str) -> Places:
    """Reads /proc/PID/cgroup. Of a text that was cut off the last line is left out: half a path is another group's."""
    found: dict[str, str] = {}
    for line in text.split("\n")[:-1]:
        _, _, group = line.partition(":")
        found |= place(group)
    return {hierarchy: found[hierarchy] for hierarchy in TRACKING if hierarchy in found}


def place(cgroup: str) -> Places:
    """Of one group, as `innermost` names it."""
    hierarchy, _, path = cgroup.partition(":")
    path = path.removesuffix(_DELETED)
    # A group above the namespace's root is shown as `/..`, and contains the daemon as the root does.
    return {hierarchy: path} if path.strip("/.") else {}


def innermost(where: Places) -> str:
    """The group that says most, as `HIERARCHY:PATH`; empty for a process that is in none but the root."""
    deepest = max(where.items(), key=lambda each: each[1].count("/"), default=None)
    return "" if deepest is None else ":".join(deepest)


def within(where: Places, cgroup: str) -> bool:
    """Whether a process there is in that group, or in one below it."""
    hierarchy, _, path = cgroup.partition(":")
    return f"{where.get(hierarchy, '')}/".startswith(f"{path}/")
