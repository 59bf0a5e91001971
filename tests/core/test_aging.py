"""What becomes of a lock that lasts: the table of `gpulockd.core.aging`, and what is around it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from gpulockd.core.actions import Answer
from gpulockd.core.events import ExtendRequested
from gpulockd.core.settings import Level, Levels, Settings

from .script import (
    Host,
    Step,
    Told,
    acquire,
    answered,
    beats,
    claim,
    claimed,
    extends,
    granted,
    happens,
    hello,
    lost,
    passes,
    play,
    refused,
    release,
    released,
    signalled,
    so,
    unwatch,
    warned,
    watch,
    welcomed,
)
from .test_recall import TERM
from .test_sessions import after_restart

LEVELS = Levels(warning=100, soft=200, hard=400)
NOTIFY = frozenset({"warning", "lost"})


def holder(hold: float = math.inf, **settings: Any) -> Host:
    """Anna holds GPU 0, and wants to hear of everything."""
    host = Host(gpus=1, **{"levels": LEVELS, "beat_timeout": 30.0, **settings})
    return play(host, acquire("anna", hold=hold, notify=NOTIFY), granted("anna", 0))


def kinds(host: Host) -> list[str]:
    """What was announced of the lock's age."""
    return [
        kind for kind in host.kinds() if kind in {"lock.warned", "lock.soft-timeout", "lock.stalled", "lock.overdue"}
    ]


def beating(name: str, seconds: float) -> list[Step | Told]:
    """Time passes, and the task beats on."""
    return [step for _ in range(int(seconds / 20)) for step in (passes(20), beats(name), answered(name))]


def test_who_never_beats_is_told_asked_and_taken_back() -> None:
    play(
        holder(),
        passes(99.9),
        passes(0.1), warned("anna", "warning"),
        passes(99.9),
        passes(0.1), warned("anna", "soft"),
        passes(199.9),
        passes(0.1), lost("anna", "max-hold"),
    )  # fmt: skip


def test_who_beats_is_left_alone_after_the_soft_timeout() -> None:
    host = play(holder(), *beating("anna", 80))
    play(host, passes(20), warned("anna", "warning"), beats("anna"), answered("anna"), *beating("anna", 80))
    play(host, passes(20), warned("anna", "soft"), beats("anna"), answered("anna"), *beating("anna", 180))
    play(host, passes(20), lost("anna", "max-hold"))
    assert "lock.stalled" not in kinds(host)


def test_who_was_silent_long_before_the_soft_timeout_is_taken_back_at_it() -> None:
    host = play(holder(), beats("anna"), answered("anna"), passes(29.9))
    play(host, so(lambda host: not host.lock("anna").stalled), passes(0.1), so(lambda host: host.lock("anna").stalled))
    play(host, passes(70), warned("anna", "warning"), passes(100), warned("anna", "soft"), lost("anna", "stalled"))


def test_who_falls_silent_after_the_soft_timeout_is_taken_back_when_that_is_clear() -> None:
    host = play(holder(), passes(100), warned("anna", "warning"), passes(100), warned("anna", "soft"))
    play(host, beats("anna"), answered("anna"), passes(29.9), passes(0.1), lost("anna", "stalled"))


def test_who_beats_again_gets_on_again() -> None:
    host = play(holder(), beats("anna"), answered("anna"), passes(30), beats("anna"), answered("anna"))
    assert not host.lock("anna").stalled
    assert [kind for kind in host.kinds() if kind in {"lock.stalled", "lock.recovered"}] == [
        "lock.stalled",
        "lock.recovered",
    ]


@pytest.mark.parametrize(
    ("beat", "reported"),
    [
        (False, ["lock.warned", "lock.soft-timeout", "lock.overdue"]),
        (True, ["lock.stalled", "lock.warned", "lock.soft-timeout", "lock.overdue", "lock.overdue"]),
    ],
)
def test_without_auto_recovery_everything_is_told_and_nothing_taken(beat: bool, reported: list[str]) -> None:
    host = holder(take_back=False)
    if beat:
        play(host, beats("anna"), answered("anna"))
    play(host, passes(50), passes(50), warned("anna", "warning"), passes(100), warned("anna", "soft"), passes(1000))
    assert kinds(host) == reported
    assert host.lock("anna").recall is None


def test_a_request_that_may_hold_for_less_ends_sooner() -> None:
    host = holder(hold=60, revoke_grace=2)
    pid = host.process("anna").pid
    play(host, passes(60), lost("anna", "max-hold"), passes(2), signalled(pid, TERM))


def test_levels_at_the_same_age_are_the_harder_one() -> None:
    host = play(
        Host(gpus=1, levels=Levels(100, 100, 400)),
        acquire("anna", notify=NOTIFY), granted("anna", 0),
        passes(100), warned("anna", "soft"),
    )  # fmt: skip
    assert kinds(host) == ["lock.soft-timeout"]


def test_a_daemon_that_slept_through_a_level_tells_the_one_that_is_reached() -> None:
    play(holder(), passes(250), warned("anna", "soft"))


