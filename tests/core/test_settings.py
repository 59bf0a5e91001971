"""Settings that change while the host runs: what comes later has the new ones, what is under way keeps its own."""

from __future__ import annotations

from dataclasses import replace

from gpulockd.core.actions import LockGranted
from gpulockd.core.events import GpusDiscovered, LeasesClaimed, Restored, SettingsChanged
from gpulockd.core.machine import Machine
from gpulockd.core.model import GpuProcess
from gpulockd.core.settings import Levels, Settings

from .script import (
    Host,
    Step,
    acquire,
    granted,
    happens,
    identity,
    passes,
    play,
    refused,
    release,
    released,
    sampled,
    so,
    uuid,
    warned,
)

LONG, SHORT = Levels(warning=100, soft=200, hard=400), Levels(warning=10, soft=20, hard=40)
WARN = frozenset({"warning"})


def change(**settings: object) -> Step:
    return lambda host: happens(SettingsChanged(replace(host.state.settings, **settings)))(host)


def test_a_lock_keeps_its_levels_and_its_end() -> None:
    host = Host(gpus=2, levels=LONG)
    play(
        host,
        acquire("anna", notify=WARN),
        granted("anna", 0),
        change(levels=SHORT),
        acquire("bert", notify=WARN),
        granted("bert", 1),
        passes(15),
        warned("bert", "warning"),
        so(lambda host: host.lock("anna").levels == LONG and host.lock("bert").levels == SHORT),
        so(lambda host: host.lock("anna").ends_at - host.lock("bert").ends_at == 360),
    )


def test_a_request_that_waits_has_the_levels_of_when_it_asked() -> None:
    host = Host(gpus=1, levels=LONG)
    play(
        host,
        acquire("anna"),
        granted("anna", 0),
        acquire("bert", levels=LONG),
        change(levels=SHORT),
        release("anna"),
        released("anna"),
        granted("bert", 0),
        so(lambda host: host.lock("bert").levels == LONG),
    )


def test_a_lock_keeps_its_levels_over_a_restart_under_other_settings() -> None:
    before = play(Host(gpus=1, levels=LONG), acquire("anna", levels=LONG), granted("anna", 0))
    (grant,) = [record for record in before.records if isinstance(record, LockGranted)]
    after = Machine(Settings(levels=SHORT))
    after.handle(GpusDiscovered((identity(0),)), before.now)
    lock = replace(grant.lock, session=None, levels=Levels())
    after.handle(Restored((lock,), {}, {}, lock.token, frozenset({lock.owner.process})), before.now + 1)
    after.handle(LeasesClaimed(before.now, {uuid(0): 2}), before.now + 2)
    assert after.state.locks[lock.id].levels == LONG


def test_what_forbids_a_grant_is_judged_anew() -> None:
    stranger = (GpuProcess(4711, 1, "eve", "python miner.py"),)
    play(
        Host(gpus=1, foreign_waits=True),
        sampled(0, processes=stranger),
        acquire("anna"),
        change(foreign_waits=False),
        granted("anna", 0),
    )
    play(
        Host(gpus=1),
        sampled(0, processes=stranger),
        change(foreign_waits=True),
        acquire("anna", wait=0),
        refused("anna", "busy"),
    )
