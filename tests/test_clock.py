"""The boot clock against what else the system says of its boot."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gpulockd import clock as clock_module
from gpulockd.clock import BootClock
from gpulockd.ports import StartupRefused


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