def test_a_lock_that_has_ended_has_no_age() -> None:
    host = play(holder(), beats("anna"), answered("anna"), release("anna"), released("anna"), passes(1000))
    assert kinds(host) == []


def test_who_did_not_ask_is_not_told() -> None:
    host = play(Host(gpus=1, levels=LEVELS), acquire("anna"), granted("anna", 0), passes(100), passes(100))
    assert kinds(host) == ["lock.warned", "lock.soft-timeout"]


def test_extend_moves_the_end_but_not_past_the_hard_timeout() -> None:
    host = play(Host(gpus=1, levels=Levels(hard=100)), acquire("anna", hold=60, notify=NOTIFY), granted("anna", 0))
    play(
        host,
        passes(50),
        extends("anna", 1000), answered("anna"),
        passes(40),
        passes(10), lost("anna", "max-hold"),
        extends("anna", 10), refused("anna", "lost"),
    )  # fmt: skip


def test_what_is_left_after_an_extension_is_never_less_than_nothing() -> None:
    host = Host(gpus=1, levels=Levels(hard=100), take_back=False)
    play(host, acquire("anna"), granted("anna", 0), passes(150))
    actions = host.machine.handle(ExtendRequested(host.session("anna"), 3, None, 60), host.now)
    assert [action.result["max_hold"] for action in actions if isinstance(action, Answer)] == [0.0]


def test_a_beat_is_kept_with_the_lock() -> None:
    host = play(holder(), beats("anna", 0.4, "frame 812"), answered("anna"))
    assert (host.lock("anna").progress, host.lock("anna").note) == (0.4, "frame 812")


def test_the_next_daemon_goes_on_where_this_one_stopped() -> None:
    """What was reached by then is not announced again, but its holder is told when it is back."""
    before = Host(gpus=1, levels=LEVELS)
    play(
        before,
        hello("anna", "key-1"),
        welcomed("anna"),
        acquire("anna", hold=math.inf, notify=NOTIFY),
        granted("anna", 0),
    )
    process = before.process("anna")
    play(before, beats("anna"), answered("anna"))
    before.now += 120
    host, start = after_restart(before, levels=LEVELS, beat_timeout=30.0, reattach_grace=600)
    play(host, happens(start), watch(process.pid), claim(0, floor=1), claimed(2, 0), passes(0))
    assert kinds(host) == []
    host.connect("anna", process=process)
    play(
        host,
        hello("anna", "key-2", reattach="key-1"), unwatch(process.pid), welcomed("anna", 0), warned("anna", "warning"),
        passes(75), warned("anna", "soft"), lost("anna", "stalled"),
    )  # fmt: skip
    assert kinds(host) == ["lock.stalled", "lock.soft-timeout"]


def test_the_silence_of_a_task_begins_anew_with_the_next_daemon() -> None:
    """A beat is in no journal but by chance: what the journal says of the last one may be old by any time."""
    before = play(holder(), beats("anna"), answered("anna"))
    old = before.lock("anna").beat_at
    play(before, *beating("anna", 80))
    play(before, passes(20), warned("anna", "warning"), beats("anna"), answered("anna"), *beating("anna", 80))
    play(before, passes(20), warned("anna", "soft"), beats("anna"), answered("anna"), *beating("anna", 60))
    pid = before.process("anna").pid
    host, start = after_restart(before, levels=LEVELS, beat_timeout=30.0, reattach_grace=600)
    kept = replace(start, locks=tuple(replace(lock, beat_at=old) for lock in start.locks))
    play(host, happens(kept), watch(pid), claim(0, floor=1), claimed(2, 0), passes(29.9))
    assert host.lock("anna").recall is None
    play(host, passes(0.1))
    assert host.lock("anna").stalled
    assert host.lock("anna").recall is not None


SHORT = Settings(levels=Levels(warning=1, soft=2, hard=3))


def test_a_profile_has_its_own_levels() -> None:
    host = Host(gpus=2, levels=LEVELS, profiles={"short": SHORT})
    play(
        host,
        acquire("anna", hold=math.inf, notify=NOTIFY, profile="short"), granted("anna", 0),
        acquire("ben", hold=math.inf, notify=NOTIFY), granted("ben", 1),
        passes(1), warned("anna", "warning"),
        passes(1), warned("anna", "soft"),
        extends("anna", 1000), answered("anna"),
        passes(1), lost("anna", "max-hold"),
    )  # fmt: skip
    assert host.lock("ben").level is Level.NONE


@pytest.mark.parametrize(("profiles", "levels"), [({"short": SHORT}, SHORT.levels), ({}, LEVELS)])
def test_a_lock_keeps_its_profile_over_a_restart_as_long_as_there_is_one(
    profiles: dict[str, Settings], levels: Levels
) -> None:
    before = Host(gpus=1, levels=LEVELS, profiles={"short": SHORT})
    play(before, acquire("anna", profile="short"), granted("anna", 0))
    pid = before.process("anna").pid
    host, start = after_restart(before, now=0.5, levels=LEVELS, profiles=profiles)
    play(host, happens(start), watch(pid), claim(0, floor=1))
    assert host.lock("anna").levels == levels
