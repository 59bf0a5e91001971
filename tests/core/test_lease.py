"""The lease's chain of deadlines. With a TTL of 15 s: warn at 6, stop at 8.25, terminate at 10.5, kill at 12."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from gpulockd.core.actions import ClaimLeases
from gpulockd.core.events import DeadlineReached, LeaseFreed
from gpulockd.core.model import LeaseHolder, LeaseState

from .script import (
    RENEW,
    Host,
    acquire,
    answered,
    claim,
    claim_fails,
    claimed,
    granted,
    happens,
    lost,
    passes,
    play,
    refused,
    release,
    released,
    renewal_fails,
    renewed,
    revokes,
    signalled,
    so,
    uuid,
    watch,
)
from .test_sessions import after_restart

TTL = 15.0
ELSEWHERE = LeaseHolder("other-host", 4242)


def redis_host(gpus: int = 1, **settings: Any) -> Host:
    return Host(gpus=gpus, lease_ttl=TTL, **settings)


def test_a_lease_is_renewed_every_fifth_of_its_ttl() -> None:
    play(
        redis_host(),
        passes(2.9),
        passes(0.1), RENEW,
        renewed(),
        passes(3), RENEW,
        renewed(),
    )  # fmt: skip


def test_a_local_lease_needs_no_renewal() -> None:
    play(Host(gpus=1), passes(1e6), acquire("anna"), granted("anna", 0))


def chain(host: Host) -> Host:
    """Up to the moment at which nothing is granted any more."""
    return play(
        host,
        passes(3), RENEW,
        passes(1),
        renewal_fails("timed out after 1 s"),
        passes(0), RENEW,
        passes(2),
        so(lambda host: host.state.lease.state is LeaseState.LATE),
    )  # fmt: skip


def test_late_warns_and_grants_and_degraded_does_not_grant() -> None:
    host = chain(redis_host())
    play(
        host,
        acquire("anna"), granted("anna", 0),
        release("anna"), released("anna"),
        passes(2.24),
        acquire("ben"), granted("ben", 0),
        release("ben"), released("ben"),
        passes(0.02),
        so(lambda host: host.state.lease.state is LeaseState.DEGRADED),
        acquire("cleo"),
        acquire("dora", wait=0), refused("dora", "lease-unavailable"),
        renewed(ago=0.5), granted("cleo", 0),
        so(lambda host: host.state.lease.state is LeaseState.HELD),
    )  # fmt: skip
    kinds = [kind for kind in host.kinds() if kind.startswith("lease.")]
    assert kinds == ["lease.claimed", "lease.failed", "lease.late", "lease.degraded", "lease.recovered"]


def test_a_leases_age_counts_from_when_its_renewal_was_sent() -> None:
    host = play(
        redis_host(),
        passes(3), RENEW,
        passes(0.9),
        renewed(ago=0.9),
        passes(8.25 - 0.9 - 0.01), RENEW,
        acquire("anna"), granted("anna", 0),
        release("anna"), released("anna"),
        passes(0.02),
        acquire("ben", wait=0), refused("ben", "lease-unavailable"),
    )  # fmt: skip
    assert host.state.lease.state is LeaseState.DEGRADED


def test_a_daemon_that_was_frozen_does_not_grant_on_a_lease_that_ran_out_meanwhile() -> None:
    def wakes_up_and_reads_its_socket(host: Host) -> object:
        host.now += 60
        return acquire("anna", wait=0)(host)

    host = redis_host()
    host.connect("anna")
    play(host, wakes_up_and_reads_its_socket, RENEW, refused("anna", "lease-unavailable"))


def test_a_daemon_that_was_frozen_grants_nobody_what_a_timed_out_request_had_kept_for_itself() -> None:
    def wakes_up(host: Host) -> object:
        host.now += 60
        return passes(0)(host)

    play(
        redis_host(gpus=2, max_overtakes=0),
        acquire("anna"), granted("anna", 0),
        acquire("big", 2, wait=5),
        acquire("small"),
        wakes_up, RENEW, refused("big", "wait-timeout"),
    )  # fmt: skip


def test_an_answer_that_comes_too_late_is_no_renewal() -> None:
    play(
        redis_host(),
        passes(3), RENEW,
        passes(9),
        renewed(ago=9), RENEW,
        acquire("anna", wait=0), refused("anna", "lease-unavailable"),
    )  # fmt: skip


def test_keep_leaves_holders_alone_when_the_store_is_gone() -> None:
    host = redis_host()
    play(host, acquire("anna", notify=frozenset({"lost"})), granted("anna", 0))
    chain(host)
    play(host, passes(600))
    assert host.lock("anna").recall is None


def test_revoke_has_every_holder_gone_before_the_ttl_ends() -> None:
    host = redis_host(on_loss_revoke=True)
    play(host, acquire("anna", notify=frozenset({"lost"})), granted("anna", 0))
    pid = host.process("anna").pid
    started = host.now
    chain(host)
    play(
        host,
        passes(started + 0.55 * TTL - host.now), lost("anna", "lease-lost"),
        passes(0.15 * TTL), signalled(pid, int(signal.SIGTERM)),
        passes(0.10 * TTL), signalled(pid, int(signal.SIGKILL)),
    )  # fmt: skip
    assert host.now - started == pytest.approx(0.8 * TTL)


def test_a_daemon_that_wakes_up_late_makes_up_for_it() -> None:
    """The times of the chain are ages of the lease: who was late with one step is not late with the next."""
    host = redis_host(on_loss_revoke=True)
    play(host, acquire("anna", notify=frozenset({"lost"})), granted("anna", 0))
    pid = host.process("anna").pid
    play(
        host,
        passes(0.75 * TTL), RENEW, lost("anna", "lease-lost"), signalled(pid, int(signal.SIGTERM)),
        passes(0.05 * TTL), signalled(pid, int(signal.SIGKILL)),
    )  # fmt: skip


def test_a_daemon_that_wakes_up_between_two_steps_makes_up_for_it() -> None:
    host = redis_host(on_loss_revoke=True)
    play(host, acquire("anna", notify=frozenset({"lost"})), granted("anna", 0))
    pid = host.process("anna").pid
    play(
        host,
        passes(0.6 * TTL), RENEW, lost("anna", "lease-lost"),
        passes(0.15 * TTL), signalled(pid, int(signal.SIGTERM)),
        passes(0.05 * TTL), signalled(pid, int(signal.SIGKILL)),
    )  # fmt: skip


def test_a_daemon_that_wakes_up_after_its_lease_has_no_grace_left_to_give() -> None:
    host = redis_host(on_loss_revoke=True)
    play(host, acquire("anna", notify=frozenset({"lost"})), granted("anna", 0))
    pid = host.process("anna").pid
    play(
        host,
        passes(4 * TTL), RENEW, lost("anna", "lease-lost"),
        signalled(pid, int(signal.SIGTERM)), signalled(pid, int(signal.SIGKILL)),
    )  # fmt: skip
    assert "lock.obstructed" not in host.kinds(), "it was given no time to die"


def test_a_gpu_that_another_host_has_already_leaves_its_holder_no_grace() -> None:
    host = redis_host(on_loss_revoke=True)
    play(host, acquire("anna", notify=frozenset({"lost"})), granted("anna", 0))
    pid = host.process("anna").pid
    play(
        host,
        passes(3), RENEW,
        renewed(lost={0: ELSEWHERE}), lost("anna", "lease-lost"),
        passes(0), signalled(pid, int(signal.SIGTERM)), signalled(pid, int(signal.SIGKILL)),
    )  # fmt: skip


def test_a_lease_that_is_lost_hastens_a_recall_that_had_more_time() -> None:
    host = redis_host(on_loss_revoke=True)
    play(host, acquire("anna", notify=frozenset({"lost"})), granted("anna", 0))
    pid = host.process("anna").pid
    started = host.now
    play(host, revokes("root", "0", 3600), lost("anna", "revoked"), answered("root"))
    chain(host)
    play(
        host,
        passes(started + 0.55 * TTL - host.now), lost("anna", "revoked"),
        passes(0.15 * TTL), signalled(pid, int(signal.SIGTERM)),
        passes(0.10 * TTL), signalled(pid, int(signal.SIGKILL)),
    )  # fmt: skip


def test_a_gpu_that_another_host_has_is_not_granted() -> None:
    host = Host(gpus=2, claimed=False, lease_ttl=TTL)
    play(
        host,
        claimed(1, 1, refused={0: ELSEWHERE}),
        acquire("anna"), granted("anna", 1),
        acquire("ben", ("0",), wait=0), refused("ben", "lease-unavailable"),
    )  # fmt: skip
    refusals = [announce for announce in host.announced if announce.kind == "lease.refused"]
    assert "other-host, pid 4242" in refusals[0].message


def test_a_lease_that_another_host_has_is_asked_for_again_when_it_is_freed() -> None:
    host = Host(gpus=1, claimed=False, lease_ttl=TTL)
    play(
        host,
        claimed(1, refused={0: ELSEWHERE}),
        passes(2),
        happens(LeaseFreed(frozenset({uuid(0)}))), claim(0, floor=0),
        claimed(7, 0),
        acquire("anna"), granted("anna", 0),
    )  # fmt: skip
    assert host.lock("anna").token >> 32 == 7


def test_polling_is_the_fallback_and_backs_off() -> None:
    again = claimed(1, refused={0: ELSEWHERE})
    host = Host(gpus=1, claimed=False, poll_interval=2, max_poll_interval=5, fallback_timeout=30)
    play(host, again, passes(29.9), passes(0.1), claim(0, floor=0))
    play(host, again, passes(2), claim(0, floor=0), again, passes(4), claim(0, floor=0))
    play(host, again, passes(4.9), passes(0.1), claim(0, floor=0), again, passes(5), claim(0, floor=0))
    assert host.kinds().count("lease.refused") == 1


def test_without_events_polling_begins_at_once() -> None:
    host = Host(gpus=1, claimed=False, use_event_driven=False, exponential_backoff=False)
    again = claimed(1, refused={0: ELSEWHERE})
    play(host, again, passes(2), claim(0, floor=0), again, passes(2), claim(0, floor=0))


def test_a_store_that_forgot_the_lease_is_claimed_again_with_a_higher_epoch() -> None:
    host = redis_host()
    play(host, acquire("anna"), granted("anna", 0))
    before = host.lock("anna").token
    play(
        host,
        passes(3), RENEW,
        renewed(lost={0: None}), claim(0, floor=1),
        acquire("ben", wait=9999),
        release("anna"), released("anna"),
        claimed(2, 0), granted("ben", 0),
    )  # fmt: skip
    assert host.lock("ben").token > before
    assert host.lock("ben").token >> 32 == 2


def test_a_failed_claim_is_repeated_as_the_same_attempt() -> None:
    host = Host(gpus=1, claimed=False, lease_ttl=TTL)
    first = host.state.lease.attempt
    play(host, claim_fails("connection refused", ago=0.1), passes(0.8), passes(0.1), claim(0, floor=0))
    assert host.state.lease.attempt == first
    play(host, claimed(3, 0), passes(3), RENEW)
    assert host.state.lease.attempt == first + 1


def test_renewals_do_not_overlap() -> None:
    play(redis_host(), passes(3), RENEW, passes(3), passes(0.5))


def partly_leased(gpus: int = 2, **settings: Any) -> Host:
    """A host that has the lease of GPU 0, and polls for the others, which another host has."""
    host = Host(gpus=gpus, claimed=False, lease_ttl=TTL, use_event_driven=False, poll_interval=2, **settings)
    return play(host, claimed(1, 0, refused=dict.fromkeys(range(1, gpus), ELSEWHERE)))


def test_a_claim_that_fails_leaves_a_renewal_on_its_way_alone() -> None:
    play(
        partly_leased(),
        passes(2), claim(1, floor=1, held=(0,)),
        passes(1), RENEW,
        claim_fails(),
        passes(0), claim(1, floor=1, held=(0,)),
        renewal_fails(ago=0.5),
        passes(0.5), RENEW,
    )  # fmt: skip


def test_a_renewal_between_two_tries_of_a_claim_does_not_make_them_two_claims() -> None:
    def attempts(host: Host) -> list[int]:
        actions = host.machine.handle(DeadlineReached(), host.now)
        return [action.attempt for action in actions if isinstance(action, ClaimLeases)]

    host = partly_leased()
    host.now += 2
    first = attempts(host)
    play(host, passes(1), RENEW, renewed(), claim_fails(ago=0.5))
    host.now += 0.5
    assert first
    assert attempts(host) == first


def test_a_claim_makes_no_other_lease_younger() -> None:
    host = partly_leased()
    play(
        host,
        passes(2), claim(1, floor=1, held=(0,)),
        passes(1), RENEW,
        passes(5),
        claimed(7, 1),
        passes(0.26),
        acquire("anna", ("0",), wait=0), refused("anna", "lease-unavailable"),
        renewed(),
        acquire("anna", ("0",), wait=0), granted("anna", 0),
        acquire("ben", ("1",), wait=0), granted("ben", 1),
    )  # fmt: skip


def test_a_renewal_makes_no_lease_younger_that_was_claimed_while_it_was_under_way() -> None:
    play(
        partly_leased(),
        passes(2), claim(1, floor=1, held=(0,)),
        passes(1), RENEW,
        passes(5),
        claimed(7, 1, ago=6.0),
        passes(0.2),
        renewed(0), RENEW,
        passes(2.1),
        acquire("anna", ("1",), wait=0), refused("anna", "lease-unavailable"),
        renewed(),
        acquire("ben", ("1",), wait=0), granted("ben", 1),
    )  # fmt: skip


def test_what_a_claim_brings_too_late_is_claimed_anew_and_makes_no_other_lease_older() -> None:
    """The daemon was frozen meanwhile: the lease may have run out, and be another host's."""
    play(
        partly_leased(),
        passes(2), claim(1, floor=1, held=(0,)),
        passes(1), RENEW,
        passes(8),
        renewed(0),
        passes(0.25),
        claimed(7, 1, ago=9.25), claim(1, floor=1, held=(0,)),
        acquire("anna", ("0",), wait=0), granted("anna", 0),
        acquire("ben", ("1",), wait=0), refused("ben", "lease-unavailable"),
        claimed(8, 1),
        acquire("ben", ("1",), wait=0), granted("ben", 1),
    )  # fmt: skip


