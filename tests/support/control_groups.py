"""Control groups of a test's own, with real processes in them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .lacking import lacks
from .waiting import wait_until


def cgroup2() -> Path | None:
    """The part of the unified hierarchy that this process is in, if it may make groups there."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    roots = [Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"]
    own = [line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    if not roots or not own:
        return None
    place = roots[0] / own[0].lstrip("/")
    return place if os.access(place, os.W_OK) and place.is_dir() else None


class ControlGroup:
    """A group below the one that the tests run in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def below(self, name: str) -> ControlGroup:
        return ControlGroup(self.path / name)

    def runs(self, *command: str) -> list[str]:
        """What runs `command` in it, from its first instruction on, as a container's runtime does."""
        return ["sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', str(self.path), *command]

    def remove(self) -> None:
        """Ends whatever is left in it, and removes it."""
        if self.path.exists():
            (self.path / "cgroup.kill").write_text("1")
            wait_until(self._removed, f"everything in {self.path} has ended")

    def _removed(self) -> bool:
        with contextlib.suppress(OSError):  # a process may take a moment to die
            for directory, _, _ in os.walk(self.path, topdown=False):
                Path(directory).rmdir()
        return not self.path.exists()


@contextlib.contextmanager
def control_group(name: str = "job") -> Iterator[ControlGroup]:
    """Skips the test where none can be made."""
    place = cgroup2()
    if place is None or os.geteuid():
        lacks("control groups can be made by root alone, and where a cgroup2 is mounted")
    group = ControlGroup(place / f"gpulockd-{name}-{os.getpid()}")
    try:
        yield group
    finally:
        group.remove()
