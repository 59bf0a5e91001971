"""`make gpu-check`: a real daemon, real workers, and the real driver of this machine.

One line for each check. Exit code 1 if one fails; 0 otherwise, also where there is no NVIDIA GPU, which it then
says aloud. It takes 256 MiB on one GPU, at most twice at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "client")]  # a bare checkout will do
os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:2], os.environ.get("PYTHONPATH", "")])

import gpulock  # noqa: E402
from gpulock.documents import GpuView, ProcessView, QuarantineView  # noqa: E402
from gpulockd.inventory.nvidia import NvmlInventory  # noqa: E402
from gpulockd.ports import StartupRefused  # noqa: E402
from tests.support import nvidia_machine, processes  # noqa: E402
from tests.support.daemon import Daemon  # noqa: E402
from tests.support.gpu_worker import MEMORY  # noqa: E402
from tests.support.nvidia_machine import Skipped  # noqa: E402
from tests.support.waiting import PATIENCE, wait_until  # noqa: E402

FIRST_USE = 60.0
"""Seconds that the first CUDA program may take: it wakes every card of the machine."""
HANDOVER = 5.0
"""Seconds from a death to the next grant: what the driver needs to clear up, and one look at a quarantine."""
STAYS = 2.5
"""Seconds for which a quarantine is watched: two looks at it and a half."""


class Worker:
    """A process that uses a GPU (see `tests/support/gpu_worker.py`). Leaving the block ends it."""

    def __init__(self, host: Host, role: str) -> None:
        self.process = processes.start(
            [sys.executable, "-m", "tests.support.gpu_worker", role, host.uuid],
            environment={"GPULOCK_SOCKET": host.socket},
            stdin=subprocess.PIPE,
            stderr=None,
        )
        self._facts: dict[str, Any] | None = None
        self._pidfd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pidfd >= 0:
            self.kill_taker()
            os.close(self._pidfd)
        processes.end(self.process)

    @property
    def facts(self) -> dict[str, Any]:
        """What it says once it has memory on the GPU."""
        if self._facts is None:
            assert self.process.stdout is not None
            readable, _, _ = select.select([self.process.stdout], [], [], FIRST_USE)
            line = self.process.stdout.readline() if readable else ""
            assert line, f"the worker did not get memory on the GPU within {FIRST_USE:g} s"
            self._facts = json.loads(line)
            self._pidfd = os.pidfd_open(self.pid)
        return self._facts

    @property
    def pid(self) -> int:
        """The process that has the memory: the worker, or the one it leaves behind."""
        return int(self.facts["pid"])

    def waits(self) -> bool:
        """Whether it has said nothing yet."""
        assert self.process.stdout is not None
        return self._facts is None and not select.select([self.process.stdout], [], [], 0)[0]

    def handed_over(self, since: float) -> str:
        """How long after that moment it was granted the lock."""
        took = float(self.facts["granted_at"]) - since
        assert 0 < took < HANDOVER, f"the next one was granted {took:.3f} s later"
        return f"{took * 1000:.1f} ms"

    def kill_holder(self) -> float:
        """SIGKILL to the process that has the lock. Returns when that was, in monotonic seconds."""
        moment = time.monotonic()
        self.process.kill()
        return moment

    def kill_taker(self) -> float:
        """SIGKILL to the process that has the memory. Returns when it was dead, in monotonic seconds."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        assert select.select([self._pidfd], [], [], PATIENCE)[0], f"pid {self.pid} does not die"
        return time.monotonic()


class Host:
    """The daemon under test as its clients see it, and the GPU that is used."""

    def __init__(self, socket: str, client: gpulock.Client) -> None:
        self.socket = socket
        self._client = client
        wait_until(self._usable, lambda: f"a GPU can be granted: {self.gpus()}")
        self.uuid = min(self._usable(), key=lambda gpu: len(gpu["processes"] or ()))["uuid"]
        self.blind: Skipped | None = None
        """Why no process can be seen on a GPU of this machine, once that is known."""

    def gpus(self) -> list[GpuView]:
        """Every GPU as it is now."""
        return self._client.status()["gpus"]

    def gpu(self) -> GpuView:
        """The one that is used."""
        return next(gpu for gpu in self.gpus() if gpu["uuid"] == self.uuid)

    def _usable(self) -> list[GpuView]:
        return [gpu for gpu in self.gpus() if not gpu["blocked"]]

    def quarantine(self, longer_than: float) -> QuarantineView | None:
        entry = self.gpu()["quarantine"]
        return entry if entry is not None and entry["since"] > longer_than else None

    def wait_for_a_queue(self) -> None:
        wait_until(lambda: self._client.queue()["queue"], "somebody waits for the GPU")

    def shows(self, pid: int, relation: str) -> str:
        """Waits until `status` shows the process on the GPU, in this relation to it."""
        if self.blind is not None:
            raise self.blind

        def found() -> list[ProcessView]:
            here = self.gpu()["processes"] or ()
            return [each for each in here if (each["pid"], each["relation"]) == (pid, relation)]

        try:
            (seen,) = wait_until(found, lambda: f"pid {pid} is shown as {relation}: {self.gpu()}")
        except AssertionError:
            if pid in nvidia_machine.smi_processes():
                raise
            self.blind = Skipped("nvidia-smi does not see our processes either: a sandbox, or a PID namespace")
            raise self.blind from None
        memory = seen["memory"]
        assert memory is None or memory >= MEMORY, f"pid {pid} took {MEMORY} bytes and is shown with {memory}"
        return f"pid {pid}, {seen['user']}, {'N/A' if memory is None else f'{memory >> 20} MiB'}"


