"""Holders that would wait for each other: the last of them is refused, and told of all."""

from __future__ import annotations

from typing import Any

from gpulockd.core.actions import Refuse
from gpulockd.core.events import AcquireRequested
from gpulockd.core.model import Wish

from .script import Host, acquire, granted, nested, play, refused, release, released

BOTH = (acquire("anna", ("0",)), granted("anna", 0), acquire("ben", ("1",)), granted("ben", 1))


def test_the_request_that_closes_a_circle_is_refused() -> None:
    play(
        Host(gpus=2), *BOTH,
        acquire("anna", ("1",)),
        acquire("ben", ("0",)), refused("ben", "deadlock"),
        release("ben"), released("ben"), granted("anna", 1),
    )  # fmt: skip


def test_a_circle_of_three_is_one_and_two_of_them_are_none() -> None:
    play(
        Host(gpus=3), *BOTH,
        acquire("carl", ("2",)), granted("carl", 2),
        acquire("anna", ("1",)),
        acquire("ben", ("2",)),
        acquire("carl", ("0",)), refused("carl", "deadlock"),
    )  # fmt: skip


def test_who_holds_nothing_waits_for_a_circle_without_being_part_of_it() -> None:
    play(
        Host(gpus=2), *BOTH,
        acquire("anna", ("1",)),
        acquire("dora", ("0",)),
        acquire("dora", ("0", "1")),
        acquire("ben", ("0",)), refused("ben", "deadlock"),
    )  # fmt: skip


def test_who_can_be_served_by_somebody_else_is_in_no_circle() -> None:
    """Carl waits for nobody, so one of the two GPUs that Ben wants will be free."""
    play(
        Host(gpus=4),
        *BOTH,
        acquire("carl", ("2",)), granted("carl", 2),
        acquire("dora", ("3",)), granted("dora", 3),
        acquire("anna", ("1",)),
        acquire("ben", ("2", "3")),
        acquire("carl", ("3",)),
        acquire("dora", ("0",)), refused("dora", "deadlock"),
        release("dora"), released("dora"), granted("carl", 3),
    )  # fmt: skip


def test_who_does_not_wait_closes_no_circle() -> None:
    play(
        Host(gpus=2), *BOTH,
        acquire("anna", ("1",)),
        acquire("ben", ("0",), wait=0), refused("ben", "busy"),
    )  # fmt: skip


def test_a_child_waits_in_the_name_of_the_lock_that_it_runs_under() -> None:
    host = play(Host(gpus=2), *BOTH)
    anna, ben = host.lock("anna").id, host.lock("ben").id
    play(
        host,
        acquire("anna's child", ("1",), within=anna),
        acquire("ben's child", ("1",), within=ben), nested("ben's child", 1),
        acquire("ben's child", ("0",), within=ben), refused("ben's child", "deadlock"),
        acquire("stranger", ("0",), uid=2000, within=ben),
    )  # fmt: skip


def test_a_grant_may_close_a_circle_too() -> None:
    """Ben waits for both GPUs in two requests. He is granted the one that Anna waits for, who has the other."""
    play(
        Host(gpus=2),
        acquire("carl", ("0",)), granted("carl", 0),
        acquire("anna", ("1",)), granted("anna", 1),
        acquire("ben", ("0",), msgid=1),
        acquire("ben", ("1",), msgid=2),
        acquire("anna", ("0",)),
        release("carl"), released("carl"), granted("ben", 0), refused("ben", "deadlock"),
        release("ben"), released("ben"), granted("anna", 0),
    )  # fmt: skip


def refusal(host: Host, name: str, *gpus: str, **wish: Any) -> dict[str, Any]:
    wanted = Wish(len(gpus), gpus, wait_timeout=10, **wish)
    (told,) = [
        action
        for action in host.machine.handle(AcquireRequested(host.session(name), 99, wanted), host.now)
        if isinstance(action, Refuse)
    ]
    return {"message": told.refusal.message, **told.refusal.data}


def test_the_circle_is_spelled_out() -> None:
    host = play(Host(gpus=2), *BOTH, acquire("anna", ("1",)))
    told = refusal(host, "ben", "0")
    anna, ben = host.lock("anna"), host.lock("ben")
    assert told["message"] == (
        f"nobody would ever let go: ben (pid {ben.owner.process.pid}) holds GPU 1 as {ben.id} and waits for GPU 0; "
        f"anna (pid {anna.owner.process.pid}) holds GPU 0 as {anna.id} and waits for GPU 1"
    )
    assert [(link["lock"], link["holds"], link["waits_for"]) for link in told["circle"]] == [
        (ben.id, [1], [0]),
        (anna.id, [0], [1]),
    ]


def test_it_names_the_process_that_waits_inside_a_lock() -> None:
    host = play(Host(gpus=2), *BOTH, acquire("anna", ("1",)))
    told = refusal(host, "child", "0", within=host.lock("ben").id)
    child = host.state.sessions[host.session("child")].owner.process.pid
    assert f"holds GPU 1 as {host.lock('ben').id} and child (pid {child}) in it waits for GPU 0" in told["message"]
    assert told["circle"][0]["waiting_pid"] == child
