"""How long it takes to start: the daemon until it is ready, and commands that do one thing."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.contenders import GPULOCK
from bench.servers import Daemon, Redis
from bench.stage import Stage
from gpulockd.evidence.statistics import quantile

READY, ONCE = "daemon, from exec to ready", "one command"
PLAIN, COMMAND, STATUS, IMPORT = "python -c pass", "gpulock -- true", "gpulockctl status", "import gpulock"
_BIN = Path(sys.executable).parent
_TIMED_IMPORT = """
import time
start = time.perf_counter()
from gpulock import acquire
print(time.perf_counter() - start)
"""


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:  # noqa: ARG001  # nobody else takes part
    path, times = stage.daemon.socket, 15 if plan.full else 5
    yield Cell(READY, GPULOCK, partial(ready, stage.daemon.leases))
    yield Cell(ONCE, PLAIN, partial(run, [sys.executable, "-c", "pass"], path, times))
    yield Cell(ONCE, COMMAND, partial(run, [str(_BIN / "gpulock"), "--", "true"], path, times))
    yield Cell(ONCE, STATUS, partial(run, [str(_BIN / "gpulockctl"), "status"], path, times))
    yield Cell(ONCE, IMPORT, partial(imported, times))


WORK = Work("startup", "Starting", cells, "ms", gpus=8)


def ready(leases: Redis) -> Metrics:
    """Of a daemon of its own, with eight GPUs, until it tells systemd that it is ready."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        began = time.monotonic()
        daemon = Daemon(Path(directory), leases, gpus=8, host="another")
        took = time.monotonic() - began
        daemon.stop()
    return {"ms": took * 1e3}


def run(command: Sequence[str], path: str, times: int) -> Metrics:
    took = []
    for _ in range(times):
        began = time.monotonic()
        subprocess.run(command, env={"GPULOCK_SOCKET": path, "PATH": "/usr/bin:/bin"}, check=True, capture_output=True)
        took.append((time.monotonic() - began) * 1e3)
    return {"ms": quantile(took, 0.5), "p90_ms": quantile(took, 0.9)}


def imported(times: int) -> Metrics:
    """In a new process each time, what `from gpulock import acquire` takes."""
    told = [
        subprocess.run([sys.executable, "-c", _TIMED_IMPORT], check=True, capture_output=True) for _ in range(times)
    ]
    took = [float(each.stdout) * 1e3 for each in told]
    return {"ms": quantile(took, 0.5), "p90_ms": quantile(took, 0.9)}
