"""The chain of a lease's deadlines, as each party lives through it: who saw what, and when, in multiples of the TTL.

    python -m tests.faults.chain --ttl 15

Two hosts can reach the same GPU. The first has its lease and a holder that ignores SIGTERM; then its Redis dies, or
it is cut off from it, or it is frozen for one and a half TTLs, or its whole host is suspended for as long. All with
`redis.on_loss: revoke`; prints a table.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from demo.diary import now
from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.waiting import wait_until

from .site import TTL, Site, site
from .suspension import Suspension

END = 1.5
"""Of the TTL: how long it is looked at, and how long a daemon is frozen, or a host suspended."""
HOLDER = """
import gpulock, os, signal, sys, time
from demo.diary import now
def say(what):  # whole lines: a thread, a signal handler and SIGKILL may all come at once
    os.write(1, f"{what} {now()}\\n".encode())
signal.signal(signal.SIGTERM, lambda *_: say("SIGTERM"))
lock = gpulock.acquire(gpus=["0"], on_lost=lambda lock: say("lost"), socket=sys.argv[1])
say("got")
while True:
    time.sleep(3600)
"""
ROWS = {
    "late": ("first daemon", "warns", "0.4"),
    "last grant": ("newcomer at the first", "is granted a GPU for the last time", "< 0.55"),
    "refused": ("newcomer at the first", "is refused, `lease-unavailable`", "0.55"),
    "degraded": ("first daemon", "grants nothing any more, and says so", "0.55"),
    "told": ("holder", "hears `lost`", "0.55"),
    "SIGTERM": ("holder", "gets SIGTERM, and ignores it", "0.7"),
    "dead": ("holder", "is dead, by SIGKILL", "0.8"),
    "second": ("waiting client at the second host", "is granted the GPU, with a larger token", "> 1"),
}
"""Who, what, and when the design promises it, by the key that `Course.at` has it under."""


@dataclass
class Course:
    """What became of it."""

    title: str
    at: dict[str, float] = field(default_factory=dict)
    """When each thing happened first, by the key of its row, in multiples of the TTL since the last good renewal was
    sent. What did not happen is not in there."""
    tokens: tuple[int, int] = (0, 0)
    """Of the holder, and of the client at the second host."""
    late_grants: int = 0
    """How often the first host granted anything after it had refused to."""


@dataclass(frozen=True)
class Scene:
    """What trouble can come over."""

    at: Site
    host: Suspension
    """The first one."""
    daemon: Daemon
    holder: subprocess.Popen[str]


@dataclass(frozen=True)
class Trouble:
    title: str
    begin: Callable[[Scene], object]
    end: Callable[[Scene], object] = lambda _: None


def cut_off(scene: Scene) -> None:
    """Packets get lost: connections stay, and nothing comes through."""
    scene.at.proxy.loses_requests = scene.at.proxy.loses_replies = True


TROUBLES = {
    "dead": Trouble("Redis dead", lambda scene: scene.at.server.kill()),
    "cut off": Trouble("cut off from Redis", cut_off),
    "frozen": Trouble(
        f"frozen for {END} TTL",
        lambda scene: os.kill(scene.daemon.pid, signal.SIGSTOP),
        lambda scene: os.kill(scene.daemon.pid, signal.SIGCONT),
    ),
    "suspended": Trouble(
        f"suspended for {END} TTL",
        lambda scene: scene.host.begin(scene.holder.pid, scene.daemon.pid),
        lambda scene: scene.host.end(),
    ),
}


class Watched:
    """A course that is under way: threads note when they see what. All read one clock, CLOCK_BOOTTIME."""

    def __init__(self, title: str, ttl: float) -> None:
        self.course = Course(title)
        self.ttl = ttl
        self.zero = 0.0
        """When the last good renewal was sent; nothing is noted before."""
        self.over = threading.Event()

    def note(self, key: str, at: float) -> None:
        if self.zero:
            self.course.at.setdefault(key, (at - self.zero) / self.ttl)

    def ask_again_and_again(self, path: str) -> None:
        """A newcomer that takes a free GPU and lets it go."""
        with Frames(path, patience=3 * self.ttl) as frames:
            while not self.over.wait(0.01):
                try:
                    frames.call("acquire", gpus=["1"], wait_timeout=0)
                except WireError as error:
                    self.note("refused" if error.code == "lease-unavailable" else str(error), now())
                    continue
                granted = now()
                frames.call("release")
                if self.zero:
                    age = (granted - self.zero) / self.ttl
                    self.course.late_grants += "refused" in self.course.at
                    self.course.at["last grant"] = age

    def listen(self, frames: Frames) -> None:
        """Events of the first daemon."""
        kinds = {"lease.late": "late", "lease.degraded": "degraded"}
        while not self.over.is_set():
            try:
                event = frames.notified("event")
            except TimeoutError:
                continue
            except (EOFError, OSError):
                return
            if event["kind"] in kinds:
                self.note(kinds[event["kind"]], now())

    def wait_elsewhere(self, path: str) -> None:
        """A client of the second host, that wants what the holder at the first has."""
        with Frames(path, patience=END * self.ttl) as frames, contextlib.suppress(WireError, TimeoutError):
            token = frames.call("acquire", gpus=["0"], wait_timeout=END * self.ttl)["token"]
            self.note("second", now())
            self.course.tokens = (self.course.tokens[0], token)

    def bury(self, holder: subprocess.Popen[str]) -> None:
        holder.wait()
        self.note("dead", now())

    def read(self, holder: subprocess.Popen[str]) -> None:
        """What the holder wrote down before it died."""
        assert holder.stdout is not None
        for line in holder.stdout:
            what, at = line.split()
            self.note("told" if what == "lost" else what, float(at))


def run(trouble: Trouble, ttl: float = TTL) -> Course:
    """Lets one trouble come over two hosts."""
    watched = Watched(trouble.title, ttl)
    polling: dict[str, object] = {
        "gpu_lock.poll_interval": 0.05,
        "gpu_lock.max_poll_interval": 0.05,
        "gpu_lock.use_event_driven": False,
    }
    with contextlib.ExitStack() as stack:
        at = stack.enter_context(site(ttl))
        host = Suspension(at.directory)
        first = at.host("first", settings={"redis.on_loss": "revoke"})
        first.under = host.under
        first.start()
        holder = processes.start([*host.under, sys.executable, "-c", HOLDER, first.socket])
        stack.callback(processes.end, holder)
        assert holder.stdout is not None
        assert holder.stdout.readline().startswith("got"), "the holder holds"
        watched.course.tokens = (first.status()["locks"][0]["token"], 0)
        second = at.host("second", url=at.server.url, settings=polling)
        second.start()
        threads = stack.enter_context(ThreadPoolExecutor())
        stack.callback(watched.over.set)
        watching = stack.enter_context(Frames(first.socket, patience=0.2))
        watching.call("watch")
        jobs = [
            threads.submit(watched.ask_again_and_again, first.socket),
            threads.submit(watched.listen, watching),
            threads.submit(watched.wait_elsewhere, second.socket),
            threads.submit(watched.bury, holder),
        ]
        watched.zero = just_renewed(first)
        scene = Scene(at, host, first, holder)
        trouble.begin(scene)
        try:
            rest(watched.zero + END * ttl - now())
        finally:
            trouble.end(scene)
        wait_until(lambda: "refused" in watched.course.at, "the newcomer is refused", within=ttl)
        wait_until(jobs[3].done, "the holder is dead", within=ttl)
        watched.over.set()
        for job in jobs:
            job.result(2 * ttl)
        watched.read(holder)
    return watched.course


def just_renewed(daemon: Daemon) -> float:
    """Waits for a renewal, and returns when it was sent."""
    with Frames(daemon.socket) as frames:

        def sent() -> float:
            age: float = frames.call("status")["lease"]["age"]
            return now() - age if age < 0.1 else 0.0

        return wait_until(sent, "the lease is renewed")


def rest(seconds: float) -> None:
    """It is the trouble that takes so long."""
    threading.Event().wait(max(0.0, seconds))


def run_all(ttl: float = TTL) -> dict[str, Course]:
    """All troubles at once."""
    with ThreadPoolExecutor() as threads:
        running = {name: threads.submit(run, trouble, ttl) for name, trouble in TROUBLES.items()}
        return {name: course.result() for name, course in running.items()}


def table(courses: dict[str, Course]) -> Iterator[str]:
    """In Markdown."""
    yield f"| who | what | promised | {' | '.join(course.title for course in courses.values())} |"
    yield "|---" * (3 + len(courses)) + "|"
    for key, (who, what, promised) in ROWS.items():
        seen = (f"{course.at[key]:.2f}" if key in course.at else "never" for course in courses.values())
        yield f"| {who} | {what} | {promised} | {' | '.join(seen)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--ttl", type=float, default=TTL, help="seconds")
    print("\n".join(table(run_all(parser.parse_args().ttl))))


if __name__ == "__main__":
    main()
