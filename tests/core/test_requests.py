"""Who is granted what, and when: `core.requests` with `core.queue` and `core.placement`."""

from __future__ import annotations

import pytest

from gpulockd.core.actions import LockChanged, RequestWaits

from .script import (
    Host,
    Step,
    Told,
    acquire,
    answered,
    cancel,
    clear,
    disconnects,
    drains,
    granted,
    inspect,
    nested,
    passes,
    play,
    queued,
    refused,
    release,
    released,
    revokes,
    so,
    undrains,
    uuid,
)


def test_a_free_gpu_is_granted_at_once() -> None:
    play(Host(gpus=1), acquire("anna"), granted("anna", 0))


def test_first_come_first_served() -> None:
    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben"),
        acquire("cleo"),
        release("anna"), released("anna"), granted("ben", 0),
        release("ben"), released("ben"), granted("cleo", 0),
    )  # fmt: skip


def test_higher_priority_goes_first_but_not_for_ever() -> None:
    play(
        Host(gpus=1, priority_head_start=300),
        acquire("anna"), granted("anna", 0),
        acquire("early and low", wait=9999),
        passes(200),
        acquire("high", priority=1, wait=9999),
        passes(200),
        acquire("late and high", priority=1, wait=9999),
        release("anna"), released("anna"), granted("high", 0),
        release("high"), released("high"), granted("early and low", 0),
        release("early and low"), released("early and low"), granted("late and high", 0),
    )  # fmt: skip


def test_several_gpus_come_all_at_once_or_not_at_all() -> None:
    play(
        Host(gpus=2),
        acquire("anna"), granted("anna", 0),
        acquire("big", 2),
        so(lambda host: host.state.gpus[uuid(1)].lock is None),
        release("anna"), released("anna"), granted("big", 0, 1),
    )  # fmt: skip


def test_a_big_request_is_overtaken_only_so_often() -> None:
    host = Host(gpus=2, max_overtakes=2)
    play(
        host,
        acquire("anna", wait=9999), granted("anna", 0),
        acquire("big", 2),
        acquire("one"), granted("one", 1),
        release("one"), released("one"),
        acquire("two"), granted("two", 1),
        release("two"), released("two"),
        acquire("three"),
        so(lambda host: host.state.gpus[uuid(1)].lock is None),
        release("anna"), released("anna"), granted("big", 0, 1),
        release("big"), released("big"), granted("three", 0),
    )  # fmt: skip


def test_overtaking_counts_for_the_first_of_those_that_want_the_same_and_then_for_the_next() -> None:
    """So the second of them may be overtaken twice as often, and no more."""
    host = Host(gpus=2, max_overtakes=2)

    def overtaken(*most: int) -> Step:
        return so(lambda host: [each.overtaken for each in host.waiting][:2] == [*most])

    def two_go_ahead(*names: str) -> list[Step | Told]:
        return [step for name in names for step in (acquire(name), granted(name, 1), release(name), released(name))]

    play(
        host,
        acquire("anna", wait=9999), granted("anna", 0),
        acquire("first", 2), acquire("second", 2),
        *two_go_ahead("a", "b"), overtaken(2, 0),
        acquire("c"), overtaken(2, 0),
        disconnects("first"), granted("c", 1),
        release("c"), released("c"),
        *two_go_ahead("d"),
        acquire("e"),
        so(lambda host: host.state.gpus[uuid(1)].lock is None),
        release("anna"), released("anna"), granted("second", 0, 1),
        release("second"), released("second"), granted("e", 0),
    )  # fmt: skip


def test_nothing_is_kept_for_a_request_that_waiting_cannot_serve() -> None:
    play(
        Host(gpus=2, max_overtakes=0),
        drains("root", "0"), answered("root"),
        acquire("big", 2),
        acquire("small"), granted("small", 1),
        release("small"), released("small"),
        undrains("root", "0"), answered("root"), granted("big", 0, 1),
    )  # fmt: skip


def test_requests_for_different_gpus_do_not_wait_for_each_other() -> None:
    play(
        Host(gpus=2),
        acquire("anna", ("0",)), granted("anna", 0),
        acquire("ben", ("0",)),
        acquire("cleo", ("1",)), granted("cleo", 1),
        release("anna"), released("anna"), granted("ben", 0),
    )  # fmt: skip


@pytest.mark.parametrize("selector", ["1", uuid(1), uuid(1)[:12], "00000001", uuid(1).upper()[:12]])
def test_a_gpu_is_named_by_index_uuid_or_prefix(selector: str) -> None:
    play(Host(gpus=2), acquire("anna", (selector,)), granted("anna", 1))


