"""The leases of the host's GPUs: when to claim, when to renew, and from when on they are too old.

All times come from one number, the TTL, in the manner of sanlock (https://pagure.io/sanlock): a lease is as old as
the time since its last good renewal was *sent*. It is renewed every fifth of the TTL; without a good renewal there
is a warning at 0.4, no grant from 0.55 on, and where holders may not outlive the lease they are told at 0.55, sent
SIGTERM at 0.7 and SIGKILL at 0.8, so that nobody is left when another host could be granted the GPU.
"""

from __future__ import annotations

import math

from .actions import ClaimLeases, RenewLeases, Severity
from .deadlines import Alarm
from .events import ClaimFailed, LeaseFreed, LeasesClaimed, LeasesRenewed, RenewalFailed
from .model import COUNTER_BITS, Gpu, LeaseHolder, LeaseState
from .placement import regate_all
from .recall import recall
from .turn import Turn

RENEW, WARN, STOP, TERMINATE, KILL = 0.2, 0.4, 0.55, 0.7, 0.8
"""Shares of the TTL."""
RETRY = 1.0
"""Seconds between two attempts at the least, counted from when the first was sent."""


def begin(turn: Turn) -> None:
    """The daemon starts. When the leases of an earlier one were renewed last, nobody knows."""
    turn.deadlines.set(Alarm.LEASE_DEGRADED, "", turn.now + STOP * turn.state.settings.lease_ttl)
    claim(turn)


def claim(turn: Turn, _: str = "") -> None:
    """Asks for the lease of every GPU that this daemon does not have."""
    lease = turn.state.lease
    wanted = tuple(uuid for uuid, gpu in turn.state.gpus.items() if gpu.epoch is None)
    held = tuple(uuid for uuid, gpu in turn.state.gpus.items() if gpu.epoch is not None)
    if not wanted or lease.claiming:
        return
    lease.claiming = True
    if lease.unanswered is None:
        lease.attempt += 1
        lease.unanswered = lease.attempt
    turn.do(ClaimLeases(lease.unanswered, wanted, max(turn.epoch, turn.state.last_token >> COUNTER_BITS), held))


def claimed(turn: Turn, event: LeasesClaimed) -> None:
    state, lease = turn.state, turn.state.lease
    lease.claiming, lease.unanswered, lease.fault = False, None, ""
    epochs = {} if _too_old_beside_others(turn, event) else event.epochs
    for uuid in event.epochs.keys() & state.gpus.keys():
        ours = state.gpus[uuid]
        ours.elsewhere = None
        if uuid in epochs:
            ours.epoch, ours.leased_at = epochs[uuid], event.sent_at
            turn.epoch = max(turn.epoch, epochs[uuid])
    for uuid, holder in event.refused.items():
        if (gpu := state.gpus.get(uuid)) is not None:
            _refused(turn, gpu, holder)
    if epochs:
        lease.claim_delay = 0.0
        if _oldest(turn) != lease.renewed_at:  # otherwise there are older leases, and their age is that of all
            _fresh(turn)
        turn.announce(
            "lease.claimed",
            f"leases of {len(epochs)} GPU(s) claimed",
            gpus=sorted(epochs),
            epoch=turn.epoch,
        )
    elif all(gpu.epoch is None for gpu in state.gpus.values()):
        lease.why = "another daemon has the lease"
        if turn.deadlines.get(Alarm.LEASE_RENEW) is None and not lease.renewing:
            _report_later(turn, event.sent_at)
    _claim_the_rest(turn)
    regate_all(turn)


def _too_old_beside_others(turn: Turn, event: LeasesClaimed) -> bool:
    """Whether the answer took so long that what it grants may be another's by now. It would make every lease as old;
    instead it is asked for anew."""
    if turn.now - event.sent_at < STOP * turn.state.settings.lease_ttl:
        return False
    return any(gpu.epoch is not None and uuid not in event.epochs for uuid, gpu in turn.state.gpus.items())


