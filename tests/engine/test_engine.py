"""The engine: what it commits before what it tells, and what comes back as the next event."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import Mapping

import pytest

from gpulockd import engine
from gpulockd.core.actions import Refusal, Refused
from gpulockd.core.events import CancelRequested, JournalFailed, ReleaseRequested, RevokeRequested, SessionClosed
from gpulockd.core.model import GpuProcess, GpuState, LeaseHolder, Lock, Owner, Process, State, Wish
from tests.support.waiting import eventually

from .world import BOOT, World

ANNA, BEN = 1, 2


async def test_a_grant_is_recorded_before_it_is_told() -> None:
    async with World().running() as world:
        world.connect(ANNA)
        world.acquire(ANNA)
        await world.settled()
        assert world.log == ["commit granted:L1-1", "answer 1/1 L1-1"]


async def test_what_arrives_in_one_turn_is_committed_once() -> None:
    async with World().running() as world:
        for session in (ANNA, BEN):
            world.connect(session)
            world.acquire(session)
        world.engine.post(ReleaseRequested(ANNA, 2, None))
        await world.settled()
        assert world.commits == [["granted:L1-1", "granted:L1-2", "ended:L1-1"]]
        assert world.log[1:] == ["answer 1/1 L1-1", "answer 2/1 L1-2", "answer 1/2 L1-1"]


async def test_a_release_is_recorded_before_the_next_owner_is_told() -> None:
    async with World().running() as world:
        for session in (ANNA, BEN):
            world.connect(session)
            world.acquire(session, count=2)
        await world.settled()
        world.log.clear()
        world.engine.post(ReleaseRequested(ANNA, 2, None))
        await world.settled()
        assert world.log == ["commit ended:L1-1 RequestLeft granted:L1-2", "answer 1/2 L1-1", "answer 2/1 L1-2"]


async def test_a_release_and_the_acquire_behind_it_are_one_commit() -> None:
    async with World().running() as world:
        world.connect(ANNA)
        world.acquire(ANNA, count=2)
        await world.settled()
        world.log.clear()
        world.engine.post(ReleaseRequested(ANNA, 2, None))
        world.acquire(ANNA, 3, count=2)
        await world.settled()
        assert world.log == ["commit ended:L1-1 granted:L1-2", "answer 1/2 L1-1", "answer 1/3 L1-2"]


async def test_a_release_is_recorded_before_its_own_client_is_told() -> None:
    async with World().running() as world:
        world.connect(ANNA)
        world.acquire(ANNA)
        await world.settled()
        world.log.clear()
        world.engine.post(ReleaseRequested(ANNA, 2, None))
        await world.settled()
        assert world.log == ["commit ended:L1-1", "answer 1/2 L1-1"]


async def test_the_end_of_a_wait_is_told_though_the_journal_cannot_write_it() -> None:
    async with World().running() as world:
        for session in (ANNA, BEN):
            world.connect(session)
            world.acquire(session, count=2)
        await world.settled()
        assert world.commits == [["granted:L1-1", "RequestWaits"]]
        world.log.clear()
        world.journal_broken = True
        world.engine.post(CancelRequested(BEN, 7, 1))
        await world.settled()
        assert world.log == ["commit failed", "refuse 2/1 cancelled", "answer 2/7"]


async def test_so_is_one_that_is_over_in_the_moment_in_which_a_lock_is_taken_back() -> None:
    async with World().running() as world:
        for session in (ANNA, BEN):
            world.connect(session)
        world.acquire(ANNA, count=2, max_hold=5.0)
        world.acquire(BEN, wait_timeout=5.0)
        await world.settled()
        world.log.clear()
        world.journal_broken = True
        world.time += 5
        world.acquire(BEN, msgid=2, selectors=("no such GPU",))
        await world.settled()
        assert world.engine.state.locks["L1-1"].recall is not None
        assert world.log == ["commit failed", "refuse 2/1 wait-timeout", "refuse 2/2 unknown-gpu"]


async def test_while_the_journal_fails_nothing_is_told_that_depends_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "JOURNAL_RETRY", 0.01)
    async with World().running() as world:
        world.connect(ANNA)
        world.connect(BEN)
        world.journal_broken = True
        world.acquire(ANNA)
        await world.settled()
        assert set(world.log) == {"commit failed"}

        world.acquire(BEN)
        await world.settled()
        assert world.log[-1] == "refuse 2/1 journal-unavailable"
        assert "the disk is full" in str(world.engine.state.journal_fault)

        world.journal_broken = False
        await eventually(lambda: world.engine.state.journal_fault is None)
        told = [line for line in world.log if line != "commit failed"]
        assert told == ["refuse 2/1 journal-unavailable", "commit granted:L1-1", "answer 1/1 L1-1"]


async def test_the_records_of_a_failing_journal_are_kept_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "JOURNAL_RETRY", 0.01)
    async with World().running() as world:
        world.connect(ANNA)
        world.acquire(ANNA)
        await world.settled()
        world.journal_broken = True
        world.engine.post(ReleaseRequested(ANNA, 2, None))
        await world.settled()
        world.engine.post(SessionClosed(ANNA))
        world.connect(BEN)
        await world.settled()
        world.commits.clear()
        world.journal_broken = False
        await eventually(lambda: world.engine.state.journal_fault is None)
        assert world.commits == [["ended:L1-1"]]


async def test_what_depends_on_no_record_does_not_wait_for_a_failing_journal() -> None:
    async with World().running() as world:
        world.connect(ANNA)
        world.connect(BEN)
        world.journal_broken = True
        world.acquire(ANNA)
        world.acquire(BEN, selectors=("no such GPU",))
        world.engine.ask(BEN, 7, lambda state, now: {"waiting": len(state.requests), "now": now})
        await world.settled()
        assert [line for line in world.log if line != "commit failed"] == ["refuse 2/1 unknown-gpu", "answer 2/7"]


async def test_the_lease_is_renewed_though_the_journal_fails() -> None:
    async with World(lease_ttl=15.0).running() as world:
        world.connect(ANNA)
        world.journal_broken = True
        world.time += 3
        world.acquire(ANNA)
        await world.settled()
        assert "renew, waiting 0" in world.log
        assert world.engine.state.lease.renewed_at == 103.0


async def test_what_became_due_while_the_journal_failed_is_recorded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "JOURNAL_RETRY", 0.01)
    async with World().running() as world:
        world.connect(ANNA)
        world.connect(BEN)
        world.acquire(ANNA, max_hold=5.0)
        await world.settled()
        world.time += 4.9
        world.commit_takes, world.journal_broken = 0.2, True
        world.acquire(BEN)
        await world.settled()
        assert world.engine.state.locks["L1-1"].recall is not None

        world.commits.clear()
        world.commit_takes, world.journal_broken = 0.0, False
        await eventually(lambda: world.engine.state.journal_fault is None)
        assert world.commits == [["granted:L1-2", "LockChanged"]]


async def test_a_lock_is_taken_back_though_the_journal_fails() -> None:
    async with World(revoke_grace=1.0).running() as world:
        anna = world.connect(ANNA)
        world.acquire(ANNA, max_hold=5.0, notify=frozenset({"lost"}))
        await world.settled()
        world.journal_broken = True
        world.time += 5
        await world.settled()
        assert [line for line in world.log if "lost" in line]
        world.time += 1
        await world.settled()
        assert world.log[-1] == f"signal {int(signal.SIGTERM)} to {anna.pid}"


async def test_a_lock_that_nobody_was_told_of_is_not_taken_back_before_it_is_recorded() -> None:
    async with World(revoke_grace=1.0).running() as world:
        world.connect(ANNA)
        world.journal_broken = True
        world.acquire(ANNA, max_hold=5.0, notify=frozenset({"lost"}))
        await world.settled()
        world.time += 5
        await world.settled()
        world.time += 1
        await world.settled()
        assert set(world.log) == {"commit failed"}


async def test_what_contradicts_the_journal_ends_the_daemon_on_a_later_try_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "JOURNAL_RETRY", 0.01)
    with pytest.RaisesGroup(sqlite3.IntegrityError, flatten_subgroups=True):
        async with World().running() as world:
            world.connect(ANNA)
            world.journal_broken = True
            world.acquire(ANNA)
            await world.settled()
            world.journal_contradicts = True
            await asyncio.sleep(30)


async def test_an_engine_that_was_cancelled_takes_no_more_turns() -> None:
    world = World()
    async with world.running():
        world.connect(ANNA)
        world.acquire(ANNA)
        await world.settled()
    world.engine.post(SessionClosed(ANNA))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert list(world.engine.state.locks) == ["L1-1"]


async def test_a_question_is_answered_in_its_place_among_the_events() -> None:
    def holders(state: State, now: float) -> Mapping[str, object]:
        del now
        return {"lock": ",".join(state.locks)}

    async with World().running() as world:
        world.connect(ANNA)
        world.engine.ask(ANNA, 7, holders)
        world.acquire(ANNA)
        world.engine.ask(ANNA, 8, holders)
        await world.settled()
        assert world.log == ["commit granted:L1-1", "answer 1/7", "answer 1/1 L1-1", "answer 1/8 L1-1"]


async def test_a_question_without_an_answer_is_refused() -> None:
    def nothing(state: State, now: float) -> Mapping[str, object]:
        del state, now
        raise Refused(Refusal("unknown-gpu", "no such GPU"))

    async with World().running() as world:
        world.connect(ANNA)
        world.engine.ask(ANNA, 7, nothing)
        await world.settled()
        assert world.log == ["refuse 1/7 unknown-gpu"]


async def test_the_timer_rings_at_the_next_deadline() -> None:
    async with World().running() as world:
        world.connect(ANNA)
        world.acquire(ANNA, count=2)
        world.connect(BEN)
        world.acquire(BEN, wait_timeout=0.02)
        await world.settled()
        world.time += 0.02
        await eventually(lambda: "refuse 2/1 wait-timeout" in world.log)


async def test_an_epoch_is_durable_before_it_is_used() -> None:
    world = World()
    async with world.running():
        assert world.engine.state.gpus["GPU-0"].epoch == 1
    other = World()
    other.epoch_broken = True
    async with other.running():
        assert other.engine.state.gpus["GPU-0"].epoch is None
        assert "the disk is full" in other.engine.state.lease.why


async def test_leases_are_renewed_with_what_the_host_says_of_itself() -> None:
    async with World(lease_ttl=15.0).running() as world:
        world.time += 3
        await world.settled()
        assert world.log == ["renew, waiting 0"]
        assert world.engine.state.lease.renewed_at == 103.0

        world.lease_broken = True
        world.time += 3
        await world.settled()
        assert world.engine.state.lease.why == "no answer within 1 s"


async def test_a_refused_lease_keeps_a_gpu_from_being_granted() -> None:
    world = World()
    world.refused = {"GPU-0": LeaseHolder("other", 42)}
    async with world.running():
        world.connect(ANNA)
        world.acquire(ANNA, selectors=("0",), wait_timeout=0.0)
        await world.settled()
        assert world.log == ["refuse 1/1 lease-unavailable"]


async def test_a_gpu_left_without_a_word_is_inspected_before_the_next_grant() -> None:
    async with World(quarantine_recheck=1.0).running() as world:
        world.connect(ANNA)
        world.acquire(ANNA, count=2)
        await world.settled()
        world.on_gpu = (GpuProcess(4711, 1),)
        world.engine.post(SessionClosed(ANNA))
        await world.settled()
        states = {gpu.state for gpu in world.engine.state.gpus.values()}
        assert states == {GpuState.QUARANTINED}

        world.inspection_fails = True
        world.time += 1
        await world.settled()
        assert {gpu.state for gpu in world.engine.state.gpus.values()} == {GpuState.QUARANTINED}

        world.inspection_fails = False
        world.on_gpu = ()
        world.time += 1
        await world.settled()
        assert {gpu.state for gpu in world.engine.state.gpus.values()} == {GpuState.FREE}


async def test_strays_are_signalled_where_that_is_wanted() -> None:
    async with World(kill_orphans=True, quarantine_recheck=1.0).running() as world:
        world.connect(ANNA)
        world.acquire(ANNA)
        await world.settled()
        world.on_gpu = (GpuProcess(4711, 1),)
        world.engine.post(SessionClosed(ANNA))
        await world.settled()
        world.time += 1
        await world.settled()
        assert f"signal {int(signal.SIGTERM)} to stray 4711" in world.log


async def test_a_holder_that_does_not_let_go_is_signalled() -> None:
    async with World(revoke_grace=1.0, kill_grace=1.0).running() as world:
        anna = world.connect(ANNA)
        world.connect(BEN)
        world.acquire(ANNA)
        await world.settled()
        world.engine.post(RevokeRequested(BEN, 5, "0", "", None))
        await world.settled()
        world.time += 1
        await world.settled()
        assert world.log[-1] == f"signal {int(signal.SIGTERM)} to {anna.pid}"

        world.no_right_to.add(anna.pid)
        world.time += 1
        await world.settled()
        recall = world.engine.state.locks["L1-1"].recall
        assert recall is not None
        assert "no right to signal pid 1001" in recall.obstacle


async def test_a_holder_that_is_gone_when_it_is_to_be_signalled_has_died() -> None:
    async with World(revoke_grace=1.0).running() as world:
        anna = world.connect(ANNA)
        world.connect(BEN)
        world.acquire(ANNA)
        world.engine.post(RevokeRequested(BEN, 5, "0", "", None))
        await world.settled()
        world.dead.add(anna)
        world.time += 1
        await world.settled()
        assert world.engine.state.locks == {}
        assert "disconnect 1" in world.log


async def test_a_holder_that_cannot_be_signalled_for_any_reason_keeps_its_lock_and_status_says_why() -> None:
    async with World(revoke_grace=1.0).running() as world:
        world.connect(ANNA)
        world.connect(BEN)
        world.acquire(ANNA)
        world.engine.post(RevokeRequested(BEN, 5, "0", "", None))
        await world.settled()
        world.no_descriptor_left = True
        world.time += 1
        await world.settled()
        recall = world.engine.state.locks["L1-1"].recall
        assert recall is not None
        assert "Too many open files" in recall.obstacle


def kept_lock() -> Lock:
    owner = Owner(Process(4242, 7, BOOT), 1000, 1000, "anna")
    return Lock("L1-1", 2**32 + 1, ("GPU-0",), owner, None, None, Wish(1), 90.0, 91.0, float("inf"))


async def test_the_owner_of_a_lock_from_the_journal_is_watched_until_its_lock_ends() -> None:
    lock = kept_lock()
    async with World(reattach_grace=5.0).running(lock) as world:
        assert world.watched == ["watch 4242"]
        world.time += 5
        await world.settled()
        assert world.engine.state.locks == {}
        assert "forget 4242" in world.log


async def test_an_owner_that_ended_before_it_could_be_watched_has_died() -> None:
    world, lock = World(), kept_lock()
    world.dead.add(lock.owner.process)
    async with world.running(lock):
        assert world.engine.state.locks == {}


async def test_an_owner_that_cannot_be_watched_has_until_the_end_of_its_grace() -> None:
    world, lock = World(reattach_grace=5.0), kept_lock()
    world.no_descriptor_left = True
    async with world.running(lock):
        assert list(world.engine.state.locks) == ["L1-1"]
        world.time += 5
        await world.settled()
        assert world.engine.state.locks == {}
        assert "forget 4242" not in world.log  # or a session of that process would not be watched any more


async def test_whom_no_descriptor_was_left_to_watch_is_watched_once_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its GPU may wait for its end and for nothing else, where the driver cannot tell."""
    monkeypatch.setattr(engine, "WATCH_RETRY", 0.005)
    world, lock = World(reattach_grace=5.0), kept_lock()
    world.on_gpu, world.no_descriptor_left = None, True
    async with world.running(lock):
        world.time += 5
        await world.settled()
        quarantined = world.engine.state.gpus["GPU-0"].quarantine
        assert quarantined is not None
        assert quarantined.awaited is True
        world.no_descriptor_left = False
        world.dead.add(lock.owner.process)
        await eventually(lambda: world.engine.state.gpus["GPU-0"].quarantine is None, "its end is known")


