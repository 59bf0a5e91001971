"""The boot clock against what else the system says of its boot, and its alarm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpulockd import clock as clock_module
from gpulockd.clock import BootClock
from gpulockd.ports import StartupRefused
from tests.processes.conftest import descriptors, no_descriptor_left
from tests.support.waiting import eventually


def test_it_counts_from_boot_with_suspend() -> None:
    before = float(Path("/proc/uptime").read_text().split()[0])

    now = BootClock().now()

    assert before - 0.01 <= now <= float(Path("/proc/uptime").read_text().split()[0]) + 0.01


def test_it_never_goes_back() -> None:
    clock = BootClock()
    seen = [clock.now() for _ in range(1000)]
    assert seen == sorted(seen)


def test_it_knows_which_boot_it_is() -> None:
    assert BootClock().boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_the_wall_clock_is_that_of_everybody() -> None:
    before = time.time()
    assert before <= BootClock().wall() <= time.time()


def test_without_a_boot_id_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "BOOT_ID", tmp_path / "absent")
    with pytest.raises(StartupRefused, match="cannot read the boot id") as refusal:
        BootClock()
    assert "/proc" in refusal.value.hint


def ringing(clock: BootClock) -> tuple[list[float], Callable[[], None]]:
    """When it rang, and what notes that."""
    rang: list[float] = []
    return rang, lambda: rang.append(clock.now())


@pytest.mark.parametrize("ahead", [0.03, 0.0, -5.0, -1e9], ids=lambda ahead: f"{ahead:+g} s")
async def test_the_alarm_rings_once_and_never_early(ahead: float) -> None:
    clock = BootClock()
    rang, note = ringing(clock)
    alarm = clock.alarm(note)
    at = max(0.0, clock.now() + ahead)
    alarm.set(at)
    await eventually(lambda: rang, "it rings")
    assert rang[0] >= at
    await asyncio.sleep(0.01)
    assert len(rang) == 1
    alarm.close()


async def test_an_alarm_that_is_set_anew_rings_at_the_new_time_alone() -> None:
    clock = BootClock()
    rang, note = ringing(clock)
    alarm = clock.alarm(note)
    alarm.set(clock.now())
    alarm.set(at := clock.now() + 0.03)
    await eventually(lambda: rang, "it rings")
    assert len(rang) == 1
    assert rang[0] >= at
    alarm.set(clock.now() + 600)
    alarm.set(clock.now())
    await eventually(lambda: len(rang) == 2, "it rings again")
    alarm.close()


async def test_a_closed_alarm_is_silent_and_leaves_no_descriptor() -> None:
    clock = BootClock()
    before = descriptors()
    rang, note = ringing(clock)
    alarm = clock.alarm(note)
    alarm.set(clock.now())
    alarm.close()
    alarm.close()
    await asyncio.sleep(0.01)
    assert not rang
    assert descriptors() == before


async def test_without_a_descriptor_there_is_no_alarm() -> None:
    clock = BootClock()
    with no_descriptor_left(), pytest.raises(OSError, match="timerfd_create: Too many open files"):
        clock.alarm(lambda: None)
