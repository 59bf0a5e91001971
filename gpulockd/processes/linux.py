"""Processes through pidfds: the kernel's own word on who is alive, without polling and safe from reused pids."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from signal import pidfd_send_signal

from ..core.events import ProcessExited
from ..core.model import GpuProcess, Owner, Process
from ..ports import Clock, Post, StartupRefused
from . import cgroups, proc
from .container import container
from .families import Families, Look
from .proc import Stat
from .users import Users


@dataclass(slots=True)
class Watched:
    """One process that is watched, however many sessions it has."""

    process: Process
    pidfd: int
    """-1 once the process has ended."""
    container: str
    cgroup: str
    watchers: int = 0


class LinuxProcesses:
    """Implements `ports.Processes`. To be used on a running event loop's thread.

    `post` hears of each watched process that ends, once. `is_admin` tells administrators by uid and user name.
    Raises `StartupRefused` where the kernel has no pidfds.
    """

    def __init__(self, post: Post, clock: Clock, is_admin: Callable[[int, str], bool]) -> None:
        self._post = post
        self._boot_id = clock.boot_id
        self._is_admin = is_admin
        self._users = Users(clock)
        self._families = Families(clock.boot_id)
        self._watched: dict[Process, Watched] = {}
        self._by_pid: dict[int, Watched] = {}
        self._named: dict[int, Process] = {}
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError as error:
            raise StartupRefused(
                f"this kernel does not open process descriptors: {error.strerror}",
                "run on Linux 5.3 or newer, and let seccomp filters pass pidfd_open and pidfd_send_signal",
            ) from error

    def identify(self, pid: int, uid: int, gid: int, pidfd: int | None) -> Owner:
        """Who a peer is. Takes over `pidfd`, opens one where there is none, and watches the process.

        The start time is 0 for a peer that this daemon cannot see (of another pid namespace, or hidden by /proc's
        `hidepid`): such a one is not watched. Pair each call with one `forget`.
        Raises `ConnectionAbortedError` for a peer that has ended already, though a child of it may hold the socket,
        and `OSError` where no descriptor is left.
        """
        user = self._users.name(uid)
        try:
            watched = self._watch_peer(pid, pidfd)
        except ProcessLookupError as error:
            raise ConnectionAbortedError(errno.ESRCH, f"process {pid} connected and has ended") from error
        return Owner(
            process=watched.process if watched else Process(pid, 0, self._boot_id),
            uid=uid,
            gid=gid,
            user=user,
            command=proc.command(pid) if watched else "",
            container=watched.container if watched else "",
            admin=self._is_admin(uid, user),
            cgroup=watched.cgroup if watched else "",
        )

    def watch(self, process: Process) -> bool:
        """Posts `ProcessExited` when it ends, if it can be seen. False: it has already. Pair each call that
        does not raise with one `forget`. Raises `OSError` where no descriptor is left."""
        if self._is_unseen(process):
            return True
        watched = self._watched.get(process)
        if watched is None:
            if (opened := self._open(process)) is None:
                return False
            watched = self._start(process, *opened)
        watched.watchers += 1
        return watched.pidfd >= 0

    def forget(self, process: Process) -> None:
        """One watcher less. Nothing to do for a process that is not watched."""
        watched = self._watched.get(process)
        if watched is None:
            return
        watched.watchers -= 1
        if watched.watchers == 0:
            self._stop(watched)
            del self._watched[process]
            self._families.retire(process)

    def alive(self, process: Process) -> bool:
        """A zombie is not. One that cannot be seen may be."""
        if self._is_unseen(process):
            return True
        if watched := self._watched.get(process):
            return watched.pidfd >= 0 and not _ended(watched.pidfd)
        if (opened := self._open(process)) is None:
            return False
        os.close(opened[0])
        return True

    def signal(self, process: Process, signal: int) -> None:
        """Raises `PermissionError`, also for a process that cannot be seen, or `ProcessLookupError` where it has
        ended."""
        if self._is_unseen(process):
            raise PermissionError("it is not to be seen from the daemon's pid namespace")
        if watched := self._watched.get(process):
            if watched.pidfd < 0 or _ended(watched.pidfd):
                raise ProcessLookupError(f"process {process.pid} has ended")
            pidfd_send_signal(watched.pidfd, signal)
            return
        if (opened := self._open(process)) is None:
            raise ProcessLookupError(f"process {process.pid} has ended")
        pidfd, _ = opened
        try:
            pidfd_send_signal(pidfd, signal)
        finally:
            os.close(pidfd)

    def kin(self, holder: Owner, others: Sequence[GpuProcess]) -> tuple[GpuProcess, ...] | None:
        """Those of `others` that belong to `holder`, with what ties them to it: itself, its descendants, and who is
        in the session or group that it led, or came into the control group that it had for itself. What it led and who
        descended from it is known of a dead one if it was seen alive. Whoever cannot be looked at for want of a
        descriptor may belong to it, and is named too. None where the holder cannot be seen, and so nobody can say whose
        `others` are."""
        process = holder.process
        self._named = {}
        if process.boot_id != self._boot_id or not others:
            return ()
        if self._is_unseen(process):
            return None
        members = self._families.members(process, [other.pid for other in others], holder.cgroup)
        self._named = {pid: process for pid, (process, _) in members.items() if process is not None}
        return tuple(replace(other, tie=members[other.pid].tie) for other in others if other.pid in members)

    def end(self, stray: GpuProcess, signal: int) -> None:
        """Signals a process that the last `kin` was sure of, and no later one with its pid. One that has ended, or
        that this daemon has no right to signal, stays as it is."""
        if process := self._named.get(stray.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self.signal(process, signal)

    def annotate(self, processes: Sequence[GpuProcess]) -> tuple[GpuProcess, ...]:
        """The same, with start time, user, command and container where /proc tells. Notes descent on the way: see
        `kin`."""
        look = functools.cache(proc.stat)
        with contextlib.suppress(OSError):
            self._families.observe((process.pid for process in processes), look)
        return tuple(self._annotated(process, look) for process in processes)

    def close(self) -> None:
        for watched in self._watched.values():
            self._stop(watched)
        self._watched.clear()

    def _watch_peer(self, pid: int, pidfd: int | None) -> Watched | None:
        """Watches the process behind a connection; None where it cannot be seen.

        Raises `ProcessLookupError` where it has ended.
        """
        watched = self._by_pid.get(pid)
        if watched and not _ended(watched.pidfd) and (pidfd is None or not _ended(pidfd)):
            # Alive, and with the same pid: the same process.
            if pidfd is not None:
                os.close(pidfd)
        else:
            if pidfd is None and pid > 0 and (pidfd := _open_pidfd(pid)) is None:
                raise ProcessLookupError(f"process {pid} has ended")
            if pidfd is None or (stat := _stat_or_close(pidfd, pid)) is None:
                return None
            watched = self._start(Process(pid, stat.start_time, self._boot_id), pidfd, stat)
        watched.watchers += 1
        return watched

    def _is_unseen(self, process: Process) -> bool:
        return process.start_time == 0 and process.boot_id == self._boot_id

    def _open(self, process: Process) -> tuple[int, Stat] | None:
        """A pidfd of exactly this process, alive; None where it has ended."""
        if process.boot_id != self._boot_id:
            return None
        pidfd = _open_pidfd(process.pid)
        try:
            if pidfd is None or (stat := _stat_or_close(pidfd, process.pid)) is None:
                return None
        except ProcessLookupError:
            return None
        if stat.start_time != process.start_time:
            os.close(pidfd)
            return None
        return pidfd, stat

    def _start(self, process: Process, pidfd: int, stat: Stat) -> Watched:
        cgroup = proc.cgroup(process.pid)
        watched = Watched(process, pidfd, container(cgroup), cgroups.innermost(cgroups.places(cgroup)))
        try:
            asyncio.get_running_loop().add_reader(pidfd, self._exited, watched)
        except OSError:
            os.close(pidfd)
            raise
        self._families.note(process, stat, cgroup)
        self._watched[process] = self._by_pid[process.pid] = watched
        return watched

    def _exited(self, watched: Watched) -> None:
        self._stop(watched)
        self._post(ProcessExited(watched.process))

    def _stop(self, watched: Watched) -> None:
        if watched.pidfd < 0:
            return
        asyncio.get_running_loop().remove_reader(watched.pidfd)
        os.close(watched.pidfd)
        watched.pidfd = -1
        if self._by_pid.get(watched.process.pid) is watched:
            del self._by_pid[watched.process.pid]

    def _annotated(self, process: GpuProcess, look: Look) -> GpuProcess:
        uid = proc.effective_uid(process.pid)
        if uid is None:
            return process
        return replace(
            process,
            start_time=_start_time(process.pid, look),
            user=self._users.name(uid),
            command=proc.command(process.pid),
            container=container(proc.cgroup(process.pid)),
        )


def _start_time(pid: int, look: Look) -> int:
    """0 where it cannot be told."""
    try:
        stat = look(pid)
    except OSError:
        return 0
    return stat.start_time if stat is not None else 0


def _open_pidfd(pid: int) -> int | None:
    if pid <= 0:
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _stat_or_close(pidfd: int, pid: int) -> Stat | None:
    """What /proc says of the living process of `pidfd`; closes `pidfd` where that is not to be had.

    Raises `ProcessLookupError` where the process has ended.
    """
    stat = None
    try:
        found = proc.stat(pid)
        # If it is alive after /proc was read, nobody else had its pid then.
        if _ended(pidfd):
            raise ProcessLookupError(f"process {pid} has ended")
        stat = found
    finally:
        if stat is None:
            os.close(pidfd)
    return stat


def _ended(pidfd: int) -> bool:
    """Whether the process has ended, reaped or not: its pidfd is readable from then on."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
