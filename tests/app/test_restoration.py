"""Of what the journal has kept, the kernel says who is still there: the very process, and not one with its pid."""

from __future__ import annotations

import os

from gpulockd.clock import BootClock
from gpulockd.core.model import Process
from gpulockd.ports import Saved
from gpulockd.processes import LinuxProcesses, proc
from gpulockd.restoration import restored


async def test_a_tenant_is_the_process_that_had_the_lock() -> None:
    clock = BootClock()
    kernel = LinuxProcesses(lambda event: None, clock, lambda uid, user: False)
    stat = proc.stat(os.getpid())
    assert stat is not None
    here = Process(stat.pid, stat.start_time, clock.boot_id)
    others = (
        Process(here.pid, here.start_time - 1, clock.boot_id),
        Process(here.pid, here.start_time, "another boot"),
        Process(2**22 + 1, here.start_time, clock.boot_id),
    )
    saved = Saved(tenants={"GPU-a": (here,), "GPU-b": others})

    assert restored(saved, kernel.alive, frozenset()).tenants == {"GPU-a": {here.pid}, "GPU-b": frozenset()}