def _refused(turn: Turn, gpu: Gpu, holder: LeaseHolder) -> None:
    before = gpu.elsewhere
    gpu.epoch, gpu.elsewhere = None, holder
    if before is None or (before.host, before.pid) != (holder.host, holder.pid):
        turn.announce(
            "lease.refused",
            f"GPU {gpu.identity.index} ({gpu.uuid}) is leased by host {holder.host}, pid {holder.pid}",
            Severity.ERROR,
            gpu=gpu.uuid,
            host=holder.host,
            pid=holder.pid,
        )
    _gone_elsewhere(turn, gpu, holder)


def _claim_the_rest(turn: Turn) -> None:
    """Asks at once for what nobody has, and later for what another daemon has."""
    missing = [gpu for gpu in turn.state.gpus.values() if gpu.epoch is None]
    if any(gpu.elsewhere is None for gpu in missing):
        claim(turn)
    elif missing and turn.deadlines.get(Alarm.LEASE_CLAIM) is None:
        _claim_later(turn)


def _claim_later(turn: Turn) -> None:
    """When to ask again for what another daemon has: its letting go wakes us, and polling is the fallback.

    A daemon that died says nothing when its leases run out, so that moment is not waited past.
    """
    settings, lease = turn.state.settings, turn.state.lease
    if lease.claim_delay == 0.0:
        lease.claim_delay = settings.poll_interval
        holders = [gpu.elsewhere for gpu in turn.state.gpus.values() if gpu.elsewhere is not None]
        expiry = min((holder.expires_in for holder in holders), default=math.inf)
        delay = min(settings.fallback_timeout, expiry) if settings.use_event_driven else settings.poll_interval
    else:
        delay = lease.claim_delay
        if settings.exponential_backoff:
            lease.claim_delay = min(2 * lease.claim_delay, settings.max_poll_interval)
    turn.deadlines.set(Alarm.LEASE_CLAIM, "", turn.now + delay)


def freed(turn: Turn, event: LeaseFreed) -> None:
    if any(turn.state.gpus[uuid].epoch is None for uuid in event.gpus if uuid in turn.state.gpus):
        claim(turn)


def renew(turn: Turn, _: str = "") -> None:
    lease = turn.state.lease
    epochs = {uuid: gpu.epoch for uuid, gpu in turn.state.gpus.items() if gpu.epoch is not None}
    if lease.renewing or (not epochs and math.isinf(turn.state.settings.lease_ttl)):
        return  # without any lease of its own a host still tells the fleet that it is there
    lease.renewing = True
    lease.attempt += 1
    turn.do(RenewLeases(lease.attempt, epochs))


def renewed(turn: Turn, event: LeasesRenewed) -> None:
    state = turn.state
    state.lease.renewing, state.lease.fault = False, ""
    for uuid, holder in event.lost.items():
        if (gpu := state.gpus.get(uuid)) is not None:
            _lost(turn, gpu, holder)
    leased = {uuid: gpu for uuid, gpu in state.gpus.items() if gpu.epoch is not None}
    for uuid in event.kept & leased.keys():
        leased[uuid].leased_at = max(leased[uuid].leased_at, event.sent_at)
    if event.kept and leased:
        _fresh(turn)
        if leased.keys() - event.kept:
            renew(turn)  # those that were claimed while it was under way
    else:
        _report_later(turn, event.sent_at)
    if event.lost:
        _claim_the_rest(turn)
    regate_all(turn)


def _report_later(turn: Turn, sent_at: float) -> None:
    """A host without a lease has nothing to renew but its place in the fleet."""
    turn.deadlines.set(Alarm.LEASE_RENEW, "", sent_at + RENEW * turn.state.settings.lease_ttl)


def _lost(turn: Turn, gpu: Gpu, holder: LeaseHolder | None) -> None:
    """The store no longer has our lease: it was emptied, or another daemon was granted the GPU."""
    gpu.epoch, gpu.elsewhere = None, holder
    said = f"it is with host {holder.host}, pid {holder.pid}" if holder else "the store has forgotten it"
    turn.announce("lease.lost", f"the lease of GPU {gpu.identity.index} is gone: {said}", Severity.ERROR, gpu=gpu.uuid)
    if holder is not None:
        _gone_elsewhere(turn, gpu, holder)


