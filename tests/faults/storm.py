"""A storm: a daemon under load and its workers, killed with SIGKILL again and again; everything goes into diaries.

    python -m tests.faults.storm --rounds 200 --seed 7 /tmp/storm && ls /tmp/storm/diaries
    python -m tests.faults.storm --workers 50 --gpus 8 --each 500 --lull 1.5 --judge /tmp/storm

Each round kills a worker, the daemon, or both, at a random moment; many workers bear a fate besides, that kills
them or the daemon within microseconds of a request. Daemon and workers are forked from this one process, which
has loaded their modules: a start takes milliseconds, and hundreds of rounds a minute. What it leaves is for
`demo.history` to judge.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import math
import os
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import gpulock.aio
import gpulock.sync
import gpulockd.app
from demo.diary import Diary, read
from demo.history import DAEMON, Verdict, judge
from gpulockd.__main__ import main as gpulockd_main
from tests.support.frames import Frames
from tests.support.processes import end_with_parent

from .worker import PATIENCE, Worker

LOADED_BEFORE_THE_FORK = (gpulock.aio, gpulock.sync, gpulockd.app)
GPUS = 3
WORKERS = 6
LONGEST_LULL = 0.5
"""Seconds between two rounds, most of the time: in them work goes on, and locks outlast daemons."""
LONGEST_GUST = 0.02
"""Between the others: daemons die that have not started yet, and clients that have not been answered."""
# The grace is longer than any storm: a lock that its owner has forgotten must not be cleared away by time. Clients look
# for their daemon often: one lives for a fraction of a second here, and by default they may pause for ten.
CONFIG = """\
gpu_lock: {{poll_interval: 0.05, max_poll_interval: 0.5}}
daemon: {{socket: {directory}/gpulockd.sock, state_dir: {directory}/state, reattach_grace: 600}}
http: {{port: 0}}
inventory: {{simulate: {gpus}}}
redis: {{url: "{redis}"}}
"""


class Storm:
    def __init__(
        self,
        directory: Path,
        seed: int,
        redis: str = "",
        *,
        gpus: int = GPUS,
        crew: int = WORKERS,
        lull: float = LONGEST_LULL,
    ) -> None:
        """`redis`: the URL of a server for the leases; none: the lease is a kernel lock. `crew`: workers at a time.
        `lull`: the longest one, in seconds."""
        self.directory = directory
        self.seed = seed
        self.gpus = gpus
        self.crew = crew
        self.lull = lull
        self.chance = random.Random(f"{seed}")
        self.socket = str(directory / "gpulockd.sock")
        self.diaries = directory / "diaries"
        self.diaries.mkdir(parents=True)
        self.diary = Diary(self.diaries, "storm")
        self.log = directory / "gpulockd.log"
        self.config = directory / "config.yml"
        self.config.write_text(CONFIG.format(directory=directory, gpus=gpus, redis=redis))
        self.workers: dict[int, tuple[int, str]] = {}
        """Process id and name of each, by pidfd."""
        self.born = 0
        self.daemon: tuple[int, int] | None = None
        """Pidfd and process id."""
        self.answers = False
        """Whether the present daemon has answered yet."""
        self.worker_deaths = self.daemon_deaths = 0

    # The storm

    def rage(self, rounds: int, each: int) -> None:
        """Until so many workers and daemons were killed together, and `each` of either kind."""
        self.start_daemon()
        self.await_daemon()
        for _ in range(self.crew):
            self.start_worker()
        while self.worker_deaths + self.daemon_deaths < rounds or min(self.worker_deaths, self.daemon_deaths) < each:
            longest = self.chance.choice((self.lull, self.lull, LONGEST_GUST))
            if longest == self.lull:  # which begins with the daemon, however long this machine takes to start one
                self.await_daemon()
            self.attend(self.chance.uniform(0, longest))
            victims = self.chance.choice(("worker", "worker", "daemon", "both"))
            if victims != "worker":
                self.kill_daemon()
            if victims != "daemon":
                self.kill_worker()

    def calm(self) -> None:
        """Lets everybody finish, and sees whether everything is free then."""
        for pid, _ in self.workers.values():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 2 * PATIENCE
        while self.workers or not self.answers:
            if time.monotonic() > deadline:
                names = ", ".join(name for _, name in self.workers.values())
                raise TimeoutError(f"not finished: {names}; the daemon answers: {self.answers}")
            self.attend(0.05, replace=False)
        last = Diary(self.diaries, "last")
        last.write("want", gpus=self.gpus, wait=PATIENCE, expect="granted")
        with Frames(self.socket, patience=2 * PATIENCE) as frames:
            grant = frames.call("acquire", gpus=self.gpus, wait_timeout=PATIENCE)
            last.write("got", lock=grant["lock"], token=grant["token"], gpus=[gpu["index"] for gpu in grant["gpus"]])
            last.write("leaving", token=grant["token"], lost=None, away=False)
            frames.call("release")
        last.write("left", token=grant["token"])
        last.write("done")

    # Time passes

    def attend(self, seconds: float, *, replace: bool = True) -> None:
        """Waits, and meanwhile notices who has died and puts another one in its place."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            poll = select.poll()
            for pidfd in (*self.workers, *((self.daemon[0],) if self.daemon else ())):
                poll.register(pidfd, select.POLLIN)
            for pidfd, _ in poll.poll(1000 * (left if self.answers else min(left, 0.002))):
                if pidfd in self.workers:
                    self.bury_worker(pidfd)
                    if replace:
                        self.start_worker()
                else:
                    self.bury_daemon()
                    self.start_daemon()
            if not self.answers:
                self.look_for_daemon()

    def await_daemon(self) -> None:
        while not self.answers:
            self.attend(0.01)

    def look_for_daemon(self) -> None:
        with contextlib.suppress(OSError, EOFError), Frames(self.socket, patience=0.5) as frames:
            frames.call("queue")
            self.answers = True
            self.diary.write("up")

    # Workers

    def start_worker(self) -> None:
        self.born += 1
        name = f"worker-{self.born:04}"

        def live() -> None:
            os.environ["GPULOCK_SOCKET"] = self.socket
            Worker(Diary(self.diaries, name), random.Random(f"{self.seed}/{name}"), self.gpus).live()

        pid = fork(live, self.directory / f"{name}.log")
        self.workers[os.pidfd_open(pid)] = pid, name

    def kill_worker(self) -> None:
        pidfd = self.chance.choice(sorted(self.workers))
        pid, name = self.workers[pidfd]
        self.diary.write("kills", victim=name)
        os.kill(pid, signal.SIGKILL)

    def bury_worker(self, pidfd: int) -> None:
        pid, name = self.workers.pop(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        self.worker_deaths += os.WIFSIGNALED(status)
        log = self.directory / f"{name}.log"
        if log.stat().st_size == 0:
            log.unlink()

    # The daemon

    def start_daemon(self) -> None:
        pid = fork(lambda: sys.exit(gpulockd_main(["--config", str(self.config)])), self.log)
        self.daemon = os.pidfd_open(pid), pid
        self.answers = False

    def kill_daemon(self) -> None:
        assert self.daemon is not None
        self.diary.write("kills", victim=DAEMON)
        os.kill(self.daemon[1], signal.SIGKILL)

    def bury_daemon(self) -> None:
        assert self.daemon is not None
        pidfd, pid = self.daemon
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        self.diary.write("down")
        self.daemon = None
        if not os.WIFSIGNALED(status):
            raise ChildProcessError(
                f"the daemon ended with {os.waitstatus_to_exitcode(status)}:\n{self.log.read_text()[-4000:]}"
            )
        self.daemon_deaths += 1

    def end(self) -> None:
        """Ends whoever still lives."""
        pids = [pid for pid, _ in self.workers.values()] + ([self.daemon[1]] if self.daemon else [])
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def fork(live: Callable[[], object], log: Path) -> int:
    """A child that does nothing but `live`, and says it into `log`. Returns its pid."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    if pid := os.fork():
        os.close(descriptor)
        return pid
    code = 1
    try:
        end_with_parent()
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        live()
        code = 0
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 0 if done.code is None else 1
    except BaseException:  # noqa: BLE001  # nothing of this process may run on in the child
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def table(verdict: Verdict, storm: Storm, took: float) -> Iterator[str]:
    """In Markdown."""
    found = {
        "workers at a time, GPUs": f"{storm.crew}, {storm.gpus}",
        "daemons killed": storm.daemon_deaths,
        "workers killed": storm.worker_deaths,
        "locks held": verdict.holds,
        "of them over the death of a daemon": verdict.outlasted,
        "of those confirmed by the next daemon": verdict.confirmed,
        "workers killed while they held": verdict.killed_holding,
        "of them whose GPUs others got later": verdict.passed_on,
        "overlaps, lost locks, tokens that fell, requests gone wrong": len(verdict.findings),
        "seconds": f"{took:.0f}",
    }
    yield "| what | how many |"
    yield "|---|---|"
    for what, count in found.items():
        yield f"| {what} | {count} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rounds", type=int, default=0, help="workers and daemons to kill, together at the least")
    parser.add_argument("--each", type=int, help="of either kind at the least; default: a third of the rounds")
    parser.add_argument("--workers", type=int, default=WORKERS, help="how many there are at a time")
    parser.add_argument("--gpus", type=int, default=GPUS, help="how many there are")
    parser.add_argument("--lull", type=float, default=LONGEST_LULL, help="seconds between two rounds at the most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--redis", default="", help="URL of a server for the leases")
    parser.add_argument("--judge", action="store_true", help="say what the diaries prove; exit status 1: a finding")
    options = parser.parse_args()
    storm = Storm(
        options.directory, options.seed, options.redis, gpus=options.gpus, crew=options.workers, lull=options.lull
    )
    gc.freeze()  # what is loaded by now is never collected in a child
    began = time.monotonic()
    try:
        storm.rage(options.rounds, math.ceil(options.rounds / 3) if options.each is None else options.each)
        storm.calm()
    finally:
        storm.end()
    took = time.monotonic() - began
    print(
        f"seed {options.seed}: {storm.worker_deaths} workers and {storm.daemon_deaths} daemons killed in {took:.1f} s"
    )
    if not options.judge:
        return 0
    verdict = judge(read(storm.diaries))
    print("\n".join(table(verdict, storm, took)))
    for finding in verdict.findings:
        print(finding, file=sys.stderr)
    leaked = verdict.killed_holding - verdict.passed_on
    if leaked:
        print(f"{leaked} workers were killed whose GPUs nobody got later", file=sys.stderr)
    return 0 if verdict.good and not leaked else 1


if __name__ == "__main__":
    sys.exit(main())
