"""NVML that hangs or crashes: the rest goes on, nothing piles up, and what answers again is well again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import psutil
import pytest
import uvloop

from gpulockd.core.model import Sample
from gpulockd.inventory.nvidia import NvmlInventory
from gpulockd.ports import StartupRefused, Unavailable
from tests.support import processes
from tests.support.fake_nvml import FakeNvml
from tests.support.waiting import PATIENCE, eventually, wait_until

from .conftest import TIMEOUT

SLACK = TIMEOUT
"""Seconds that a busy machine may add. Whoever waited for a card that hangs, or waited again, would need as many."""


class Lag:
    """How late the event loop was at worst, in seconds."""

    worst = 0.0


@contextlib.asynccontextmanager
async def measured_lag() -> AsyncIterator[Lag]:
    lag, step = Lag(), 0.01

    async def tick() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(step)
            lag.worst = max(lag.worst, time.monotonic() - began - step)

    ticking = asyncio.create_task(tick())
    yield lag
    ticking.cancel()


def workers() -> list[psutil.Process]:
    """The NVML workers of this process, those stuck or dying too."""
    return [each for each in psutil.Process().children() if "gpulockd.inventory.worker" in each.cmdline()]


async def until_sampled(
    inventory: NvmlInventory, condition: Callable[[Mapping[str, Sample]], bool]
) -> Mapping[str, Sample]:
    """Samples until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition(samples := await inventory.sample()):
        assert time.monotonic() < deadline, samples
        await asyncio.sleep(0.01)
    return samples


def nobody_sick(samples: Mapping[str, Sample]) -> bool:
    return not any(sample.fault for sample in samples.values())