def test_a_gpu_that_the_store_forgot_during_a_claim_is_claimed_right_after_it() -> None:
    play(
        partly_leased(),
        passes(2), claim(1, floor=1, held=(0,)),
        passes(1), RENEW,
        renewed(lost={0: None}),
        claimed(1, refused={1: ELSEWHERE}), claim(0, 1, floor=1),
    )  # fmt: skip


def test_several_leases_lost_to_another_host_are_polled_for_as_one() -> None:
    host = Host(gpus=2, lease_ttl=TTL, fallback_timeout=30)
    play(
        host,
        passes(3), RENEW,
        renewed(lost={0: ELSEWHERE, 1: ELSEWHERE}),
        passes(29.9), RENEW,
        passes(0.1), claim(0, 1, floor=1),
    )  # fmt: skip


def restarted_under_a_lock(**settings: Any) -> Host:
    """A new daemon that has found anna's lock in the journal, and no lease yet."""
    before = play(redis_host(), acquire("anna", notify=frozenset({"lost"})), granted("anna", 0))
    pid = before.process("anna").pid
    host, start = after_restart(before, lease_ttl=TTL, reattach_grace=600, **settings)
    return play(host, happens(start), watch(pid), claim(0, floor=1))


def test_a_daemon_that_finds_no_store_at_its_start_takes_its_holders_for_as_old_as_can_be() -> None:
    host = restarted_under_a_lock(on_loss_revoke=True)
    pid = host.lock("anna").owner.process.pid
    play(
        host,
        claim_fails(ago=1),
        passes(0), claim(0, floor=1),
        passes(0.55 * TTL - 0.01),
        so(lambda host: host.lock("anna").recall is None),
        passes(0.01),
        so(lambda host: host.state.lease.state is LeaseState.DEGRADED and host.lock("anna").recall is not None),
        passes(0.15 * TTL), signalled(pid, int(signal.SIGTERM)),
        passes(0.10 * TTL), signalled(pid, int(signal.SIGKILL)),
    )  # fmt: skip


def test_without_revoke_a_daemon_that_finds_no_store_keeps_its_holders() -> None:
    host = restarted_under_a_lock()
    play(host, passes(60), so(lambda host: host.lock("anna").recall is None))
    assert host.kinds()[-1] == "lease.degraded"


def test_a_lock_on_a_gpu_that_another_host_has_by_now_is_taken_back_where_that_is_wanted() -> None:
    host = restarted_under_a_lock(on_loss_revoke=True)
    play(host, claimed(2, refused={0: ELSEWHERE}))
    recall = host.lock("anna").recall
    assert recall is not None
    assert recall.reason == "lease-lost"
    assert "other-host" in recall.note

    host = restarted_under_a_lock()
    play(host, claimed(2, refused={0: ELSEWHERE}))
    assert host.lock("anna").recall is None
