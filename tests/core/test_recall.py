"""Taking a lock back, and the quarantine after a holder that went without a word."""

from __future__ import annotations

import math
import signal

from gpulockd.core.events import BeatReported, ExtendRequested, SignalRefused

from .script import (
    Host,
    acquire,
    answered,
    clear,
    dies,
    disconnect,
    disconnects,
    ended,
    granted,
    happens,
    inspect,
    lost,
    passes,
    play,
    quarantines,
    refused,
    release,
    released,
    revokes,
    sampled,
    seen,
    signalled,
    so,
    unseen,
    uuid,
)

TERM, KILL = int(signal.SIGTERM), int(signal.SIGKILL)
NOTIFY = frozenset({"lost"})


def test_revoking_tells_waits_terminates_waits_kills_and_waits_for_the_exit() -> None:
    host = Host(gpus=1, revoke_grace=10, kill_grace=5)
    play(host, acquire("anna", notify=NOTIFY), granted("anna", 0), acquire("ben", wait=9999))
    pid = host.process("anna").pid
    play(
        host,
        revokes("root", "lock of anna"), lost("anna", "revoked"), answered("root"),
        passes(9.9),
        passes(0.1), signalled(pid, TERM),
        passes(5), signalled(pid, KILL),
        so(lambda host: host.state.gpus[uuid(0)].lock is not None),
        passes(600),  # no timer ends a lock: only the kernel's word does
        so(lambda host: host.state.gpus[uuid(0)].lock is not None),
        dies("anna"), inspect(0), disconnect("anna"),
        clear(0), granted("ben", 0),
    )  # fmt: skip
    assert ended(host) == [("anna", "revoked")]
    assert "lock.obstructed" in host.kinds()


def test_a_holder_that_lets_go_in_time_is_not_touched() -> None:
    host = play(
        Host(gpus=1, revoke_grace=10),
        acquire("anna", notify=NOTIFY), granted("anna", 0),
        acquire("ben"),
        revokes("root", "0"), lost("anna", "revoked"), answered("root"),
        passes(3),
        release("anna"), released("anna"), granted("ben", 0),
        passes(60),
    )  # fmt: skip
    assert ended(host) == [("anna", "revoked")]


def test_who_revoked_is_recorded() -> None:
    host = play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        revokes("root", "lock of anna"), answered("root"),
        revokes("root", "lock of anna"), answered("root"),  # asked twice: the first deadline stands
        release("anna"), released("anna"),
    )  # fmt: skip
    by = [record.by for record in host.records if hasattr(record, "by")]
    assert by == ["root (pid 10002), uid 0"]


def test_who_is_to_be_gone_sooner_is_told_again_and_who_said_so_is_announced() -> None:
    host = Host(gpus=1, kill_grace=5)
    play(host, acquire("anna", notify=NOTIFY), granted("anna", 0))
    pid = host.process("anna").pid
    play(
        host,
        revokes("root", "0", 3600), lost("anna", "revoked"), answered("root"),
        passes(60),
        revokes("toor", "0", 2), lost("anna", "revoked"), answered("toor"),
        revokes("root", "0", 600), answered("root"),
        passes(2), signalled(pid, TERM),
        revokes("root", "0", 0), answered("root"),
        passes(5), signalled(pid, KILL),
        revokes("root", "0", 0), answered("root"),
    )  # fmt: skip
    recalls = [announce.data["by"] for announce in host.announced if announce.kind == "lock.recalled"]
    assert [str(by).split()[0] for by in recalls] == ["root", "toor"]


def test_a_grace_without_an_end_takes_nothing_back() -> None:
    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        revokes("root", "0", math.inf), refused("root", "invalid-request"),
        so(lambda host: host.lock("anna").recall is None),
    )  # fmt: skip


def test_where_there_is_nothing_to_revoke_the_administrator_is_told() -> None:
    play(
        Host(gpus=1),
        revokes("root", "0"), refused("root", "invalid-request"),
        revokes("root", "L9-9"), refused("root", "invalid-request"),
    )  # fmt: skip


