"""Records in plain values, which is how a turn is appended: locks change later, and JSON can wait for the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, TypeAlias

import msgpack

from ..core.actions import (
    DrainSet,
    LockChanged,
    LockEnded,
    LockGranted,
    QuarantineSet,
    Record,
    RequestLeft,
    RequestUnmet,
    RequestWaits,
    TenantsSeen,
)
from ..ports import Clock
from .rows import ended_values, lock_values, quarantine_row, request_values, unmet_values


class Kind(IntEnum):
    """What an entry begins with. The numbers are in files: none is ever given another meaning."""

    GRANTED = 0
    """token, GPUs, `lock_values`"""
    CHANGED = 1
    """token, `lock_values`"""
    ENDED = 2
    """token, GPUs, `ended_values`"""
    WAITS = 3
    """id, `request_values`"""
    LEFT = 4
    """id"""
    QUARANTINED = 5
    """GPU, `quarantine_row` or None"""
    DRAINED = 6
    """GPU, reason or None, by whom, when"""
    UNMET = 7
    """id, `unmet_values`"""
    TENANTS = 8
    """GPU, those that are left of its tenants, each as pid, start time and boot id"""


Entry: TypeAlias = Sequence[Any]

# Looking a member up in its class costs as much as the rest of an entry.
GRANTED, CHANGED, ENDED, WAITS, LEFT, QUARANTINED, DRAINED, UNMET, TENANTS = map(int, Kind)


def entry_of(record: Record, clock: Clock) -> Entry:
    return _ENTRIES[type(record)](record, clock)


def _granted(record: LockGranted, _: Clock) -> Entry:
    lock = record.lock
    return (GRANTED, lock.token, lock.gpus, lock_values(lock))


def _changed(record: LockChanged, _: Clock) -> Entry:
    return (CHANGED, record.lock.token, lock_values(record.lock))


def _ended(record: LockEnded, clock: Clock) -> Entry:
    lock = record.lock
    return (ENDED, lock.token, lock.gpus, ended_values(lock, record.at, booted_at(clock), record.how, record.by))


def _waits(record: RequestWaits, _: Clock) -> Entry:
    return (WAITS, record.request.id, request_values(record.request))


def _left(record: RequestLeft, _: Clock) -> Entry:
    return (LEFT, record.request)


def _unmet(record: RequestUnmet, clock: Clock) -> Entry:
    request = record.request
    return (UNMET, request.id, unmet_values(request, record.at, booted_at(clock), record.how, record.times))


def _quarantined(record: QuarantineSet, _: Clock) -> Entry:
    quarantine = record.quarantine
    return (QUARANTINED, record.gpu, None if quarantine is None else quarantine_row(record.gpu, quarantine))


def _drained(record: DrainSet, clock: Clock) -> Entry:
    return (DRAINED, record.gpu, record.reason, record.by, clock.wall())


def _tenants(record: TenantsSeen, clock: Clock) -> Entry:
    return (TENANTS, record.gpu, [(pid, began, clock.boot_id) for pid, began in record.start_times.items()])


_ENTRIES: Mapping[type[Record], Callable[[Any, Clock], Entry]] = {
    LockGranted: _granted,
    LockChanged: _changed,
    LockEnded: _ended,
    RequestWaits: _waits,
    RequestLeft: _left,
    RequestUnmet: _unmet,
    QuarantineSet: _quarantined,
    DrainSet: _drained,
    TenantsSeen: _tenants,
}


def booted_at(clock: Clock) -> float:
    """Wall clock when the boot clock stood at 0."""
    return clock.wall() - clock.now()


encode: Callable[[Sequence[Entry]], bytes] = msgpack.Packer().pack


def decode(entries: bytes) -> list[Entry]:
    """Raises `ValueError` for bytes that are no MessagePack."""
    decoded: list[Entry] = msgpack.unpackb(entries)
    return decoded
