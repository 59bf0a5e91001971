"""Sessions: opened, introduced, restored over a daemon's death, closed."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

from gpulockd.core.actions import LockChanged
from gpulockd.core.events import GpusDiscovered, Restored
from gpulockd.core.machine import Machine
from gpulockd.core.model import Lock, Process, Quarantine
from gpulockd.core.settings import Settings
from gpulockd.core.turn import AT_THE_DOOR, SLEPT

from .script import (
    Host,
    Step,
    Told,
    acquire,
    answered,
    claim,
    claimed,
    clear,
    dies,
    disconnect,
    disconnects,
    drains,
    ended,
    granted,
    happens,
    hello,
    identity,
    inspect,
    lost,
    passes,
    play,
    quarantines,
    release,
    released,
    revokes,
    signalled,
    so,
    unwatch,
    uuid,
    watch,
    welcomed,
)


def after_restart(
    before: Host, *, alive: bool = True, now: float = 5.0, gpus: int | None = None, **settings: Any
) -> tuple[Host, Restored]:
    """A new daemon on the journal of an old one: the host, and the event that it begins with.

    `gpus`: how many of them there still are, where some are missing.
    """
    host = Host(gpus=0, claimed=False)
    host.machine = Machine(replace(Settings(host="testhost"), **settings))
    host.now = before.now + now
    host.names = {}
    present = len(before.state.gpus) if gpus is None else gpus
    host.handle(GpusDiscovered(tuple(identity(index) for index in range(present))))
    kept: tuple[Lock, ...] = tuple(replace(lock, session=None) for lock in before.state.locks.values())
    owners = frozenset(lock.owner.process for lock in kept) if alive else frozenset()
    entries: dict[str, Quarantine] = {
        gpu.uuid: gpu.quarantine for gpu in before.state.gpus.values() if gpu.quarantine is not None
    }
    drains = {gpu.uuid: gpu.drained for gpu in before.state.gpus.values() if gpu.drained is not None}
    return host, Restored(kept, entries, drains, before.state.last_token, owners)


def up_again(start: Restored, owner: int) -> tuple[Step | Told, ...]:
    """It begins, watches the owner of the lock that the journal has, by its pid, and has the lease of GPU 0 anew."""
    return happens(start), watch(owner), claim(0, floor=1), claimed(2, 0)


def test_a_client_that_disconnects_gives_up_its_lock() -> None:
    host = play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben"),
        disconnects("anna"), inspect(0),
        clear(0), granted("ben", 0),
    )  # fmt: skip
    assert ended(host) == [("anna", "disconnected")]


def test_the_death_of_the_process_ends_its_sessions_though_a_socket_stays_open() -> None:
    host = play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben"),
        dies("anna"), inspect(0), disconnect("anna"),
        so(lambda host: len(host.state.sessions) == 1),
        clear(0), granted("ben", 0),
    )  # fmt: skip
    assert ended(host) == [("anna", "died")]


def test_one_process_may_have_several_sessions() -> None:
    host = Host(gpus=2)
    process = Process(500, 1, "boot-1")
    host.connect("one", process=process)
    host.connect("two", process=process)
    play(
        host,
        acquire("one"), granted("one", 0),
        acquire("two"), granted("two", 1),
        disconnects("one"), inspect(0),
        clear(0),
        so(lambda host: host.state.gpus[uuid(1)].lock is not None),
        dies("two"), inspect(1), disconnect("two"),
    )  # fmt: skip


def test_what_a_dead_session_still_had_on_its_way_changes_nothing() -> None:
    host = Host(gpus=1)
    play(host, acquire("anna"), granted("anna", 0))
    late = host.session("anna")
    play(host, dies("anna"), inspect(0), disconnect("anna"))
    from gpulockd.core.events import AcquireRequested, SessionClosed
    from gpulockd.core.model import Wish

    play(host, happens(AcquireRequested(late, 9, Wish(1))), happens(SessionClosed(late)))


def test_a_lock_is_kept_for_its_living_owner_who_comes_back_by_its_key() -> None:
    before = play(Host(gpus=1), hello("anna", "key-1"), welcomed("anna"), acquire("anna"), granted("anna", 0))
    lock, process = before.lock("anna"), before.process("anna")
    host, start = after_restart(before)
    play(
        host,
        *up_again(start, process.pid),
        acquire("ben", wait=9999),
        so(lambda host: host.lock("anna").session is None),
    )  # fmt: skip
    host.connect("anna", process=process)
    play(
        host,
        hello("anna", "key-2", reattach="key-1"), unwatch(process.pid), welcomed("anna", 0),
        passes(600),
        release("anna"), released("anna"), granted("ben", 0),
    )  # fmt: skip
    assert host.lock("ben").token > lock.token
    assert host.lock("ben").token >> 32 == 2


def test_neither_another_process_nor_another_key_gets_the_lock() -> None:
    before = play(Host(gpus=1), hello("anna", "key-1"), welcomed("anna"), acquire("anna"), granted("anna", 0))
    process = before.process("anna")
    host, start = after_restart(before)
    play(host, *up_again(start, process.pid))
    host.connect("anna", process=process)
    play(
        host,
        hello("thief", "key-9", reattach="key-1"), welcomed("thief"),
        hello("anna", "key-8", reattach="wrong"), welcomed("anna"),
        hello("anna", "key-7"), welcomed("anna"),
        hello("anna", "key-2", reattach="key-1"), unwatch(process.pid), welcomed("anna", 0),
    )  # fmt: skip


def test_the_lock_of_a_dead_owner_is_released_at_the_start() -> None:
    before = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    pid = before.process("anna").pid
    host, start = after_restart(before, alive=False)
    play(
        host,
        happens(start), watch(pid), unwatch(pid), inspect(0), claim(0, floor=1),
        claimed(2, 0),
        acquire("ben"),
        clear(0), granted("ben", 0),
    )  # fmt: skip
    assert ended(host) == [("anna", "died")]


def test_a_hello_after_the_grant_gives_the_lock_its_key() -> None:
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0), hello("anna", "key-1"), welcomed("anna", 0))
    assert host.records[-1] == LockChanged(host.lock("anna"))
    assert host.lock("anna").reattach == "key-1"


def test_a_drain_of_a_gpu_that_is_missing_today_waits_for_it() -> None:
    before = play(Host(gpus=2), drains("root", "1"), answered("root"))
    host, start = after_restart(before, gpus=1)
    play(host, happens(start), claim(0, floor=0), claimed(2, 0), acquire("ben"), granted("ben", 0))
    assert not host.records[:-1], "what the journal has of the other one stays there"


def test_an_owner_that_dies_before_it_comes_back_is_noticed() -> None:
    before = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    pid = before.process("anna").pid
    host, start = after_restart(before)
    play(
        host,
        *up_again(start, pid),
        dies("anna"), unwatch(pid), inspect(0),
    )  # fmt: skip


def test_an_owner_that_does_not_come_back_has_abandoned_its_lock() -> None:
    before = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    pid = before.process("anna").pid
    host, start = after_restart(before, reattach_grace=60)
    play(
        host,
        *up_again(start, pid),
        passes(59.9),
        passes(0.1), unwatch(pid), watch(pid), inspect(0),
    )  # fmt: skip
    assert ended(host) == [("anna", "abandoned")]


def test_an_owner_at_the_door_of_a_daemon_that_slept_through_the_grace_gets_in() -> None:
    """It has connected in time; the daemon, stopped or stalled, reads that only after it hears of the time."""
    before = play(Host(gpus=1), hello("anna", "key-1"), welcomed("anna"), acquire("anna"), granted("anna", 0))
    process = before.process("anna")
    host, start = after_restart(before, reattach_grace=60)
    play(host, *up_again(start, process.pid), passes(67))
    host.connect("anna", process=process)
    play(host, hello("anna", "key-2", reattach="key-1"), unwatch(process.pid), welcomed("anna", 0), passes(60))
    assert ended(host) == []


def test_who_is_not_even_at_the_door_then_has_abandoned_its_lock() -> None:
    before = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    pid = before.process("anna").pid
    host, start = after_restart(before, reattach_grace=60)
    play(
        host,
        *up_again(start, pid),
        passes(67),
        passes(AT_THE_DOOR - 0.1),
        passes(0.1), unwatch(pid), watch(pid), inspect(0),
    )  # fmt: skip
    assert ended(host) == [("anna", "abandoned")]


def test_a_daemon_that_is_merely_busy_gives_no_time_away() -> None:
    before = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    pid = before.process("anna").pid
    host, start = after_restart(before, reattach_grace=60)
    play(
        host,
        *up_again(start, pid),
        passes(60 + SLEPT), unwatch(pid), watch(pid), inspect(0),
    )  # fmt: skip


def test_what_is_left_on_a_gpu_that_is_missing_today_is_looked_for_when_it_is_back() -> None:
    before = play(Host(gpus=2), acquire("anna", 2), granted("anna", 0, 1))
    pid = before.process("anna").pid
    host, start = after_restart(before, alive=False, gpus=1)
    play(host, happens(start), watch(pid), unwatch(pid), inspect(0), claim(0, floor=1))
    assert quarantines(host) == [(uuid(0), True), (uuid(1), True)]


def test_a_lock_on_a_gpu_that_is_missing_today_is_kept_and_let_go_as_any_other() -> None:
    before = play(Host(gpus=2), hello("anna", "key-1"), welcomed("anna"), acquire("anna", 2), granted("anna", 0, 1))
    process = before.process("anna")
    host, start = after_restart(before, gpus=1)
    play(host, *up_again(start, process.pid))
    host.connect("anna", process=process)
    play(
        host,
        hello("anna", "key-2", reattach="key-1"), unwatch(process.pid), welcomed("anna", 0),
        release("anna"), released("anna"),
        acquire("ben"), granted("ben", 0),
    )  # fmt: skip
    assert quarantines(host) == []


def test_a_lock_outlives_a_quarantine_that_the_journal_still_has_of_its_gpu() -> None:
    before = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    lock = before.lock("anna")
    host, start = after_restart(before)
    stale = Quarantine(1.0, "L0-1", lock.owner, "died")
    play(host, happens(replace(start, quarantines={uuid(0): stale})), watch(lock.owner.process.pid), claim(0, floor=1))
    assert host.state.gpus[uuid(0)].lock == lock.id


def test_who_comes_back_for_a_lock_that_is_being_taken_back_is_told() -> None:
    wants = frozenset({"lost"})
    before = play(
        Host(gpus=1, revoke_grace=30),
        hello("anna", "key-1"), welcomed("anna"),
        acquire("anna", notify=wants), granted("anna", 0),
        revokes("root", "0"), lost("anna", "revoked"), answered("root"),
    )  # fmt: skip
    process = before.process("anna")
    host, start = after_restart(before)
    play(host, *up_again(start, process.pid))
    host.connect("anna", process=process)
    play(
        host,
        hello("anna", "key-2", reattach="key-1"), unwatch(process.pid), welcomed("anna", 0), lost("anna", "revoked"),
        passes(25), signalled(process.pid, int(signal.SIGTERM)),
    )  # fmt: skip


def test_a_last_step_that_an_earlier_daemon_may_not_have_taken_is_taken_again() -> None:
    before = play(Host(gpus=1), acquire("anna"), granted("anna", 0), revokes("root", "0", 0), answered("root"))
    process = before.process("anna")
    play(
        before,
        passes(0), signalled(process.pid, int(signal.SIGTERM)),
        passes(5), signalled(process.pid, int(signal.SIGKILL)),
    )  # fmt: skip
    host, start = after_restart(before, now=1)
    play(
        host,
        *up_again(start, process.pid), signalled(process.pid, int(signal.SIGKILL)),
    )  # fmt: skip


def test_quarantines_and_drains_outlive_the_daemon() -> None:
    before = play(
        Host(gpus=2),
        acquire("anna"), granted("anna", 0),
        disconnects("anna"), inspect(0),
    )  # fmt: skip
    before.state.gpus[uuid(1)].drained = "cleaning"
    host, start = after_restart(before)
    play(
        host,
        happens(start), inspect(0), claim(0, 1, floor=1),
        claimed(2, 0, 1),
        acquire("ben"),
        clear(0), granted("ben", 0),
        so(lambda host: host.state.gpus[uuid(1)].drained == "cleaning"),
    )  # fmt: skip
