"""The invariants themselves: whatever is made untrue by hand must be found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpulockd.core.deadlines import Alarm
from gpulockd.core.invariants import InvariantBroken, check
from gpulockd.core.model import GpuState, LeaseHolder, LockState

from .script import Host, acquire, disconnects, granted, inspect, play, uuid


@pytest.fixture
def host() -> Host:
    """GPU 0 held by anna, 1 by ben, 2 in quarantine after cleo, 3 free; dora waits for 0, emil for 1 as well."""
    return play(
        Host(gpus=4),
        acquire("anna"), granted("anna", 0),
        acquire("ben"), granted("ben", 1),
        acquire("cleo"), granted("cleo", 2),
        disconnects("cleo"), inspect(2),
        acquire("dora", ("0",)),
        acquire("emil", ("0", "1")),
    )  # fmt: skip


Sabotage = Callable[[Host, Any], object]


def forget_the_session(host: Host, state: Any) -> None:
    del state.sessions[host.session("dora")]


def lend_a_gpu_twice(host: Host, state: Any) -> None:
    host.lock("ben").gpus = (uuid(0),)


@pytest.mark.parametrize(
    ("sabotage", "said"),
    [
        (lambda host, state: setattr(state.gpus[uuid(0)], "state", GpuState.FREE), "is free, and its lock is L1-1"),
        (lambda host, state: setattr(state.gpus[uuid(2)], "quarantine", None), "and its quarantine is None"),
        (lambda host, state: setattr(state.gpus[uuid(0)], "lock", "L1-2"), "held by L1-2, which does not hold it"),
        (
            lambda host, state: setattr(state.gpus[uuid(3)], "elsewhere", LeaseHolder("other", 1)),
            "is leased here and elsewhere",
        ),
        (lambda host, state: setattr(state, "all_gpus", frozenset()), "all_gpus are not all GPUs"),
        (lambda host, state: setattr(state, "by_index", {0: []}), "by_index has not every GPU at its index"),
        (lambda host, state: setattr(host.lock("ben"), "token", host.lock("anna").token), "two locks have one token"),
        (lambda host, state: setattr(state, "last_token", 0), "larger than the last one given out"),
        (lend_a_gpu_twice, "law 1: a GPU is in two locks"),
        (lambda host, state: state.sessions[host.session("anna")].locks.clear(), "not among its session's locks"),
        (lambda host, state: setattr(host.lock("anna"), "state", LockState.KILLING), "and its recall is None"),
        (lambda host, state: setattr(host.lock("anna"), "depth", 0), "is held 0 times"),
        (
            lambda host, state: state.sessions[host.session("dora")].locks.add(host.lock("anna").id),
            "names L1-1, which is not its own",
        ),
        (
            lambda host, state: state.sessions[host.session("anna")].requests.update({9: "R1-99"}),
            "names R1-99, which does not wait",
        ),
        (forget_the_session, "waits for a session that is gone"),
        (
            lambda host, state: setattr(next(iter(state.requests.values())), "candidates", frozenset({"no such GPU"})),
            "waits for GPUs that do not exist",
        ),
        (lambda host, state: host.machine.turn.idle.clear(), "and the index says []"),
        (
            lambda host, state: setattr(next(iter(state.requests.values())), "candidates", frozenset({uuid(3)})),
            "is first, could be granted, and waits",
        ),
        (
            lambda host, state: host.machine.turn.deadlines.clear(Alarm.WAIT_END, next(iter(state.requests))),
            "and its deadline is None",
        ),
        (lambda host, state: setattr(host.lock("anna"), "session", None), "and may stay so for ever"),
        (lambda host, state: host.machine.turn.inspecting.clear(), "stands in quarantine, and nobody looks again"),
    ],
)
def test_what_is_made_untrue_is_found(host: Host, sabotage: Sabotage, said: str) -> None:
    check(host.machine)
    sabotage(host, host.state)
    with pytest.raises(InvariantBroken) as caught:
        check(host.machine)
    assert said in str(caught.value)


def test_a_request_that_waits_for_ever_has_no_deadline(host: Host) -> None:
    request = next(iter(host.state.requests.values()))
    request.wish = replace(request.wish, wait_timeout=math.inf)
    with pytest.raises(InvariantBroken, match="waits inf s, and its deadline is"):
        check(host.machine)
