"""What the state looks like from outside has the forms that `gpulock.documents` promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpulock import documents
from gpulockd.core import views
from gpulockd.core.actions import Answer, Refused
from gpulockd.core.events import JournalFailed, SignalRefused
from gpulockd.core.model import GpuProcess, LeaseHolder
from tests.support.shape import misfits

from .script import (
    GIB,
    RENEW,
    Host,
    acquire,
    answered,
    claim,
    claimed,
    disconnects,
    drains,
    granted,
    happens,
    inspect,
    lost,
    passes,
    play,
    renewed,
    revokes,
    sampled,
    seen,
    signalled,
    uuid,
)
from .test_sessions import after_restart


@pytest.fixture
def host() -> Host:
    """A host with one of everything: held, recalled, quarantined, drained, sick, elsewhere, waiting."""
    host = Host(gpus=7)
    elsewhere = LeaseHolder("other-host", 4242)
    return play(
        host,
        acquire("anna", task="ocr", labels={"team": "docs"}), granted("anna", 0),
        acquire("ben", notify=frozenset({"lost"})), granted("ben", 1),
        acquire("cleo"), granted("cleo", 2),
        disconnects("cleo"), inspect(2), seen(2, 4711),
        passes(0.5),
        revokes("root", "1"), lost("ben", "revoked"), answered("root"),
        drains("root", "3"), answered("root"),
        sampled(4, fault="GPU is lost"),
        sampled(0, memory_used=GIB, utilization=0.5, processes=(GpuProcess(10001, GIB), GpuProcess(5, None)),
                kin=frozenset({10001})),
        renewed(lost={5: elsewhere, 6: None}), claim(5, 6, floor=1, held=(0, 1, 2, 3, 4)),
        claimed(2, 6, refused={5: elsewhere}),
        acquire("dora", 3, priority=2),
        acquire("emil", ("0", "1")),
    )  # fmt: skip


def test_status_has_the_promised_form(host: Host) -> None:
    document = views.status(host.state, host.now)
    assert misfits({**document, "daemon": None}, documents.StatusDocument) == ["$.daemon: None is no DaemonView"]
    states = {gpu["index"]: gpu["state"] for gpu in document["gpus"]}
    assert states == {0: "held", 1: "held", 2: "quarantined", 3: "free", 4: "free", 5: "free", 6: "free"}
    blocked = [gpu["blocked"] for gpu in document["gpus"]]
    assert blocked[3] == ["drained: cleaning"]
    assert blocked[4] == ["sick: GPU is lost"]
    assert blocked[5] == ["leased by host other-host, pid 4242"]
    assert blocked[6] == []
    assert [process["relation"] for process in document["gpus"][0]["processes"]] == ["holder", "foreign"]
    assert [(request["position"], request["owner"]["user"]) for request in document["queue"]] == [
        (1, "dora"),
        (2, "emil"),
    ]


@pytest.mark.parametrize(
    ("view", "form"),
    [
        (views.queue, documents.QueueDocument),
        (lambda state, now: views.why(state, now, "2"), documents.WhyDocument),
        (lambda state, now: views.why(state, now, "pid:10001"), documents.WhyDocument),
        (lambda state, now: views.describe(state, now, "0"), documents.DescribeDocument),
        (lambda state, now: views.describe(state, now, uuid(2)), documents.DescribeDocument),
    ],
)
def test_other_views_have_the_promised_form(host: Host, view: Callable[..., Any], form: Any) -> None:
    assert misfits(view(host.state, host.now), form) == []


def test_a_snapshot_has_the_promised_form_once_the_shell_has_signed_it(host: Host) -> None:
    signed = {**views.snapshot(host.state, host.now), "pid": 1, "version": "0", "simulated": True, "age": 0.0}
    assert misfits(signed, documents.HostView) == []


def test_a_grant_has_the_promised_form() -> None:
    host = Host(gpus=1)
    play(host, acquire("anna"), granted("anna", 0))
    actions = host.machine.handle(host_release(host), host.now)
    assert any(isinstance(action, Answer) for action in actions)
    from gpulockd.core.forms import grant_view

    play(host, acquire("ben", hold=60), granted("ben", 0))
    grant = grant_view(host.state, host.lock("ben"), host.now)
    assert misfits(grant, documents.Grant) == []
    assert grant["env"] == {
        "CUDA_VISIBLE_DEVICES": uuid(0),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "GPULOCK_LOCK": host.lock("ben").id,
        "GPULOCK_TOKEN": str(host.lock("ben").token),
    }
    assert grant["max_hold"] == 60


def host_release(host: Host) -> Any:
    from gpulockd.core.events import ReleaseRequested

    return ReleaseRequested(host.session("anna"), 2, None)


def test_why_says_who_is_in_the_way_and_what_to_type(host: Host) -> None:
    document = views.why(host.state, host.now, host.lock("ben").id)
    assert "it is being taken back (revoked, by root" in " ".join(document["reasons"])

    waiting = next(request.id for request in host.state.requests.values() if request.owner.user == "emil")
    document = views.why(host.state, host.now, waiting)
    assert "waits for 2 GPU(s)" in document["reasons"][0]
    assert any("held by anna, pid 10001 for ocr" in reason for reason in document["reasons"])
    assert document["next"] == [f"gpulockctl describe {waiting}", "gpulockctl queue"]

    quarantined = views.why(host.state, host.now, "2")
    assert any("pid 4711 (anna" in reason for reason in quarantined["reasons"])

    big = next(request.id for request in host.state.requests.values() if request.owner.user == "dora")
    assert views.describe(host.state, host.now, big)["request"]["count"] == 3


def reasons(host: Host, subject: str) -> str:
    return "\n".join(views.why(host.state, host.now, subject)["reasons"])


def test_why_says_what_to_type_for_a_gpu(host: Host) -> None:
    assert views.why(host.state, host.now, "3")["next"] == ["gpulockctl describe 3", "gpulockctl undrain 3"]
    lock = host.lock("anna").id
    assert views.why(host.state, host.now, "0")["next"] == ["gpulockctl describe 0", f"gpulockctl revoke {lock}"]
    assert "GPU 6 is free" in reasons(host, "6")


def test_why_says_that_a_holder_may_come_back_or_cannot_be_ended(host: Host) -> None:
    lock = host.lock("ben")
    pid = lock.owner.process.pid
    play(host, passes(10), inspect(2), signalled(pid, 15), happens(SignalRefused(lock.id, "no right to")))
    assert "its holder cannot be ended: no right to" in reasons(host, lock.id)

    after, start = after_restart(host)
    after.handle(start)
    assert "its owner lives and may come back for it" in reasons(after, after.lock("anna").id)


def test_why_says_what_keeps_everybody_waiting() -> None:
    host = Host(gpus=2, lease_ttl=15.0)
    play(
        host,
        acquire("anna", ("0",)), granted("anna", 0),
        drains("root", "1"), answered("root"),
        acquire("big", 2, wait=600),
        passes(9), RENEW,
        happens(JournalFailed("the disk is full")),
    )  # fmt: skip
    request = next(iter(host.state.requests))
    said = reasons(host, request)
    assert "of the GPUs it could have only 0 are in service" in said
    assert "nothing is granted at present: the store does not answer" in said
    assert "nothing is granted at present: the disk is full" in said


def test_a_lock_and_a_process_are_described_by_name(host: Host) -> None:
    lock = host.lock("anna")
    document = views.describe(host.state, host.now, lock.id)
    assert misfits(document, documents.DescribeDocument) == []
    assert document["lock"]["task"] == "ocr"
    by_pid = views.describe(host.state, host.now, f"pid:{lock.owner.process.pid}")
    assert by_pid["lock"] == document["lock"]


@pytest.mark.parametrize("subject", ["L9-9", "pid:1", "99", "nonsense"])
def test_what_is_unknown_is_refused_with_a_hint(host: Host, subject: str) -> None:
    with pytest.raises(Refused) as caught:
        views.why(host.state, host.now, subject)
    assert caught.value.refusal.code == "invalid-request"
    assert caught.value.refusal.hint