def same_as_nvidia_smi(host: Host) -> str:
    expected = nvidia_machine.smi_undivided_gpus()
    shown = {
        gpu["index"]: (gpu["uuid"], gpu["name"], gpu["memory_total"] >> 20) for gpu in host.gpus() if not gpu["parent"]
    }
    assert shown == expected, f"status shows {shown}, nvidia-smi {expected}"
    return "; ".join(f"{index}: {name}, {memory} MiB" for index, (_, name, memory) in shown.items())


def mig_instances(host: Host) -> str:
    shown = {gpu["uuid"] for gpu in host.gpus() if gpu["parent"]}
    expected = nvidia_machine.smi_instances()
    assert shown == expected, f"status shows {shown}, nvidia-smi {expected}"
    if not expected:
        raise Skipped("no card of this machine is divided")
    return ", ".join(sorted(shown))


def a_lock_is_what_cuda_sees(host: Host) -> str:
    with Worker(host, "hold") as worker:
        assert worker.facts["gpus"] == [host.uuid]
        assert worker.facts["cuda"] == [host.uuid.partition("-")[2]], f"CUDA sees {worker.facts['cuda']}"
    return f"CUDA sees {host.uuid} and no other"


def a_holder_is_shown(host: Host) -> str:
    with Worker(host, "hold") as worker:
        return host.shows(worker.pid, "holder")


def a_stranger_is_shown(host: Host) -> str:
    with Worker(host, "take") as worker:
        return host.shows(worker.pid, "foreign")


def a_killed_holder_makes_way(host: Host) -> str:
    with Worker(host, "hold") as first:
        assert first.facts["gpus"] == [host.uuid]
        with Worker(host, "hold") as second:
            host.wait_for_a_queue()
            return f"the next one was granted {second.handed_over(first.kill_holder())} after SIGKILL"


def an_orphan_keeps_the_gpu(host: Host) -> str:
    with Worker(host, "leave") as first:
        orphan = first.pid
        host.shows(orphan, "holder")
        with Worker(host, "hold") as second:
            host.wait_for_a_queue()
            first.kill_holder()
            entry = wait_until(lambda: host.quarantine(STAYS), lambda: f"it stays in quarantine: {host.gpu()}")
            assert entry is not None
            culprits = [culprit["pid"] for culprit in entry["culprits"]]
            assert culprits == [orphan], f"status blames {culprits}, and it is {orphan}"
            assert second.waits(), "the GPU was granted while the orphan of its last holder was on it"
            return f"the next one was granted {second.handed_over(first.kill_taker())} after its death"


def the_unit_allows_the_devices(host: Host) -> str:
    unit = (ROOT / "systemd/gpulockd.service").read_text()
    allowed = set(re.findall(r"^DeviceAllow=char-(\S+)", unit, re.MULTILINE))
    devices = nvidia_machine.device_names()
    refused = {device: sorted(names) for device, names in devices.items() if not names & allowed}
    assert not refused, f"{refused} match none of {sorted(allowed)}"
    return "; ".join(f"{device}: {', '.join(sorted(names & allowed))}" for device, names in devices.items())


CHECKS: dict[str, Callable[[Host], str]] = {
    "status shows the GPUs that nvidia-smi shows": same_as_nvidia_smi,
    "MIG instances are GPUs": mig_instances,
    "the GPU of a lock is the one that CUDA sees": a_lock_is_what_cuda_sees,
    "a holder's process is shown as its own": a_holder_is_shown,
    "a process without a lock is shown as foreign": a_stranger_is_shown,
    "a killed holder makes way": a_killed_holder_makes_way,
    "an orphan keeps the GPU from the next holder": an_orphan_keeps_the_gpu,
    "the systemd unit allows the driver's devices": the_unit_allows_the_devices,
}


def main() -> int:
    try:
        driver = asyncio.run(ask_driver())
    except StartupRefused as refused:
        traces = nvidia_machine.traces()
        if traces:
            print(f"FAILED: there is an NVIDIA GPU here ({', '.join(traces)}), but {refused}: {refused.hint}")
            return 1
        print(f"SKIPPED: NOTHING WAS CHECKED, since there is no NVIDIA GPU on this machine ({refused})")
        return 0
    print(f"driver: {driver}", flush=True)
    try:
        failed = failures()
    except AssertionError as error:
        print(f"FAILED: {error}")
        return 1
    print(f"{len(failed)} of {len(CHECKS)} checks failed" if failed else "nothing failed")
    return 1 if failed else 0


def failures() -> list[str]:
    """The names of the checks that fail; the daemon's log is printed if one does."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpu-check-", dir="/tmp")))
        settings: dict[str, object] = {"gpu_lock_monitor.monitor_interval": 1}
        daemon = stack.enter_context(Daemon(directory, simulate=None, settings=settings))
        complete = False
        try:
            host = Host(daemon.socket, stack.enter_context(gpulock.Client(daemon.socket)))
            failed = [name for name, check in CHECKS.items() if not passes(name, check, host)]
            complete = not failed
        finally:
            if not complete:
                print(f"\nthe daemon's log:\n{daemon.output()}")
        return failed


def passes(name: str, check: Callable[[Host], str], host: Host) -> bool:
    """Carries out one check and prints its line."""
    try:
        print(f"ok       {name}: {check(host)}", flush=True)
    except Skipped as skipped:
        print(f"SKIPPED  {name}: {skipped}", flush=True)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        print(f"FAILED   {name}: {error}", flush=True)
        return False
    return True


async def ask_driver() -> str:
    inventory = NvmlInventory(timeout=10.0)
    await inventory.discover()
    await inventory.close()
    return inventory.driver


if __name__ == "__main__":
    sys.exit(main())
