"""Whatever the model can hold is read back as it was written, fields that are added to it included."""

from __future__ import annotations

import math
import tempfile
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from hypothesis import given, settings, strategies as st

from gpulockd.core.actions import LockEnded, LockGranted, QuarantineSet, RequestWaits
from gpulockd.core.model import COUNTER_BITS, GpuProcess, Lock, Owner, Process, Quarantine, Recall, Request, Usage, Wish
from gpulockd.core.settings import Level, Levels
from gpulockd.journal import SqliteJournal
from tests.support.clock import SetClock

SECONDS = st.floats(allow_nan=False, allow_infinity=False)
ENDLESS = SECONDS | st.just(math.inf)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
TOKENS = st.integers((1 << COUNTER_BITS) + 1, (2 << COUNTER_BITS) - 1)
PLAIN: dict[object, st.SearchStrategy[Any]] = {
    int: INTEGERS,
    float: SECONDS,
    str: st.text(),
    int | None: st.none() | INTEGERS,
    float | None: st.none() | SECONDS,
}


def every_field(model: type, **given_ones: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Of any value that its type allows, where no strategy is given."""
    hints = get_type_hints(model)
    return st.builds(
        model,
        **{
            field.name: given_ones.get(field.name, PLAIN.get(hints[field.name], st.from_type(hints[field.name])))
            for field in fields(model)
        },
    )


owners = every_field(Owner, process=every_field(Process))
wishes = every_field(
    Wish,
    wait_timeout=ENDLESS,
    max_hold=ENDLESS,
    selectors=st.lists(st.text()).map(tuple),
    labels=st.dictionaries(st.text(), st.text()),
    notify=st.frozensets(st.text()),
    levels=st.none() | every_field(Levels, warning=ENDLESS, soft=ENDLESS, hard=ENDLESS),
)
gpus = st.lists(st.text(), unique=True, max_size=5).map(tuple)
locks = every_field(
    Lock,
    token=TOKENS,
    gpus=gpus,
    owner=owners,
    session=st.none(),
    wish=wishes,
    ends_at=ENDLESS,
    recall=st.none() | every_field(Recall, deadline=ENDLESS),
    usage=st.none() | every_field(Usage, foreign=st.lists(every_field(GpuProcess), max_size=3).map(tuple)),
    # Found anew from the lock's age.
    levels=st.just(Levels()),
    level=st.just(Level.NONE),
    stalled=st.just(False),
)
quarantines = every_field(
    Quarantine,
    holder=owners,
    culprits=st.lists(every_field(GpuProcess), max_size=3).map(tuple),
    awaited=st.just(False),  # the kernel is asked anew
)


requests = every_field(
    Request,
    session=st.just(0),
    msgid=st.just(0),
    owner=owners,
    wish=wishes,
    candidates=st.just(frozenset()),
    rank=st.tuples(SECONDS, INTEGERS),
    told_position=st.just(0),
    recorded=st.just(True),
)


@settings(max_examples=60, deadline=None)
@given(request=requests)
def test_every_field_of_a_request_survives(request: Request) -> None:
    with tempfile.TemporaryDirectory() as directory:
        with closing(SqliteJournal(Path(directory), SetClock())) as journal:
            journal.commit([RequestWaits(request)])
        with closing(SqliteJournal(Path(directory), SetClock())) as journal:
            assert journal.load().requests == (request,)


@settings(max_examples=60, deadline=None)
@given(lock=locks, quarantined=st.dictionaries(st.text(), quarantines, max_size=3))
def test_every_field_survives(lock: Lock, quarantined: dict[str, Quarantine]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        with closing(SqliteJournal(Path(directory), SetClock())) as journal:
            journal.raise_epoch(1)
            journal.commit([LockGranted(lock), *(QuarantineSet(gpu, it) for gpu, it in quarantined.items())])
        with closing(SqliteJournal(Path(directory), SetClock())) as journal:
            saved = journal.load()

    assert saved.locks == (lock,)
    assert saved.quarantines == quarantined
    assert saved.highest_token == lock.token


@settings(max_examples=30, deadline=None)
@given(lock=locks, how=st.text(), by=st.text())
def test_history_says_what_the_lock_was(lock: Lock, how: str, by: str) -> None:
    # Within what floating point can subtract.
    lock = replace(lock, queued_at=100.0, granted_at=250.0)
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(SqliteJournal(Path(directory), SetClock(booted_at=5000.0))) as journal,
    ):
        journal.raise_epoch(1)
        journal.commit([LockGranted(lock), LockEnded(lock, 900.0, how, by)])
        (ended,) = journal.history(5)

    assert (ended.lock, ended.token, ended.gpus) == (lock.id, lock.token, lock.gpus)
    assert (ended.user, ended.uid, ended.command) == (lock.owner.user, lock.owner.uid, lock.owner.command)
    assert (ended.pid, ended.task) == (lock.owner.process.pid, lock.wish.task)
    assert (ended.waited, ended.held, ended.granted_at, ended.ended_at) == (150.0, 650.0, 5250.0, 5900.0)
    assert (ended.how, ended.by) == (how, by)
