"""Locks, as every client sees them."""

from __future__ import annotations

import os
import time
from concurrent.futures import Future
from typing import Any

import pytest

import gpulock
from tests.support.daemon import Daemon
from tests.support.waiting import PATIENCE, wait_until
from tests.support.workers import Held, Worker

from .conftest import GPUS, NewWorker

ALL = {"gpus": GPUS}


def waiting(daemon: Daemon) -> int:
    return len(daemon.call("queue")["queue"])


def queue_up(daemon: Daemon, worker: Worker, **wish: Any) -> Future[Held]:
    """Begins to acquire, and returns once the daemon has the request in its queue."""
    before = waiting(daemon)
    request = worker.begin(**wish)
    wait_until(lambda: waiting(daemon) == before + 1, "the request is queued")
    return request


def test_a_grant_tells_what_was_granted(new_worker: NewWorker, daemon: Daemon) -> None:
    held = new_worker().acquire(gpus=2, task="ocr")
    status = daemon.status()
    [lock] = status["locks"]
    uuids = [status["gpus"][index]["uuid"] for index in held.gpus]
    assert (lock["id"], lock["token"], lock["task"]) == (held.id, held.token, "ocr")
    assert lock["gpus"] == uuids
    assert lock["owner"]["pid"] == os.getpid()
    assert not held.nested
    assert held.env == {
        "CUDA_VISIBLE_DEVICES": ",".join(uuids),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "GPULOCK_LOCK": held.id,
        "GPULOCK_TOKEN": str(held.token),
    }


def test_a_gpu_has_one_holder_and_goes_on_when_it_is_released(new_worker: NewWorker, daemon: Daemon) -> None:
    first, second = new_worker(), new_worker()
    held = first.acquire(**ALL)
    request = queue_up(daemon, second, gpus=1)
    assert not request.done()
    first.release(held)
    assert request.result(PATIENCE).token > held.token


def test_first_come_first_served(new_worker: NewWorker, daemon: Daemon) -> None:
    holder, waiters = new_worker(), [new_worker() for _ in range(5)]
    held = holder.acquire(**ALL)
    requests = [queue_up(daemon, worker, **ALL) for worker in waiters]
    holder.release(held)
    tokens = [held.token]
    for worker, request in zip(waiters, requests, strict=True):
        granted = request.result(PATIENCE)
        tokens.append(granted.token)
        worker.release(granted)
    assert tokens == sorted(tokens), "they were granted in the order in which they came"


def test_priority_goes_before_arrival(new_worker: NewWorker, daemon: Daemon) -> None:
    holder, patient, urgent = new_worker(), new_worker(), new_worker()
    held = holder.acquire(**ALL)
    later = queue_up(daemon, patient, **ALL)
    sooner = queue_up(daemon, urgent, **ALL, priority=5)
    holder.release(held)
    got = sooner.result(PATIENCE)
    assert not later.done()
    urgent.release(got)
    patient.release(later.result(PATIENCE))


def test_several_gpus_are_granted_all_at_once_or_not_at_all(new_worker: NewWorker, daemon: Daemon) -> None:
    one, all_of_them = new_worker(), new_worker()
    held = one.acquire(gpus=1)
    request = queue_up(daemon, all_of_them, **ALL)
    free = [gpu for gpu in daemon.status()["gpus"] if gpu["state"] == "free"]
    assert len(free) == GPUS - 1
    one.release(held)
    assert sorted(request.result(PATIENCE).gpus) == list(range(GPUS))


def test_gpus_are_named_by_index_uuid_or_the_beginning_of_one(new_worker: NewWorker, daemon: Daemon) -> None:
    uuids = [gpu["uuid"] for gpu in daemon.status()["gpus"]]
    for selectors, expected in (
        (["1"], (1,)),
        ([2], (2,)),
        ([uuids[1]], (1,)),
        ([uuids[2][:12]], (2,)),
        ([uuids[0], "2"], (0, 2)),
    ):
        worker = new_worker()
        held = worker.acquire(gpus=selectors)
        assert tuple(sorted(held.gpus)) == expected
        worker.release(held)


def test_tokens_only_grow(new_worker: NewWorker) -> None:
    worker = new_worker()
    tokens = []
    for _ in range(5):
        held = worker.acquire(**ALL)
        worker.release(held)
        tokens.append(held.token)
    assert tokens == sorted(set(tokens))


def test_who_does_not_want_to_wait_is_told_who_is_in_the_way(new_worker: NewWorker) -> None:
    new_worker().acquire(**ALL, task="training")
    with pytest.raises(gpulock.Busy, match="training") as caught:
        new_worker().acquire(wait_timeout=0)
    assert caught.value.data["holders"][0]["pid"] == os.getpid()


