"""What history keeps of requests that ended without a lock: each that waited, and many together that did not."""

from __future__ import annotations

from gpulockd.core.actions import RequestLeft, RequestUnmet
from gpulockd.core.unmet import KINDS, TOGETHER

from . import test_adopted as adopted, test_places as places
from .script import (
    Host,
    acquire,
    answered,
    cancel,
    claim,
    disconnects,
    granted,
    happens,
    hello,
    inspect,
    nested,
    passes,
    play,
    refused,
    release,
    released,
    uuid,
    welcomed,
)


def taken() -> Host:
    """Anna has the only GPU."""
    return play(Host(gpus=1), acquire("anna"), granted("anna", 0))


def unmet(host: Host) -> list[tuple[str, str, float, int]]:
    """Who got no lock, how that ended, after how many seconds, and how often."""
    return [
        (record.request.owner.user, record.how, record.at - record.request.queued_at, record.times)
        for record in host.records
        if isinstance(record, RequestUnmet)
    ]


def test_who_waited_in_vain_is_recorded_with_the_wait() -> None:
    host = play(taken(), acquire("ben", wait=20), passes(20), refused("ben", "wait-timeout"))
    assert unmet(host) == [("ben", "timeout", 20.0, 1)]
    assert isinstance(host.records[-2], RequestLeft), "in the same turn"


def test_so_is_who_cancels_and_who_goes() -> None:
    host = play(
        taken(),
        acquire("ben"),
        passes(5), cancel("ben"), refused("ben", "cancelled"), answered("ben"),
        acquire("cleo"),
        passes(7), disconnects("cleo"),
    )  # fmt: skip
    assert unmet(host) == [("ben", "cancelled", 5.0, 1), ("cleo", "withdrawn", 7.0, 1)]


def test_who_gets_a_lock_is_none_of_them() -> None:
    host = play(taken(), acquire("ben"), release("anna"), released("anna"), granted("ben", 0), passes(2 * TOGETHER))
    assert unmet(host) == []


def test_who_does_not_wait_is_recorded_with_all_the_others_that_did_not() -> None:
    host = taken()
    for _ in range(1000):
        play(host, acquire("ben", wait=0, task="poll"), refused("ben", "busy"))
    play(host, acquire("ben", wait=0, task="other"), refused("ben", "busy"), passes(TOGETHER - 1))
    assert unmet(host) == []
    play(host, passes(1))
    assert unmet(host) == [("ben", "busy", 0.0, 1000), ("ben", "busy", 0.0, 1)]
    play(host, passes(TOGETHER))
    assert len(unmet(host)) == 2, "once"


def test_as_many_tasks_as_they_may_name_no_more_than_so_many_are_kept_in_mind() -> None:
    host = taken()
    for number in range(KINDS - 1):
        play(host, acquire("ben", wait=0, task=f"task {number}"), refused("ben", "busy"))
    assert unmet(host) == []
    play(host, acquire("ben", wait=0, task="one more"), refused("ben", "busy"))
    assert len(unmet(host)) == KINDS
    play(host, passes(TOGETHER))
    assert len(unmet(host)) == KINDS
    assert host.machine.turn.turned_away == {}


def test_a_circle_is_refused_at_once_and_told_with_its_name() -> None:
    host = play(
        Host(gpus=2),
        acquire("anna", (uuid(0),)), granted("anna", 0),
        acquire("ben", (uuid(1),)), granted("ben", 1),
        acquire("anna", (uuid(1),)),
        acquire("ben", (uuid(0),)), refused("ben", "deadlock"),
        passes(TOGETHER),
    )  # fmt: skip
    assert unmet(host) == [("ben", "deadlock", 0.0, 1)]


def test_a_lease_that_is_not_there_is_no_business_of_other_holders() -> None:
    host = play(
        Host(gpus=1, claimed=False), acquire("ben", wait=0), refused("ben", "lease-unavailable"), passes(TOGETHER)
    )
    assert unmet(host) == [("ben", "refused", 0.0, 1)]


def test_so_is_who_is_refused_after_a_wait_because_its_user_holds_too_much_by_then() -> None:
    host = play(
        Host(gpus=2, max_locks_per_user=1),
        acquire("anna", 2), granted("anna", 0, 1),
        acquire("eve 1", uid=666),
        acquire("eve 2", uid=666),
        passes(3), release("anna"), released("anna"), granted("eve 1", 0), refused("eve 2", "limit-exceeded"),
    )  # fmt: skip
    assert unmet(host) == [("eve 2", "refused", 3.0, 1)]


def test_so_is_who_is_refused_for_what_another_request_of_its_session_was_granted() -> None:
    host = play(
        Host(gpus=2),
        acquire("anna", 2), granted("anna", 0, 1),
        acquire("ben", (uuid(0),), msgid=1),
        acquire("ben", 2, msgid=2),
        acquire("ben", (uuid(0),), msgid=3),
        passes(4), release("anna"), released("anna"),
        granted("ben", 0), refused("ben", "nested-request"), nested("ben", 0),
    )  # fmt: skip
    assert unmet(host) == [("ben", "refused", 4.0, 1)]


def test_so_is_who_waited_for_a_gpu_that_is_gone_after_a_restart_connected_or_not() -> None:
    before = play(
        Host(gpus=2),
        acquire("anna", 2), granted("anna", 0, 1),
        acquire("ben", (uuid(1),)),
        hello("cleo", "key of cleo"), welcomed("cleo"), acquire("cleo", (uuid(1),)),
    )  # fmt: skip
    after = adopted.After(before, gpus=1)
    play(
        after.host,
        after.adopts("anna"), after.adopts("ben"),
        after.restores(), refused("ben", "unknown-gpu"), claim(0, floor=1),
    )  # fmt: skip
    assert unmet(after.host) == [("ben", "refused", 5.0, 1), ("cleo", "refused", 5.0, 1)]


def test_so_is_who_ended_or_whose_wait_was_over_while_no_daemon_ran() -> None:
    before = play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        hello("ben", "key of ben"), welcomed("ben"), acquire("ben"),
        hello("cleo", "key of cleo"), welcomed("cleo"), acquire("cleo", wait=4),
        acquire("dora"),
    )  # fmt: skip
    after = places.After(before, "anna", "ben")
    play(
        after.host,
        happens(after.start), after.watched("anna"), after.unwatched("anna"), inspect(0), claim(0, floor=1),
    )  # fmt: skip
    assert unmet(after.host) == [
        ("ben", "withdrawn", 5.0, 1),
        ("cleo", "timeout", 5.0, 1),
        ("dora", "withdrawn", 5.0, 1),
    ]
