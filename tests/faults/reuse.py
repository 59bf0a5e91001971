"""Gives a pid away: a machine of its own, in which the next process gets whatever pid one likes.

    unshare --pid --fork --mount-proc --kill-child python -m tests.faults.reuse DIRECTORY

A worker holds a lock and dies; another process has its pid at once, and knows its key and the name of its lock. It must
get nothing of that, and be granted the GPU like everybody else. Prints what the impostor was told, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.waiting import wait_until

KEY = "the key of the one who died"
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


class Child:
    """A forked process that does one thing, says what came of it, and stays until it is killed."""

    def __init__(self, pid: int, come: int) -> None:
        self.pid = pid
        self._come = os.fdopen(come, "r")

    @classmethod
    def doing(cls, work: Callable[[], Any], pid: int | None = None) -> Child:
        """`pid`: which it is to have."""
        while True:
            if pid is not None:
                LAST_PID.write_text(str(pid - 1))
            come, go = os.pipe()
            child = os.fork()
            if child == 0:
                if pid in (None, os.getpid()):
                    os.write(go, json.dumps(work()).encode() + b"\n")
                    signal.pause()
                os._exit(0)
            os.close(go)
            if pid in (None, child):
                return cls(child, come)
            os.close(come)
            os.waitpid(child, 0)

    def said(self) -> Any:
        return json.loads(self._come.readline())

    def die(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._come.close()


def take(socket: str) -> Callable[[], Any]:
    """Holds a lock until it dies."""

    def work() -> Any:
        client = Frames(socket)
        _open.append(client)
        client.call("hello", reattach=KEY)
        return client.call("acquire")

    return work


_open: list[Frames] = []
"""Connections that end with their process."""


def pose(socket: str, lock: str) -> Callable[[], Any]:
    """Says everything that the dead one could have said."""

    def work() -> Any:
        with Frames(socket) as client:
            welcome = client.call("hello", reattach=KEY)
            answers = []
            for method in ("release", "extend", "beat"):
                with contextlib.suppress(WireError):
                    client.call(method, lock=lock, **({"max_hold": 60} if method == "extend" else {}))
                    answers.append(method)
            return {
                "pid": os.getpid(),
                "locks": welcome["locks"],
                "obeyed": answers,
                "granted": client.call("acquire", wait_timeout=20),
            }

    return work


def while_the_daemon_runs(daemon: Daemon) -> dict[str, Any]:
    holder = Child.doing(take(daemon.socket))
    lock = holder.said()
    holder.die()
    impostor = Child.doing(pose(daemon.socket, lock["lock"]), holder.pid)
    said = impostor.said()
    impostor.die()
    return {"was": {"pid": holder.pid, "token": lock["token"]}, "is": said}


def while_the_daemon_is_away(daemon: Daemon) -> dict[str, Any]:
    """The next daemon finds the lock in its journal, and a living process with the owner's pid."""
    holder = Child.doing(take(daemon.socket))
    lock = holder.said()
    daemon.kill()
    holder.die()

    def wait_and_pose() -> Any:
        wait_until(lambda: _listens(daemon.socket), "the next daemon listens")
        return pose(daemon.socket, lock["lock"])()

    impostor = Child.doing(wait_and_pose, holder.pid)
    daemon.start()
    said = impostor.said()
    impostor.die()
    return {"was": {"pid": holder.pid, "token": lock["token"]}, "is": said}


def _listens(socket: str) -> bool:
    try:
        Frames(socket).close()
    except OSError:
        return False
    return True


def main() -> None:
    with Daemon(Path(sys.argv[1]), simulate=1) as daemon:
        print(json.dumps([while_the_daemon_runs(daemon), while_the_daemon_is_away(daemon)]))


if __name__ == "__main__":
    main()