def test_a_wait_ends_when_its_time_is_over(new_worker: NewWorker, daemon: Daemon) -> None:
    new_worker().acquire(**ALL)
    began = time.monotonic()
    with pytest.raises(gpulock.LockTimeout):
        new_worker().acquire(wait_timeout=0.3)
    assert 0.3 <= time.monotonic() - began < PATIENCE
    assert waiting(daemon) == 0


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"gpus": ["7"]}, gpulock.UnknownGpu),
        ({"gpus": ["GPU-nothing-like-it"]}, gpulock.UnknownGpu),
        ({"gpus": GPUS + 1}, gpulock.Unsatisfiable),
        ({"gpus": 0}, gpulock.InvalidRequest),
        ({"gpus": []}, gpulock.InvalidRequest),
        ({"wait_timeout": "soon"}, gpulock.InvalidRequest),
        ({"max_hold": "9d"}, gpulock.InvalidRequest),
        ({"priority": 99}, gpulock.InvalidRequest),
    ],
)
def test_an_error_keeps_its_type(new_worker: NewWorker, wish: dict[str, Any], error: type[Exception]) -> None:
    worker = new_worker()
    with pytest.raises(gpulock.GpulockError) as caught:
        worker.acquire(**wish)
    assert type(caught.value) is error
    worker.acquire(gpus=1)  # and the worker goes on


def test_who_gives_up_waiting_leaves_no_request(new_worker: NewWorker, daemon: Daemon) -> None:
    new_worker().acquire(**ALL)
    new_worker().give_up_waiting(lambda: waiting(daemon) == 1, gpus=1)
    wait_until(lambda: waiting(daemon) == 0, "the request is gone")


def test_a_lock_ends_with_its_connection(new_worker: NewWorker, daemon: Daemon) -> None:
    careless, next_one = new_worker(), new_worker()
    held = careless.acquire(**ALL)
    request = queue_up(daemon, next_one, **ALL)
    careless.disconnect(held)
    assert request.result(PATIENCE).token > held.token


class TestInsideOfALock:
    def test_the_same_lock_is_given_at_once(self, new_worker: NewWorker) -> None:
        outer, inner = new_worker().acquire_twice({"gpus": 1}, gpus=2)
        assert inner.nested
        assert (inner.id, inner.token, inner.gpus) == (outer.id, outer.token, outer.gpus)

    def test_releasing_it_leaves_the_outer_one(self, new_worker: NewWorker, daemon: Daemon) -> None:
        worker = new_worker()
        outer, inner = worker.acquire_twice({"gpus": 1}, gpus=2)
        worker.release(inner)
        assert [lock["id"] for lock in daemon.status()["locks"]] == [outer.id]
        worker.release(outer)
        wait_until(lambda: not daemon.status()["locks"], "the outer release ends it")

    def test_more_than_it_has_is_refused_instead_of_waited_for(self, new_worker: NewWorker) -> None:
        with pytest.raises(gpulock.NestedRequest):
            new_worker().acquire_twice({"gpus": 2}, gpus=1)

    def test_others_are_strangers_to_it(self, new_worker: NewWorker) -> None:
        assert new_worker().acquire(gpus=1).id != new_worker().acquire(gpus=1).id


def test_the_longest_hold_can_be_moved(new_worker: NewWorker, daemon: Daemon) -> None:
    worker = new_worker()
    held = worker.acquire(max_hold=60)
    assert worker.extend(held, 600) == pytest.approx(600, abs=1)
    assert daemon.status()["locks"][0]["time_left"] == pytest.approx(600, abs=5)


def test_a_beat_tells_how_far_the_task_is(new_worker: NewWorker, daemon: Daemon) -> None:
    worker = new_worker()
    held = worker.acquire()
    worker.beat(held, 0.25, "page 5 of 20")
    [lock] = daemon.status()["locks"]
    assert (lock["progress"], lock["note"]) == (0.25, "page 5 of 20")


def test_a_lock_that_is_revoked_is_lost_to_its_holder(new_worker: NewWorker, daemon: Daemon) -> None:
    worker = new_worker()
    held = worker.acquire()
    assert worker.lost(held) is None
    daemon.call("revoke", subject=held.id, reason="maintenance")
    assert wait_until(lambda: worker.lost(held), "the holder hears of it") == "revoked"
    with pytest.raises(gpulock.LockLost):
        worker.leave_block(held)
    wait_until(lambda: not daemon.status()["locks"], "leaving the block released it")


def test_a_lock_past_its_longest_hold_is_lost(new_worker: NewWorker) -> None:
    worker = new_worker()
    held = worker.acquire(max_hold=0.2)
    assert wait_until(lambda: worker.lost(held), "the holder hears of it") == "max-hold"
    with pytest.raises(gpulock.LockLost):
        worker.leave_block(held)


def test_leaving_a_block_in_time_is_no_loss(new_worker: NewWorker, daemon: Daemon) -> None:
    worker = new_worker()
    worker.leave_block(worker.acquire())
    wait_until(lambda: not daemon.status()["locks"], "it is released")