@pytest.mark.parametrize(
    ("gpus", "code"),
    [
        (("7",), "unknown-gpu"),
        (("nonsense",), "unknown-gpu"),
        (("GPU-",), "unknown-gpu"),  # the beginning of both
        (("0", uuid(0)), "unsatisfiable"),
        (3, "unsatisfiable"),
    ],
)
def test_what_can_never_be_granted_is_refused_at_once(gpus: int | tuple[str, ...], code: str) -> None:
    play(Host(gpus=2), acquire("anna", gpus), refused("anna", code))


def test_who_does_not_wait_is_told_at_once() -> None:
    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben", wait=0), refused("ben", "busy"),
        release("anna"), released("anna"),
        acquire("ben", wait=0), granted("ben", 0),
    )  # fmt: skip


def test_a_wait_ends_when_its_time_is_over() -> None:
    host = play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben", wait=5),
        acquire("cleo", wait=50),
        passes(4.9),
        passes(0.1), refused("ben", "wait-timeout"),
        release("anna"), released("anna"), granted("cleo", 0),
    )  # fmt: skip
    assert "request.timed-out" in host.kinds()


def test_who_is_due_at_the_moment_of_a_release_has_timed_out() -> None:
    def release_late(host: Host) -> object:
        host.now += 5
        return release("anna")(host)

    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben", wait=5),
        release_late, refused("ben", "wait-timeout"), released("anna"),
    )  # fmt: skip


def test_a_cancelled_request_is_answered_and_forgotten() -> None:
    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben", msgid=9),
        cancel("ben", 9), refused("ben", "cancelled"), answered("ben"),
        cancel("ben", 9), refused("ben", "invalid-request"),
        release("anna"), released("anna"),
    )  # fmt: skip


def test_a_client_that_goes_leaves_no_request() -> None:
    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben"),
        disconnects("ben"),
        so(lambda host: not host.state.requests),
        release("anna"), released("anna"),
    )  # fmt: skip


def test_a_message_id_in_use_is_refused() -> None:
    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben", msgid=4),
        acquire("ben", msgid=4), refused("ben", "invalid-request"),
    )  # fmt: skip


def test_a_request_that_was_answered_with_another_of_its_session_is_not_written_down_again() -> None:
    """It was passed over in the same round, before the other was granted; others overtake it no more."""
    host = play(
        Host(gpus=3),
        acquire("anna", ("0",)), granted("anna", 0),
        acquire("ben", ("1", "2")), granted("ben", 1, 2),
        acquire("carol", 3, msgid=1),
        acquire("carol", 1, msgid=2),
        acquire("dora"),
        release("ben"), released("ben"), granted("carol", 1), refused("carol", "nested-request"), granted("dora", 2),
    )  # fmt: skip
    waits = [record.request.id for record in host.records if isinstance(record, RequestWaits)]
    assert waits == ["R1-3", "R1-4", "R1-5", "R1-3"], "the last of them before it was answered"


def test_what_was_kept_for_a_request_that_was_answered_with_its_sibling_is_granted_in_the_same_turn() -> None:
    play(
        Host(gpus=4, max_overtakes=0),
        acquire("anna", ("2",)), granted("anna", 2),
        acquire("ben", ("3",)), granted("ben", 3),
        acquire("carol", ("0", "1", "2"), msgid=1),
        acquire("carol", ("3",), msgid=2),
        acquire("anna", ("3",)),
        acquire("dora", ("0",)),
        release("ben"), released("ben"), granted("carol", 3), refused("carol", "deadlock"), granted("dora", 0),
    )  # fmt: skip


def test_a_session_has_so_many_waiting_requests_and_no_more() -> None:
    play(
        Host(gpus=1, max_requests_per_session=2),
        acquire("anna"), granted("anna", 0),
        acquire("ben"),
        acquire("ben"),
        acquire("ben"), refused("ben", "limit-exceeded"),
    )  # fmt: skip


def test_a_holder_that_asks_again_is_answered_by_its_own_lock() -> None:
    play(
        Host(gpus=2),
        acquire("anna"), granted("anna", 0),
        acquire("anna"), nested("anna", 0),
        release("anna"), released("anna"),
        so(lambda host: host.state.gpus[uuid(0)].lock is not None),
        release("anna"), released("anna"),
        so(lambda host: host.state.gpus[uuid(0)].lock is None),
    )  # fmt: skip


