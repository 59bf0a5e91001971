"""A host that is suspended for longer than its lease lasts, while another one takes over its GPUs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from demo.diary import now
from tests.support import processes
from tests.support.frames import Frames, WireError

from .chain import HOLDER, just_renewed, rest
from .site import TTL, Site, health, metrics_with, site
from .suspension import Suspension
from .test_chain import SLACK

pytestmark = [pytest.mark.system, pytest.mark.redis]

SLEEPER = """
import sys, time
before = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
print("sleeps", flush=True)
time.sleep(0.5)
print(time.monotonic() - before[0], time.clock_gettime(time.CLOCK_BOOTTIME) - before[1], flush=True)
"""


def test_what_is_suspended_here_sees_what_it_would_see(tmp_path: Path) -> None:
    """Timers stand still, and only CLOCK_BOOTTIME knows."""
    host = Suspension(tmp_path)
    sleeper = processes.start([*host.under, sys.executable, "-c", SLEEPER])
    try:
        assert sleeper.stdout is not None
        assert sleeper.stdout.readline() == "sleeps\n"
        began = now()
        host.begin(sleeper.pid)
        rest(1.0)
        host.end()
        suspended = now() - began
        monotonic, boottime = map(float, sleeper.stdout.readline().split())
    finally:
        processes.end(sleeper)
    assert monotonic >= 0.5, "it slept no less for having been suspended"
    assert 1.0 <= boottime - monotonic <= suspended


class Parted:
    """Two hosts that can reach the same GPUs. The first was suspended for one and a half TTLs, and is awake again."""

    def __init__(self, at: Site, stack: ExitStack, on_loss: str) -> None:
        host = Suspension(at.directory)
        self.first = at.host("first", settings={"redis.on_loss": on_loss})
        self.first.under = host.under
        self.first.start()
        self.holder: subprocess.Popen[str] = processes.start(
            [*host.under, sys.executable, "-c", HOLDER, self.first.socket]
        )
        stack.callback(processes.end, self.holder)
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline().startswith("got")
        self.lock = self.first.status()["locks"][0]
        self.second = at.host("second", url=at.server.url)
        self.second.start()
        self.watching = stack.enter_context(Frames(self.first.socket))
        self.watching.call("watch")
        self.heard: list[tuple[float, Any]] = []
        client = stack.enter_context(Frames(self.second.socket, patience=3 * TTL))
        waits = client.send("acquire", gpus=["0"])
        just_renewed(self.first)
        rest(0.1)  # it has nothing left to do, and no reason to look at a clock
        host.begin(self.holder.pid, self.first.pid)
        began = now()
        self.granted: Any = client.receive(waits)
        rest(began + 1.5 * TTL - now())
        self.woke = now()
        host.end()

    def hears(self, kind: str, **data: object) -> float:
        """When the first daemon tells of that, in multiples of the TTL since it woke up."""
        while True:
            for at, event in self.heard:
                if event["kind"] == kind and data.items() <= event["data"].items():
                    return (at - self.woke) / TTL
            event = self.watching.notified("event")
            assert event["kind"] != "lock.granted", "nothing is granted on the old lease"
            self.heard.append((now(), event))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=["revoke", "keep"])
def parted(request: pytest.FixtureRequest, stack: ExitStack) -> Parted:
    return Parted(stack.enter_context(site()), stack, request.param)


def test_a_daemon_that_wakes_up_knows_at_once_that_its_lease_is_over(parted: Parted) -> None:
    """Nobody has to ask it for anything: its timers have gone on, too."""
    assert parted.granted["token"] > parted.lock["token"]
    assert parted.hears("lease.degraded") < SLACK
    revokes = parted.first.settings["redis.on_loss"] == "revoke"
    if revokes:
        assert parted.hears("lock.recalled", reason="lease-lost") < SLACK
        assert parted.hears("lock.ended", how="lease-lost") < SLACK
        assert parted.holder.wait() == -9, "every step of the chain was due"
    parted.hears("lease.lost")

    status = parted.first.status()
    assert status["lease"]["state"] == "degraded"
    assert status["gpus"][0]["elsewhere"]["pid"] == parted.second.pid
    assert [lock["token"] for lock in status["locks"]] == ([] if revokes else [parted.lock["token"]])
    with pytest.raises(WireError) as refused:
        parted.first.call("acquire", gpus=["1"], wait_timeout=0)
    assert refused.value.code == "lease-unavailable"
    counted = metrics_with(parted.first, "gpu_lock_lease_state{state=degraded}", 1)
    assert counted["gpu_lock_lost_total{reason=lease-lost}"] == revokes
    assert health(parted.first) == 503
    assert [lock["token"] for lock in parted.second.status()["locks"]] == [parted.granted["token"]]
