"""What one user may have of everything, on however many sessions; others notice nothing of it."""

from __future__ import annotations

import pytest

from gpulockd.core.events import AcquireRequested
from gpulockd.core.model import Wish

from .script import (
    Host,
    acquire,
    answered,
    cancel,
    disconnects,
    granted,
    inspect,
    nested,
    play,
    refused,
    release,
    released,
)

EVE, ANNA, BEN = 666, 1000, 1001


def test_waiting_requests_of_one_user() -> None:
    host = play(
        Host(gpus=1, max_requests_per_user=2),
        acquire("anna", uid=ANNA), granted("anna", 0),
        acquire("eve 1", uid=EVE),
        acquire("eve 2", uid=EVE),
        acquire("eve 3", uid=EVE), refused("eve 3", "limit-exceeded"),
        acquire("ben", uid=ANNA),
        cancel("eve 1"), refused("eve 1", "cancelled"), answered("eve 1"),
        acquire("eve 3", uid=EVE),
        disconnects("eve 2"),
        disconnects("eve 3"),
        acquire("eve 4", uid=EVE),
    )  # fmt: skip
    assert [request.owner.user for request in host.waiting] == ["ben", "eve 4"]


def test_the_error_says_how_many_there_are_and_which_setting_it_is() -> None:
    host = play(Host(gpus=1, max_requests_per_user=1), acquire("anna"), granted("anna", 0), acquire("ben"))
    refusal = host.machine.handle(AcquireRequested(host.session("carol"), 1, Wish(1)), host.now)[0].refusal  # type: ignore[union-attr]
    assert refusal.message == "uid 1000 has 1 waiting requests, as many as one user may have"
    assert "daemon.max_requests_per_user" in str(refusal.hint)


def test_locks_of_one_user() -> None:
    play(
        Host(gpus=3, max_locks_per_user=1),
        acquire("eve 1", uid=EVE), granted("eve 1", 0),
        acquire("eve 2", uid=EVE), refused("eve 2", "limit-exceeded"),
        acquire("eve 1", uid=EVE), nested("eve 1", 0),
        acquire("anna", uid=ANNA), granted("anna", 1),
        release("eve 1"), released("eve 1"),
        acquire("eve 2", uid=EVE), refused("eve 2", "limit-exceeded"),
        release("eve 1"), released("eve 1"),
        acquire("eve 2", uid=EVE), granted("eve 2", 0),
    )  # fmt: skip


@pytest.mark.parametrize("most", [1, 2])
def test_who_waited_before_its_user_had_as_many_is_refused_when_it_would_be_granted(most: int) -> None:
    """Whoever stands behind it does not wait for it."""
    host = play(
        Host(gpus=2, max_locks_per_user=most),
        acquire("anna", 2, uid=ANNA), granted("anna", 0, 1),
        acquire("eve 1", uid=EVE),
        acquire("eve 2", uid=EVE),
        acquire("ben", uid=BEN),
    )  # fmt: skip
    told = {
        1: (granted("eve 1", 0), refused("eve 2", "limit-exceeded"), granted("ben", 1)),
        2: (granted("eve 1", 0), granted("eve 2", 1)),
    }[most]
    play(host, release("anna"), released("anna"), *told)


def test_a_lock_in_quarantine_is_no_lock_any_more() -> None:
    play(
        Host(gpus=2, max_locks_per_user=1),
        acquire("eve 1", uid=EVE), granted("eve 1", 0),
        disconnects("eve 1"), inspect(0),
        acquire("eve 2", uid=EVE), granted("eve 2", 1),
    )  # fmt: skip