def test_a_holder_that_asks_for_more_is_refused_at_once() -> None:
    play(
        Host(gpus=3),
        acquire("anna"), granted("anna", 0),
        acquire("anna", 2), refused("anna", "nested-request"),
        acquire("anna", ("0", "1")), refused("anna", "nested-request"),
        acquire("anna", ("2",)), granted("anna", 2),
    )  # fmt: skip


def test_a_child_of_the_holder_is_answered_by_the_lock_it_runs_under() -> None:
    host = play(Host(gpus=1), acquire("anna", uid=1000), granted("anna", 0))
    lock = host.lock("anna").id
    play(
        host,
        acquire("child", uid=1000, within=lock), nested("child", 0),
        acquire("other user", uid=2000, within=lock, wait=0), refused("other user", "busy"),
        disconnects("child"),
        so(lambda host: host.state.gpus[uuid(0)].lock == lock),
        acquire("late child", within="L0-0", wait=0), refused("late child", "busy"),
    )  # fmt: skip


def test_a_second_waiting_request_of_a_session_never_waits_for_itself() -> None:
    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben", msgid=1),
        acquire("ben", msgid=2),
        release("anna"), released("anna"), granted("ben", 0), nested("ben", 0),
    )  # fmt: skip


def test_no_other_request_of_a_session_waits_for_the_lock_that_it_was_just_granted() -> None:
    play(
        Host(gpus=3),
        acquire("anna", 3), granted("anna", 0, 1, 2),
        acquire("ben", ("0",), msgid=1),
        acquire("ben", ("0", "1"), msgid=2),
        acquire("ben", ("2",), msgid=3),
        release("anna"), released("anna"), granted("ben", 0), refused("ben", "nested-request"), granted("ben", 2),
    )  # fmt: skip


def test_a_holder_of_several_locks_waits_for_none_of_them() -> None:
    host = play(
        Host(gpus=3),
        acquire("anna", ("0",)), granted("anna", 0),
        acquire("anna", ("1",)), granted("anna", 1),
        acquire("anna", ("1",)), nested("anna", 1),
        acquire("anna", 1), nested("anna", 0),
        acquire("anna", ("1", "2")), refused("anna", "nested-request"),
    )  # fmt: skip
    assert sorted(lock.depth for lock in host.state.locks.values()) == [2, 2]


def test_a_holder_waits_neither_for_itself_nor_for_the_lock_that_it_runs_under() -> None:
    host = play(Host(gpus=3), acquire("anna", ("0",)), granted("anna", 0))
    lock = host.lock("anna").id
    play(
        host,
        acquire("child", ("1",), within=lock), granted("child", 1),
        acquire("child", ("0",), within=lock), nested("child", 0),
        acquire("child", ("1",), within=lock), nested("child", 1),
    )  # fmt: skip
    play(host, acquire("grandchild", ("0",), within=host.lock("child").id), nested("grandchild", 0))


def test_a_lock_that_is_being_taken_back_is_handed_to_nobody_inside_of_it() -> None:
    host = play(
        Host(gpus=2),
        acquire("anna", ("0",)), granted("anna", 0),
        revokes("root", "0"), answered("root"),
        acquire("anna"), refused("anna", "lost"),
    )  # fmt: skip
    play(host, acquire("child", within=host.lock("anna").id), refused("child", "lost"))
    assert host.lock("anna").depth == 1


def test_how_often_a_lock_was_acquired_is_recorded() -> None:
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    host.records.clear()
    play(host, acquire("anna"), nested("anna", 0), release("anna"), released("anna"))
    assert host.records == [LockChanged(host.lock("anna"))] * 2


def test_positions_are_told_to_those_who_asked_when_they_change() -> None:
    wants = frozenset({"queued"})
    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben"),
        acquire("cleo", notify=wants),
        passes(0), queued("cleo", 2),
        passes(30),
        release("anna"), released("anna"), granted("ben", 0),
        passes(0.5),
        passes(0.5), queued("cleo", 1),
        release("ben"), released("ben"), granted("cleo", 0),
        passes(30),
    )  # fmt: skip


def test_locks_freed_by_disconnects_go_on_in_order() -> None:
    play(
        Host(gpus=2),
        acquire("anna", 2), granted("anna", 0, 1),
        acquire("ben"),
        acquire("cleo"),
        disconnects("anna"), inspect(0), inspect(1),
        clear(1), granted("ben", 1),
        clear(0), granted("cleo", 0),
    )  # fmt: skip