def test_a_holder_that_may_not_be_killed_keeps_the_gpu_and_status_says_so() -> None:
    host = Host(gpus=1, revoke_grace=1)
    play(host, acquire("anna"), granted("anna", 0), revokes("root", "0"), answered("root"))
    pid = host.process("anna").pid
    lock = host.lock("anna")
    play(
        host,
        passes(1), signalled(pid, TERM),
        happens(SignalRefused(lock.id, "no right to signal it")),
        passes(100),
        so(lambda host: "no right to signal it" in str(host.lock("anna").recall)),
        dies("anna"), inspect(0), disconnect("anna"),
    )  # fmt: skip


def test_only_the_session_that_holds_a_lock_can_release_it() -> None:
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    play(
        host,
        release("ben", host.lock("anna").id), refused("ben", "not-held"),
        release("ben"), refused("ben", "not-held"),
        release("anna"), released("anna"),
        release("anna"), refused("anna", "not-held"),
    )  # fmt: skip


def test_only_the_session_that_holds_a_lock_can_extend_it_or_tell_of_its_progress() -> None:
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    lock, ben = host.lock("anna").id, host.session("ben")
    play(
        host,
        happens(ExtendRequested(ben, 3, lock, 1000)), refused("ben", "not-held"),
        happens(BeatReported(ben, 4, lock, 0.5, "")), refused("ben", "not-held"),
        happens(ExtendRequested(ben, 5, None, 1000)), refused("ben", "not-held"),
    )  # fmt: skip
    assert host.lock("anna").progress is None


def test_with_several_locks_it_has_to_be_said_which_is_meant() -> None:
    host = play(Host(gpus=2), acquire("anna", ("0",)), granted("anna", 0), acquire("anna", ("1",)), granted("anna", 1))
    first = host.state.gpus[uuid(0)].lock
    play(host, release("anna"), refused("anna", "not-held"), release("anna", first), released("anna"))
    assert host.lock("anna").gpus == (uuid(1),)


def test_tokens_only_grow() -> None:
    host = Host(gpus=2)
    tokens = []
    for name in ("anna", "ben", "cleo"):
        play(host, acquire(name), granted(name, 0))
        tokens.append(host.lock(name).token)
        play(host, release(name), released(name))
    assert tokens == sorted(set(tokens))
    assert all(token >> 32 == 1 for token in tokens)


def test_a_dead_holders_gpu_waits_until_nothing_of_it_is_left() -> None:
    host = play(
        Host(gpus=1, quarantine_recheck=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben", wait=9999),
        dies("anna"), inspect(0), disconnect("anna"),
        seen(0, 4711),
        so(lambda host: host.state.gpus[uuid(0)].quarantine.culprits[0].pid == 4711),
        passes(1), inspect(0),
        seen(0, 4711),
        passes(1), inspect(0),
        clear(0), granted("ben", 0),
    )  # fmt: skip
    assert quarantines(host) == [(uuid(0), True), (uuid(0), False)]
    assert [kind for kind in host.kinds() if kind.startswith("gpu.")] == ["gpu.quarantined", "gpu.cleared"]


def test_a_driver_that_fails_to_answer_is_asked_again() -> None:
    play(
        Host(gpus=1, quarantine_recheck=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben"),
        disconnects("anna"), inspect(0),
        unseen(0, fault="the GPU does not answer"),
        passes(1), inspect(0),
        clear(0), granted("ben", 0),
    )  # fmt: skip


def test_orphans_are_ended_where_that_is_wanted() -> None:
    play(
        Host(gpus=1, kill_orphans=True, kill_grace=5, quarantine_recheck=1),
        acquire("anna"), granted("anna", 0),
        dies("anna"), inspect(0), disconnect("anna"),
        seen(0, 4711),
        passes(1), inspect(0, TERM),
        seen(0, 4711),
        passes(4), inspect(0, KILL),
        clear(0),
    )  # fmt: skip


def test_a_sick_gpu_is_not_granted_and_the_others_are() -> None:
    host = play(
        Host(gpus=2),
        sampled(0, fault="GPU is lost"),
        acquire("anna"), granted("anna", 1),
        acquire("ben"),
        sampled(0), granted("ben", 0),
    )  # fmt: skip
    assert [kind for kind in host.kinds() if kind.startswith("gpu.")] == ["gpu.sick", "gpu.recovered"]
