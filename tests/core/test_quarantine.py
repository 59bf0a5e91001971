"""A GPU whose holder went without a word: whose word makes it clear, and that no time does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpulockd.core.events import GpuInspected, ProcessExited, Restored, SessionClosed
from gpulockd.core.model import GpuProcess, Owner, Process, Tie
from gpulockd.core.views import status, why

from .script import (
    BOOT,
    Host,
    Step,
    acquire,
    answered,
    claim,
    claimed,
    clear,
    disconnects,
    ended,
    granted,
    happens,
    inspect,
    passes,
    play,
    quarantines,
    refused,
    release,
    revokes,
    seen,
    unseen,
    unwatch,
    uuid,
    watch,
)
from .test_sessions import after_restart

DAYS = 10 * 86400.0


ANNA = Process(500, 7, BOOT)


def abandoned(process: Process = ANNA) -> tuple[Host, Process]:
    """anna lives and did not come back for her lock after a restart; ben waits for its GPU, which is being looked
    at."""
    before = Host(gpus=1)
    before.connect("anna", process=process)
    play(before, acquire("anna"), granted("anna", 0))
    host, start = after_restart(before, reattach_grace=60)
    play(
        host,
        happens(start), watch(process.pid), claim(0, floor=1),
        claimed(2, 0),
        acquire("ben", wait=1e9),
        passes(60), unwatch(process.pid), watch(process.pid), inspect(0),
    )  # fmt: skip
    assert ended(host) == [("anna", "abandoned")]
    return host, process


def awaited(host: Host) -> bool:
    quarantine = host.state.gpus[uuid(0)].quarantine
    return quarantine is not None and quarantine.awaited


def cut_off(name: str) -> Step:
    return lambda host: host.handle(SessionClosed(host.session(name), "cut-off"))


def test_where_the_driver_tells_its_word_is_enough_though_the_owner_lives() -> None:
    host, process = abandoned()
    play(host, clear(0), unwatch(process.pid), granted("ben", 0))


def test_where_it_cannot_tell_no_time_makes_it_clear_but_the_owners_end() -> None:
    host, process = abandoned()
    play(
        host,
        unseen(0),
        passes(DAYS),
        happens(ProcessExited(process)), unwatch(process.pid), inspect(0),
        unseen(0), granted("ben", 0),
    )  # fmt: skip
    assert host.kinds().count("gpu.quarantined") == 1


def test_an_owner_that_ends_while_the_driver_is_asked_is_waited_for_no_more() -> None:
    host, process = abandoned()
    play(host, happens(ProcessExited(process)), unwatch(process.pid), unseen(0), granted("ben", 0))


def test_a_driver_that_tells_at_last_is_believed() -> None:
    host, process = abandoned()
    play(
        host,
        unseen(0, "it does not answer"),
        passes(1), inspect(0),
        seen(0, process.pid),
        passes(1), inspect(0),
        clear(0), unwatch(process.pid), granted("ben", 0),
    )  # fmt: skip


def test_status_and_why_name_whom_it_waits_for() -> None:
    host, process = abandoned()
    play(host, unseen(0))
    quarantine = status(host.state, host.now)["gpus"][0]["quarantine"]
    assert (quarantine["awaited"], quarantine["holder"]["pid"]) == (True, process.pid)
    told = why(host.state, host.now, "0")
    assert f"pid {process.pid} had L1-1 and lives" in told["reasons"][-1]
    assert f"kill {process.pid}" in told["next"]


def test_who_was_cut_off_has_not_let_go() -> None:
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0), acquire("ben", wait=1e9))
    process = host.process("anna")
    play(
        host,
        cut_off("anna"), watch(process.pid), inspect(0),
        unseen(0),
        passes(DAYS),
        happens(ProcessExited(process)), unwatch(process.pid), inspect(0),
        unseen(0), granted("ben", 0),
    )  # fmt: skip
    assert ended(host)[0] == ("anna", "cut-off")


class TestAWordThatComesLate:
    """The release of a lock that has ended without one: said again by a client that a dying daemon did not hear."""

    def test_it_counts_though_the_lock_is_held_no_more(self) -> None:
        host, process = abandoned()
        host.connect("back", process=process)
        play(
            host,
            unseen(0),
            release("back", "L1-1"), unwatch(process.pid), inspect(0), refused("back", "not-held"),
            unseen(0), granted("ben", 0),
        )  # fmt: skip

    def test_it_counts_while_the_driver_is_asked(self) -> None:
        host, process = abandoned()
        host.connect("back", process=process)
        play(
            host,
            release("back", "L1-1"), unwatch(process.pid), refused("back", "not-held"),
            unseen(0), granted("ben", 0),
        )  # fmt: skip

    def test_whom_the_driver_still_sees_there_is_believed_less(self) -> None:
        host, process = abandoned()
        host.connect("back", process=process)
        play(
            host,
            seen(0, process.pid),
            release("back", "L1-1"), unwatch(process.pid), inspect(0), refused("back", "not-held"),
            seen(0, process.pid),
            passes(1), inspect(0),
            clear(0), granted("ben", 0),
        )  # fmt: skip

    def test_it_counts_once(self) -> None:
        host, process = abandoned()
        host.connect("back", process=process)
        play(
            host,
            release("back", "L1-1"), unwatch(process.pid), refused("back", "not-held"),
            release("back", "L1-1"), refused("back", "not-held"),
            unseen(0), granted("ben", 0),
            release("back", "L1-1"), refused("back", "not-held"),
        )  # fmt: skip

    def test_another_process_cannot_say_it(self) -> None:
        host, _ = abandoned()
        play(host, unseen(0), release("ben", "L1-1"), refused("ben", "not-held"))
        assert awaited(host)

    def test_of_another_lock_it_says_nothing(self) -> None:
        host, process = abandoned()
        host.connect("back", process=process)
        play(host, unseen(0), release("back", "L1-2"), refused("back", "not-held"))
        assert awaited(host)


def test_who_disconnects_has_let_go() -> None:
    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben"),
        disconnects("anna"), inspect(0),
        unseen(0), granted("ben", 0),
    )  # fmt: skip


def test_the_next_daemon_waits_for_the_same_process() -> None:
    host, process = abandoned()
    play(host, unseen(0))
    after, start = after_restart(host, now=DAYS)
    play(
        after,
        happens(start), watch(process.pid), inspect(0), claim(0, floor=1),
        claimed(3, 0),
        acquire("carol", wait=1e9),
        unseen(0),
        happens(ProcessExited(process)), unwatch(process.pid), inspect(0),
        unseen(0), granted("carol", 0),
    )  # fmt: skip


def test_one_of_a_lock_that_was_taken_back_waits_for_what_the_kernel_says_of_its_holder() -> None:
    """The journal has the reason of the recall, not whether the holder was dead by then."""
    host, process = abandoned()
    play(host, unseen(0))
    entry = host.state.gpus[uuid(0)].quarantine
    after, start = after_restart(host)
    stale = replace(start, quarantines={uuid(0): replace(entry, reason="revoked", awaited=False)})
    play(after, happens(stale), watch(process.pid), inspect(0), claim(0, floor=1))
    assert awaited(after)


def test_a_dead_holders_quarantine_of_an_earlier_daemon_waits_for_nobody() -> None:
    before = play(Host(gpus=1), acquire("anna"), granted("anna", 0), disconnects("anna"), inspect(0))
    host, start = after_restart(before)
    play(host, happens(start), inspect(0), claim(0, floor=1), unseen(0))
    assert quarantines(host)[-1] == (uuid(0), False)


def test_why_names_the_process_in_the_way_with_all_that_is_known_of_it() -> None:
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0), disconnects("anna"), inspect(0))
    culprit = GpuProcess(4711, 3 * 2**30, "anna", "python left.py", "4f1d2c3b")
    play(host, happens(GpuInspected(uuid(0), (culprit,))))
    told = why(host.state, host.now, "0")["reasons"]
    assert told[-1] == "pid 4711 (anna, in container 4f1d2c3b, 3.0 GiB) of L1-1 is still on it: python left.py"


@pytest.mark.parametrize("tie", list(Tie))
def test_why_and_status_say_by_which_rule_it_is_in_the_way(tie: Tie) -> None:
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0), disconnects("anna"), inspect(0))
    play(host, happens(GpuInspected(uuid(0), (GpuProcess(4711, None, "anna", "python left.py", tie=tie),))))
    told = why(host.state, host.now, "0")["reasons"]
    assert any(WORDS[tie] in reason for reason in told), told
    assert any("never ended" in reason for reason in told) is (tie is Tie.CGROUP)
    (entry,) = status(host.state, host.now)["gpus"]
    assert entry["quarantine"]["culprits"][0]["tie"] == tie.value


WORDS = {
    Tie.NONE: "of L1-1 is still on it",
    Tie.PROCESS: "the holder itself",
    Tie.DESCENT: "a descendant",
    Tie.SESSION: "the session that the holder led",
    Tie.GROUP: "the process group that the holder led",
    Tie.CGROUP: "the control group that the holder had for itself",
    Tie.UNKNOWN: "for want of a descriptor",
}


class TestRevoke:
    def test_a_living_process_is_to_be_ended(self) -> None:
        host, process = abandoned()
        play(host, unseen(0), revokes("root", "0"), refused("root", "invalid-request"))
        play(host, happens(ProcessExited(process)), unwatch(process.pid), inspect(0), unseen(0), granted("ben", 0))

    def test_of_one_that_nobody_can_see_an_administrators_word_is_enough(self) -> None:
        host, process = abandoned(Process(77, 0, BOOT))
        play(host, unseen(0), passes(DAYS))
        told = why(host.state, host.now, "0")
        assert "cannot be seen from here" in told["reasons"][-1]
        assert "gpulockctl revoke 0" in told["next"]
        play(host, revokes("root", "0"), unwatch(process.pid), answered("root"), granted("ben", 0))
        assert "gpu.vouched" in host.kinds()

    def test_but_not_while_the_driver_names_somebody(self) -> None:
        host, _ = abandoned(Process(77, 0, BOOT))
        play(host, seen(0, 4711), revokes("root", "0"), refused("root", "invalid-request"))
        assert awaited(host)


def test_a_restored_quarantine_of_a_gpu_that_is_missing_today_watches_nobody() -> None:
    holder = Owner(Process(5, 6, BOOT), 1000, 1000)
    host, _ = abandoned()
    entry = replace(host.state.gpus[uuid(0)].quarantine, holder=holder)
    after, start = after_restart(Host(gpus=1))
    play(after, happens(Restored((), {"GPU-gone": entry}, {}, start.highest_token, frozenset())), claim(0, floor=0))