class TestOneGpuHangs:
    async def test_the_others_and_the_loop_go_on(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        await inventory.discover()
        nvml.hang(1)
        nvml.set_memory(2, used=42)
        began = time.monotonic()
        async with measured_lag() as lag:
            sampling = asyncio.create_task(inventory.sample())
            await eventually(lambda: nvml.traffic(1).inside, "the call hangs")
            assert await inventory.processes(nvml.uuid(0)) == ()
            assert not sampling.done(), "another card had to wait for the one that hangs"
            samples = await sampling
        assert TIMEOUT <= time.monotonic() - began < TIMEOUT + SLACK
        assert lag.worst < SLACK
        assert str(samples[nvml.uuid(1)].fault).startswith("no answer from NVML within 2 s: look for NVRM")
        assert (samples[nvml.uuid(0)].fault, samples[nvml.uuid(2)].memory_used) == (None, 42)

    async def test_calls_do_not_pile_up_and_nobody_waits_twice(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        await inventory.discover()
        nvml.hang(1)
        await inventory.sample()
        calls, began = nvml.traffic(1).calls, time.monotonic()
        for _ in range(20):
            assert (await inventory.sample())[nvml.uuid(1)].fault
            with pytest.raises(Unavailable, match="no answer from NVML"):
                await inventory.processes(nvml.uuid(1))
        assert time.monotonic() - began < TIMEOUT + SLACK
        assert (nvml.traffic(1).calls, nvml.traffic(1).most_inside) == (calls, 1)
        assert psutil.Process(workers()[0].pid).num_threads() <= 5, "one for each card, the driver and the input"

    async def test_it_is_well_again_when_it_answers(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        await inventory.discover()
        nvml.hang(1)
        assert (await inventory.sample())[nvml.uuid(1)].fault
        nvml.resume(1)
        await until_sampled(inventory, nobody_sick)
        assert await inventory.processes(nvml.uuid(1)) == ()
        assert nvml.inits == 1, "the worker should have stayed"

    async def test_who_asks_meanwhile_waits_for_a_turn(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        await inventory.discover()
        nvml.hang(0)
        asking = asyncio.gather(inventory.sample(), inventory.processes(nvml.uuid(0)))
        await eventually(lambda: nvml.traffic(0).inside, "the call hangs")
        nvml.resume(0)
        samples, found = await asking
        assert nobody_sick(samples)
        assert found == ()
        assert nvml.traffic(0).most_inside == 1

    async def test_discovery_leaves_it_out(
        self, inventory: NvmlInventory, nvml: FakeNvml, caplog: pytest.LogCaptureFixture
    ) -> None:
        nvml.hang(0)
        assert [gpu.index for gpu in await inventory.discover()] == [1, 2]
        assert "card 0 is left out until gpulockd starts anew: no answer from NVML within 2 s" in caplog.text

    async def test_closing_does_not_wait_for_it(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        await inventory.discover()
        nvml.hang(0, 1, 2)
        sampling = asyncio.create_task(inventory.sample())
        await eventually(lambda: nvml.traffic(0).inside, "the call hangs")
        began = time.monotonic()
        await inventory.close()
        assert time.monotonic() - began < SLACK
        assert await sampling == {}
        assert workers() == []


class TestEverythingHangs:
    async def test_another_worker_takes_over(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        await inventory.discover()
        (first,) = workers()
        nvml.hang(0, 1, 2)
        assert not nobody_sick(await inventory.sample())
        await eventually(lambda: not first.is_running(), "the worker in which everything hangs is ended")
        for _ in range(3):
            await inventory.sample()
            assert len(workers()) <= 1
        nvml.resume(0, 1, 2)
        await until_sampled(inventory, nobody_sick)
        assert await inventory.processes(nvml.uuid(2)) == ()
        assert len(workers()) == 1

    async def test_a_card_that_still_hangs_then_keeps_the_others_from_nothing(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        await inventory.discover()
        nvml.hang(0, 1, 2)
        await inventory.sample()
        nvml.resume(1, 2)
        samples = await until_sampled(inventory, lambda samples: samples[nvml.uuid(1)].fault is None)
        assert "no answer from NVML" in str(samples[nvml.uuid(0)].fault)
        with pytest.raises(Unavailable, match="no answer from NVML"):
            await inventory.processes(nvml.uuid(0))
        nvml.resume(0)
        await until_sampled(inventory, nobody_sick)

    async def test_closing_does_not_wait_for_another_worker(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        await inventory.discover()
        nvml.hang_init()
        os.kill(workers()[0].pid, signal.SIGKILL)
        await inventory.sample()
        await eventually(lambda: nvml.inits == 2, "another worker is being started")
        began = time.monotonic()
        await inventory.close()
        assert time.monotonic() - began < SLACK
        assert workers() == []

    async def test_initialisation_hangs_at_the_start(self, nvml: FakeNvml) -> None:
        nvml.hang_init()
        with pytest.raises(StartupRefused, match=r"NVML did not initialise within 0\.5 s") as refused:
            await NvmlInventory(timeout=TIMEOUT, startup_timeout=0.5).discover()
        assert "journalctl" in refused.value.hint
        assert "--simulate N" in refused.value.hint
        assert workers() == []

    async def test_initialisation_hangs_later(self, nvml: FakeNvml) -> None:
        inventory = NvmlInventory(timeout=TIMEOUT, startup_timeout=3)  # in which a busy machine starts a process
        await inventory.discover()
        nvml.hang_init()
        os.kill(workers()[0].pid, signal.SIGKILL)
        said = await until_sampled(
            inventory, lambda samples: all("did not initialise" in str(each.fault) for each in samples.values())
        )
        assert len(said) == 3
        nvml.hang_init(False)
        await until_sampled(inventory, nobody_sick)
        await inventory.close()


class TestTheWorkerDies:
    async def test_sampling_starts_another(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        await inventory.discover()
        os.kill(workers()[0].pid, signal.SIGSEGV)
        told: set[str | None] = set()

        def recovered(samples: Mapping[str, Sample]) -> bool:
            told.update(sample.fault for sample in samples.values())
            return nobody_sick(samples)

        await until_sampled(inventory, recovered)
        assert any("ended by itself: signal 11" in str(fault) for fault in told)
        assert nvml.inits == 2

    async def test_asking_for_processes_starts_another(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        """A quarantine is looked at every second, and the next sample may be half a minute away."""
        await inventory.discover()
        os.kill(workers()[0].pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(Unavailable):
                assert await inventory.processes(nvml.uuid(1)) == ()
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert len(workers()) == 1


DAEMON = """
import asyncio, os
from gpulockd.inventory.nvidia import NvmlInventory

async def main() -> None:
    inventory = NvmlInventory(timeout=60)
    await inventory.discover()
    print(inventory._worker.pid, flush=True)
    await inventory.sample()

asyncio.run(main())
"""


def test_a_stuck_worker_ends_with_its_daemon(nvml: FakeNvml) -> None:
    daemon = processes.start([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE, stderr=None)
    try:
        assert daemon.stdout is not None
        worker = psutil.Process(int(daemon.stdout.readline()))
        nvml.hang(0)
        wait_until(lambda: nvml.traffic(0).inside or daemon.poll() is not None, "a call hangs")
        daemon.kill()
        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, "the worker ends")
    finally:
        processes.end(daemon)


def test_it_works_from_any_directory(nvml: FakeNvml, tmp_path: Path) -> None:
    """And the worker imports nothing from the directory it is started in."""
    (tmp_path / "json.py").write_text("raise SystemExit('a module of the working directory was imported')")
    script = tmp_path / "daemon.py"
    script.write_text(DAEMON.replace("_worker.pid", "driver"))
    command = [sys.executable, "-P", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "NVIDIA 999.12.03\n"


def test_it_works_on_uvloop(nvml: FakeNvml) -> None:
    """The daemon's own loop has its own way with child processes."""

    async def scenario() -> None:
        inventory = NvmlInventory(timeout=TIMEOUT)
        await inventory.discover()
        nvml.hang(1)
        samples = await inventory.sample()
        assert [bool(samples[nvml.uuid(gpu)].fault) for gpu in range(3)] == [False, True, False]
        nvml.hang(0, 2)
        await inventory.sample()
        nvml.resume(0, 1, 2)
        await until_sampled(inventory, nobody_sick)
        await inventory.close()
        assert workers() == []

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