async def test_a_nearer_deadline_replaces_the_timer() -> None:
    async with World().running() as world:
        world.connect(ANNA)
        world.acquire(ANNA, count=2)
        for session, wait in ((BEN, 600.0), (3, 0.02)):
            world.connect(session)
            world.acquire(session, wait_timeout=wait)
            await world.settled()
        world.time += 0.02
        await eventually(lambda: "refuse 3/1 wait-timeout" in world.log)


async def test_a_timer_that_rings_for_nothing_is_set_to_the_next_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World().running() as world:
        began = time.monotonic()
        monkeypatch.setattr(world, "now", lambda: world.time + time.monotonic() - began)
        world.connect(ANNA)
        world.acquire(ANNA, count=2)
        for session, wait in ((BEN, 0.02), (3, 0.04)):
            world.connect(session)
            world.acquire(session, wait_timeout=wait)
        await world.engine.turned()
        world.engine.post(SessionClosed(BEN))
        await eventually(lambda: "refuse 3/1 wait-timeout" in world.log)


async def test_a_holder_that_lets_go_in_the_turn_of_the_signal_is_left_alone() -> None:
    async with World(revoke_grace=1.0).running() as world:
        world.connect(ANNA)
        world.connect(BEN)
        world.acquire(ANNA)
        world.engine.post(RevokeRequested(BEN, 5, "0", "", None))
        await world.settled()
        world.log.clear()
        world.time += 1
        world.engine.post(ReleaseRequested(ANNA, 2, None))
        await world.settled()
        assert not [line for line in world.log if line.startswith("signal")]


async def test_after_stop_nothing_happens_any_more() -> None:
    async with World().running() as world:
        world.connect(ANNA)
        world.acquire(ANNA)
        await world.settled()
        world.log.clear()
        world.engine.stop()
        world.engine.post(SessionClosed(ANNA))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert world.log == []
        assert list(world.engine.state.locks) == ["L1-1"]


async def test_a_journal_that_fails_is_announced() -> None:
    async with World().running() as world:
        world.engine.post(JournalFailed("disk full"))
        await world.settled()
        assert world.events[-1].kind == "journal.failed"


async def test_what_contradicts_the_journal_ends_the_daemon_and_is_told_to_nobody() -> None:
    with pytest.RaisesGroup(sqlite3.IntegrityError, flatten_subgroups=True):
        async with World().running() as world:
            world.connect(ANNA)
            world.journal_contradicts = True
            world.acquire(ANNA)
            try:
                await asyncio.sleep(30)
            finally:
                assert world.log == []
