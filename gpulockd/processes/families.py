"""Who belongs to whom, beyond death: an orphan loses its parent, not its past.

A process belongs to a holder if it is the holder, descends from it, is in the process session or process group that
the holder led, or in the control group that the holder had for itself. The kernel forgets descent when a parent dies,
so it is noted while it can be seen.

A control group says whose a process is only where it was made for one job. All workers of a Celery container are in
one, and all shells of a login: their GPUs would wait for each other's ends. So it counts for a holder only as long as
no other client was ever seen in it or below, nor the daemon itself, and only for younger processes that are no clients.
Even so that is a presumption, for a neighbour that never asked for a lock looks the same: nobody is ended for it. And
it holds nobody up for ever: who waits for a GPU has asked, and each look asks anew.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..core.model import Process, Tie
from . import cgroups, proc
from .cgroups import Places
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
    leads_session: bool = True
    leads_group: bool = True
    """Of one that was never seen, an earlier daemon's: the number of a session is the pid of who made it."""
    places: Places = field(default_factory=dict)
    """Its control groups."""
    descendants: set[Process] = field(default_factory=set)

    def led(self, stat: Stat) -> Tie:
        """How a process is in the session or the group that the head led."""
        if stat.start_time < self.head.start_time:
            return Tie.NONE
        if self.leads_session and stat.session == self.head.pid:
            tie = Tie.SESSION
        elif self.leads_group and stat.group == self.head.pid:
            tie = Tie.GROUP
        else:
            return Tie.NONE
        # While a session or group has members, no new process gets its number as pid: then it is another one's.
        leader = proc.stat(self.head.pid)
        return tie if leader is None or leader.start_time == self.head.start_time else Tie.NONE

    def prune(self) -> None:
        """Forgets descendants that have ended."""
        alive = set()
        for process in self.descendants:
            stat = proc.stat(process.pid)
            if stat is not None and stat.start_time == process.start_time:
                alive.add(process)
        self.descendants = alive


class Relative(NamedTuple):
    """A process that belongs to a head, and how that is known."""

    process: Process | None
    """None: it may belong to it, and must not be ended for that."""
    tie: Tie


class Families:
    """Families of the processes that are watched, and of those that were watched last."""

    def __init__(self, boot_id: str, past_limit: int = MAX_PAST_FAMILIES) -> None:
        self._boot_id = boot_id
        self._past_limit = past_limit
        self._present: dict[Process, Family] = {}
        self._past: OrderedDict[Process, Family] = OrderedDict()
        self._own_places = cgroups.places(proc.cgroup(os.getpid()))

    def note(self, process: Process, stat: Stat, cgroup: str = "") -> None:
        """Remembers what `process`, which is alive, leads, and where it is by the text of /proc/PID/cgroup."""
        family = self._past.pop(process, None) or Family(process)
        family.leads_session = stat.session == process.pid
        family.leads_group = stat.group == process.pid
        family.places = cgroups.places(cgroup)
        self._present[process] = family

    def retire(self, process: Process) -> None:
        """It is not watched any more; what it may have left behind stays known for a while."""
        if family := self._present.pop(process, None):
            self._remember(family)

    def observe(self, pids: Iterable[int], look: Look = proc.stat) -> None:
        """Remembers of which noted processes these descend, as far as `look` tells."""
        for pid in pids:
            lineage = _lineage(pid, look)
            for ancestor in lineage[1:]:
                process = self._process(ancestor)
                if family := self._present.get(process) or self._past.get(process):
                    self._adopt(family, self._process(lineage[0]))

    def members(self, head: Process, pids: Iterable[int], cgroup: str = "") -> dict[int, Relative]:
        """Those of `pids` that belong to `head`, alive or dead. `cgroup` is the one that it is known to have been in,
        should it never have been seen."""
        family = self._present.get(head) or self._past.pop(head, None) or Family(head, places=cgroups.place(cgroup))
        if head not in self._present:
            self._remember(family)
        look = functools.cache(proc.stat)
        found: dict[int, Relative] = {}
        for pid in pids:
            try:
                relative = self._member(family, pid, look) or self._neighbour(family, pid, look)
            except OSError:  # no descriptor was left to look with
                relative = Relative(None, Tie.UNKNOWN)
            if relative is not None:
                found[pid] = relative
        return found

    def _member(self, family: Family, pid: int, look: Look) -> Relative | None:
        lineage = [(self._process(stat), stat) for stat in _lineage(pid, look)]
        if not lineage:
            # Gone by /proc, and yet the driver has not let go of it.
            if pid == family.head.pid:
                return Relative(family.head, Tie.PROCESS)
            return next((Relative(known, Tie.DESCENT) for known in family.descendants if known.pid == pid), None)
        process = lineage[0][0]
        if process == family.head:
            return Relative(process, Tie.PROCESS)
        for ancestor, stat in lineage:
            is_ancestor = ancestor == family.head or ancestor in family.descendants
            if tie := Tie.DESCENT if is_ancestor else family.led(stat):
                self._adopt(family, process)
                return Relative(process, tie)
        return None

    def _neighbour(self, family: Family, pid: int, look: Look) -> Relative | None:
        """Nothing else is known of it than that it came into the control group that the head had for itself."""
        cgroup, stat = cgroups.innermost(family.places), look(pid)
        if not cgroup or stat is None or stat.start_time < family.head.start_time:
            return None
        process = self._process(stat)
        if process in self._present or process in self._past:
            return None
        if not cgroups.within(cgroups.places(proc.cgroup_surely(pid)), cgroup) or self._is_shared(cgroup, family, look):
            return None
        return Relative(None, Tie.CGROUP)

    def _is_shared(self, cgroup: str, family: Family, look: Look) -> bool:
        """Whether others than the family's own are clients from there, or were, as far back as that is known."""
        if cgroups.within(self._own_places, cgroup):
            return True
        return any(
            other is not family and cgroups.within(other.places, cgroup) and not self._is_of(family, other.head, look)
            for other in itertools.chain(self._present.values(), self._past.values())
        )

    def _is_of(self, family: Family, process: Process, look: Look) -> bool:
        stat = look(process.pid)
        if stat is None or stat.start_time != process.start_time:
            return process in family.descendants
        return self._member(family, process.pid, look) is not None

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
