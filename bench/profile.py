"""`python -m bench.profile`: where the microseconds of a cycle go, in the client and in the daemon.

The daemon has a core for itself: where they share one, whoever is preempted would seem to be at work. py-spy looks at
who has the interpreter, many times a second, and every look counts for the innermost part of ours that is on the stack:
what that part calls, in C or in a library, is its own cost. The looks share out the user time that the process took
for a cycle while nobody looked; most system calls are made without the interpreter, and are the kernel's row.
"""

from __future__ import annotations

import argparse
import collections
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from bench.contenders import CONTENDERS, GPULOCK
from bench.locks import Lock
from bench.placement import cpus, move, others, placed
from bench.stage import Stage
from bench.workers import Told, Worker
from gpulockd.evidence.bench.programs import Missing

RATE = 500
"""Looks a second."""
SMALL = 0.02
"""Parts with a smaller share are put together."""
_FRAME = re.compile(r"\((?:[^;()]*/)?(gpulockd|gpulock)/([\w/]+)\.py(?::\d+)?\)")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Where a cycle's microseconds go.")
    parser.add_argument("--seconds", type=float, default=10.0, help="of looking at each process")
    try:
        tables = profile(parser.parse_args().seconds)
    except Missing as error:
        print(error, file=sys.stderr)
        return 1
    print("\n\n".join(table(who, parts) for who, parts in tables.items()))
    return 0


def profile(seconds: float) -> dict[str, Mapping[str, float]]:
    """For client and daemon the CPU microseconds of a cycle, by part. Raises `Missing`."""
    spy = Path(sys.executable).with_name("py-spy")
    if not spy.exists():
        raise Missing(f"there is no {spy}: `make bench-quick` installs it beside the peers")
    with Stage() as stage:
        lock = CONTENDERS[GPULOCK](stage)
        daemon = stage.daemon.pid
        with placed("free", stage.pids):
            move(stage.pids, cpus("one core"))
            worker = Worker(_cycle, lock, seconds, 3 * seconds + 30)
            try:
                move([worker.pid], others())
                worker.hear()
                pids = {"client": worker.pid, "daemon": daemon}
                before = {who: psutil.Process(pid).cpu_times() for who, pid in pids.items()}
                cycles = worker.hear(seconds + 30)
                after = {who: psutil.Process(pid).cpu_times() for who, pid in pids.items()}
                found: dict[str, Mapping[str, float]] = {}
                for who, pid in pids.items():
                    user = (after[who].user - before[who].user) / cycles * 1e6
                    kernel = (after[who].system - before[who].system) / cycles * 1e6
                    found[who] = {**_shared(user, _looks(_stacks(spy, pid, seconds))), "kernel": kernel}
                return found
            finally:
                worker.end()


def _cycle(told: Told, lock: Lock, seconds: float, longer: float) -> None:
    lock.open()
    _loop(lock, 0.2)
    told.send("warm")
    told.send(_loop(lock, seconds))
    _loop(lock, longer)


def _loop(lock: Lock, seconds: float) -> int:
    cycles, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        lock.acquire()
        lock.release()
        cycles += 1
    return cycles


def _stacks(spy: Path, pid: int, seconds: float) -> list[str]:
    """Each line one stack, outermost first, and how often it was seen."""
    with tempfile.TemporaryDirectory() as directory:
        found = Path(directory) / "stacks"
        what = ["--pid", str(pid), "--rate", str(RATE), "--duration", str(round(seconds))]
        command = [str(spy), "record", *what, "--gil", "--nonblocking", "--format", "raw", "--output", str(found)]
        subprocess.run(command, check=True, capture_output=True)
        return found.read_text().splitlines()


def _looks(stacks: Iterable[str]) -> Mapping[str, int]:
    looks: collections.Counter[str] = collections.Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        ours = _FRAME.findall(stack)
        looks["/".join(ours[-1]) if ours else "event loop"] += int(count)
    return looks


def _shared(whole: float, looks: Mapping[str, int]) -> Mapping[str, float]:
    total = sum(looks.values())
    return {part: whole * count / total for part, count in looks.items()}


def table(who: str, parts: Mapping[str, float]) -> str:
    """Markdown; the largest part first."""
    cycle = sum(parts.values())
    large = {part: micros for part, micros in parts.items() if micros >= SMALL * cycle}
    rows = sorted(large.items(), key=lambda row: -row[1])
    if len(large) < len(parts):
        rows.append((f"{len(parts) - len(large)} smaller ones", cycle - sum(large.values())))
    lines = [f"| {who}, {cycle:.0f} µs of CPU a cycle | µs | share |", "|---|---|---|"]
    lines += [f"| {part} | {micros:.1f} | {micros / cycle:.0%} |" for part, micros in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