def _oldest(turn: Turn) -> float:
    return min(gpu.leased_at for gpu in turn.state.gpus.values() if gpu.epoch is not None)


def _fresh(turn: Turn) -> None:
    """A claim or renewal has succeeded. The age of the oldest lease is that of all."""
    lease, ttl = turn.state.lease, turn.state.settings.lease_ttl
    lease.renewed_at = _oldest(turn)
    if turn.now - lease.renewed_at >= STOP * ttl:
        renew(turn)  # the answer took so long that the lease is too old already
        return
    if lease.state in (LeaseState.LATE, LeaseState.DEGRADED):
        turn.announce("lease.recovered", f"the lease is renewed again after: {lease.why}")
    lease.state, lease.why = LeaseState.HELD, ""
    turn.deadlines.set(Alarm.LEASE_RENEW, "", lease.renewed_at + RENEW * ttl)
    turn.deadlines.set(Alarm.LEASE_LATE, "", lease.renewed_at + WARN * ttl)
    turn.deadlines.set(Alarm.LEASE_DEGRADED, "", lease.renewed_at + STOP * ttl)


def claim_failed(turn: Turn, event: ClaimFailed) -> None:
    turn.state.lease.claiming = False
    _again(turn, Alarm.LEASE_CLAIM, event)


def renewal_failed(turn: Turn, event: RenewalFailed) -> None:
    turn.state.lease.renewing = False
    _again(turn, Alarm.LEASE_RENEW, event)


def _again(turn: Turn, alarm: Alarm, event: ClaimFailed | RenewalFailed) -> None:
    """No clear answer. A claim or renewal that took its time is repeated at once, a quick refusal after a moment."""
    lease = turn.state.lease
    if lease.why != event.why:
        turn.announce("lease.failed", event.why, Severity.WARNING)
    lease.why, lease.fault = event.why, event.reason
    lease.failures[event.reason] = lease.failures.get(event.reason, 0) + 1
    turn.deadlines.set(alarm, "", max(turn.now, event.sent_at + RETRY))


def late(turn: Turn, _: str) -> None:
    lease = turn.state.lease
    lease.state = LeaseState.LATE
    lease.why = lease.why or "the store does not answer"
    turn.announce("lease.late", f"the lease was not renewed: {lease.why}", Severity.WARNING)


def degraded(turn: Turn, _: str) -> None:
    lease, ttl = turn.state.lease, turn.state.settings.lease_ttl
    lease.state = LeaseState.DEGRADED
    lease.why = lease.why or "the store does not answer"
    regate_all(turn)
    turn.announce("lease.degraded", f"nothing is granted any more: {lease.why}", Severity.ERROR)
    if turn.state.settings.on_loss_revoke:
        age = STOP * ttl if lease.renewed_at is None else turn.now - lease.renewed_at
        for lock in list(turn.state.locks):
            _recall(turn, lock, lease.why, age)


def _gone_elsewhere(turn: Turn, gpu: Gpu, holder: LeaseHolder) -> None:
    """Another daemon has the lease of a GPU that somebody here may hold, and may be granting it this moment."""
    if turn.state.settings.on_loss_revoke and gpu.lock is not None:
        why = f"the lease of GPU {gpu.identity.index} is with host {holder.host}, pid {holder.pid}"
        _recall(turn, gpu.lock, why, turn.state.settings.lease_ttl)


def _recall(turn: Turn, lock_id: str, why: str, age: float) -> None:
    """Its holder has to be gone before the lease, `age` seconds old, is as old as its TTL."""
    settings = turn.state.settings
    ttl = settings.lease_ttl
    if math.isfinite(ttl):
        grace = max(0.0, TERMINATE * ttl - age)
        kill_grace = max(0.0, KILL * ttl - max(age, TERMINATE * ttl))
    else:
        grace, kill_grace = 0.0, settings.kill_grace
    recall(turn, turn.state.locks[lock_id], "lease-lost", "gpulockd", why, grace, kill_grace)
