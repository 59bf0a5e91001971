"""Who belongs to whom, beyond death: an orphan loses its parent, not its past.

A process belongs to a holder if it is the holder, descends from it, or is in the process session or process group
that the holder led. The kernel forgets descent when a parent dies, so it is noted while it can be seen.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..core.model import Process
from . import proc
from .proc import Stat

MAX_PAST_FAMILIES = 4096
MAX_ANCESTORS = 64
_DESCENDANTS_BEFORE_PRUNING = 64

Look = Callable[[int], Stat | None]
"""`proc.stat`, or what it said a moment ago: families share their ancestors."""


@dataclass(slots=True)
class Family:
    """What was seen of one process and its relatives."""

    head: Process
    leads_session: bool = False
    leads_group: bool = False
    descendants: set[Process] = field(default_factory=set)

    def led(self, stat: Stat) -> bool:
        """Whether a process is in the session or the group that the head led."""
        if stat.start_time < self.head.start_time or not (
            (self.leads_session and stat.session == self.head.pid) or (self.leads_group and stat.group == self.head.pid)
        ):
            return False
        # While a session or group has members, no new process gets its number as pid: then it is another one's.
        leader = proc.stat(self.head.pid)
        return leader is None or leader.start_time == self.head.start_time

    def prune(self) -> None:
        """Forgets descendants that have ended."""
        alive = set()
        for process in self.descendants:
            stat = proc.stat(process.pid)
            if stat is not None and stat.start_time == process.start_time:
                alive.add(process)
        self.descendants = alive


class Families:
    """Families of the processes that are watched, and of those that were watched last."""

    def __init__(self, boot_id: str, past_limit: int = MAX_PAST_FAMILIES) -> None:
        self._boot_id = boot_id
        self._past_limit = past_limit
        self._present: dict[Process, Family] = {}
        self._past: OrderedDict[Process, Family] = OrderedDict()

    def note(self, process: Process, stat: Stat) -> None:
        """Remembers what `process`, which is alive, leads."""
        family = self._past.pop(process, None) or Family(process)
        family.leads_session = stat.session == process.pid
        family.leads_group = stat.group == process.pid
        self._present[process] = family

    def retire(self, process: Process) -> None:
        """It is not watched any more; what it may have left behind stays known for a while."""
        if family := self._present.pop(process, None):
            self._remember(family)

    def observe(self, pids: Iterable[int]) -> None:
        """Remembers of which noted processes these descend."""
        look = functools.cache(proc.stat)
        for pid in pids:
            lineage = _lineage(pid, look)
            for ancestor in lineage[1:]:
                process = self._process(ancestor)
                if family := self._present.get(process) or self._past.get(process):
                    self._adopt(family, self._process(lineage[0]))

    def members(self, head: Process, pids: Iterable[int]) -> dict[int, Process | None]:
        """Those of `pids` that belong to `head`, alive or dead. None: it may; no descriptor was left to look with."""
        family = self._present.get(head) or self._past.pop(head, None) or Family(head)
        if head not in self._present:
            self._remember(family)
        look = functools.cache(proc.stat)
        found: dict[int, Process | None] = {}
        for pid in pids:
            try:
                process = self._member(family, pid, look)
            except OSError:
                found[pid] = None
            else:
                if process is not None:
                    found[pid] = process
        return found

    def _member(self, family: Family, pid: int, look: Look) -> Process | None:
        lineage = [(self._process(stat), stat) for stat in _lineage(pid, look)]
        if not lineage:
            # Gone by /proc, and yet the driver has not let go of it.
            return next((known for known in (family.head, *family.descendants) if known.pid == pid), None)
        process = lineage[0][0]
        for ancestor, stat in lineage:
            if ancestor == family.head or ancestor in family.descendants or family.led(stat):
                self._adopt(family, process)
                return process
        return None

    def _adopt(self, family: Family, process: Process) -> None:
        if process == family.head:
            return
        if len(family.descendants) >= _DESCENDANTS_BEFORE_PRUNING:
            family.prune()
        family.descendants.add(process)

    def _remember(self, family: Family) -> None:
        self._past[family.head] = family
        if len(self._past) > self._past_limit:
            self._past.popitem(last=False)

    def _process(self, stat: Stat) -> Process:
        return Process(stat.pid, stat.start_time, self._boot_id)


def _lineage(pid: int, look: Look) -> list[Stat]:
    """A process, its parent, and so on; empty if there is no such process."""
    found: list[Stat] = []
    while pid > 0 and len(found) < MAX_ANCESTORS and (stat := look(pid)) is not None:
        if found and stat.start_time > found[-1].start_time:
            # Nobody is younger than its child: the parent ended meanwhile, and another process got its pid.
            break
        found.append(stat)
        pid = stat.parent
    return found
