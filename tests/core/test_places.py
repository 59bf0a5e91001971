"""Those who waited keep their place over a restart, and nobody else is granted what it would have brought them."""

from __future__ import annotations

from dataclasses import replace

from gpulockd.core.actions import RequestLeft, RequestWaits
from gpulockd.core.events import GpusDiscovered, ProcessExited, Restored, SessionClosed
from gpulockd.core.machine import Machine
from gpulockd.core.model import Process, Request
from gpulockd.core.places import ASK_AGAIN, KEPT_FREE
from gpulockd.core.settings import Levels
from gpulockd.core.turn import AT_THE_DOOR

from .script import (
    Host,
    Step,
    Told,
    acquire,
    answered,
    cancel,
    claim,
    claimed,
    clear,
    disconnects,
    granted,
    happens,
    hello,
    identity,
    inspect,
    nested,
    passes,
    play,
    refused,
    release,
    released,
    unwatch,
    watch,
    welcomed,
)

LONG, SHORT = Levels(warning=100, soft=200, hard=400), Levels(warning=10, soft=20, hard=40)


def recorded(host: Host) -> dict[str, Request]:
    """The requests that a journal has, by the records that it was given."""
    kept: dict[str, Request] = {}
    for record in host.records:
        if isinstance(record, RequestWaits):
            kept[record.request.id] = replace(record.request, session=0, msgid=0, candidates=frozenset())
        elif isinstance(record, RequestLeft):
            del kept[record.request]
    return kept


class After:
    """The daemon after the one of `before`, whose clients all live but `dead`."""

    def __init__(self, before: Host, *dead: str, **settings: float) -> None:
        self.dead = dead
        self.host = Host(gpus=0, claimed=False, **settings)
        self.host.machine = Machine(replace(before.state.settings, **settings))
        self.host.now = before.now + 5
        self.host.names = {}
        self.processes: dict[str, Process] = {}
        locks = tuple(replace(lock, session=None) for lock in before.state.locks.values())
        requests = tuple(recorded(before).values())
        for each in (*locks, *requests):
            self.processes[each.owner.user] = each.owner.process
        alive = frozenset(process for name, process in self.processes.items() if name not in dead)
        self.host.handle(GpusDiscovered(tuple(identity(index) for index in range(len(before.state.gpus)))))
        self.start = Restored(locks, {}, {}, before.state.last_token, alive, requests)

    def back(self, name: str) -> Step:
        """The same process, over a new connection, with its key."""

        def step(host: Host) -> list[Told]:
            host.connect(name, process=self.processes[name])
            return list(hello(name, f"key of {name}", reattach=f"key of {name}")(host))

        return step

    def unwatched(self, name: str) -> Told:
        return unwatch(self.processes[name].pid)

    def watched(self, name: str) -> Told:
        return watch(self.processes[name].pid)


def one_holds_and_two_wait() -> Host:
    return play(
        Host(gpus=1),
        hello("anna", "key of anna"), welcomed("anna"), acquire("anna"), granted("anna", 0),
        hello("ben", "key of ben"), welcomed("ben"), acquire("ben", task="b"),
        hello("carol", "key of carol"), welcomed("carol"), acquire("carol", task="c"),
    )  # fmt: skip


def test_only_what_has_to_wait_is_recorded_and_only_for_as_long() -> None:
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0), acquire("ben", wait=0), refused("ben", "busy"))
    assert not any(isinstance(record, RequestWaits | RequestLeft) for record in host.records)

    play(host, acquire("ben"), acquire("carol"), acquire("dora", wait=7), acquire("emil", msgid=5))
    assert [request.owner.user for request in recorded(host).values()] == ["ben", "carol", "dora", "emil"]

    play(
        host,
        passes(7), refused("dora", "wait-timeout"),
        disconnects("ben"),
        cancel("emil", 5), refused("emil", "cancelled"), answered("emil"),
    )  # fmt: skip
    assert [request.owner.user for request in recorded(host).values()] == ["carol"]

    play(host, release("anna"), released("anna"), granted("carol", 0))
    assert not recorded(host)


def test_who_comes_back_later_goes_first_all_the_same() -> None:
    after = After(one_holds_and_two_wait())
    play(
        after.host,
        happens(after.start), after.watched("anna"), after.watched("ben"), after.watched("carol"), claim(0, floor=1),
        claimed(2, 0),
        after.back("carol"), welcomed("carol"),
        acquire("carol", task="c"), after.unwatched("carol"),
        after.back("anna"), after.unwatched("anna"), welcomed("anna", 0),
        release("anna"), released("anna"),
        after.back("ben"), welcomed("ben"),
        acquire("ben", task="b"), after.unwatched("ben"), granted("ben", 0),
        release("ben"), released("ben"), granted("carol", 0),
    )  # fmt: skip
    lock = after.host.lock("carol")
    assert lock.granted_at - lock.queued_at == 5, "it has waited since it first asked"
    assert [record.request for record in after.host.records if isinstance(record, RequestLeft)] == ["R1-2", "R1-3"]


def without_the_holder(after: After) -> None:
    """Nobody holds the GPU, and dora, who came after the restart, waits for the absent."""
    play(
        after.host,
        happens(after.start), after.watched("anna"), after.unwatched("anna"), inspect(0),
        *(after.watched(name) for name in ("ben", "carol") if name not in after.dead), claim(0, floor=1),
        claimed(2, 0),
        clear(0),
        acquire("dora"),
    )  # fmt: skip


def test_gpus_are_kept_free_for_the_absent_for_some_seconds_and_their_places_for_longer() -> None:
    after = After(one_holds_and_two_wait(), "anna", reattach_grace=60)
    without_the_holder(after)
    play(
        after.host,
        passes(KEPT_FREE - 0.1),
        passes(0.1), granted("dora", 0),
        acquire("emil"),
        passes(50),
        after.back("ben"), welcomed("ben"),
        acquire("ben", task="b"), after.unwatched("ben"),
        release("dora"), released("dora"), granted("ben", 0),
    )  # fmt: skip


def test_the_time_for_which_they_are_kept_free_begins_with_the_first_who_comes() -> None:
    """Until then nobody could have come: the daemon may open its door long after it has read its journal."""
    after = After(one_holds_and_two_wait(), "anna", "carol", reattach_grace=60)
    play(
        after.host,
        happens(after.start), after.watched("anna"), after.unwatched("anna"), inspect(0), after.watched("ben"),
        claim(0, floor=1),
        claimed(2, 0),
        clear(0),
        passes(40),
        acquire("dora"),
        passes(KEPT_FREE - 0.1),
        acquire("emil"),
        passes(0.1), granted("dora", 0),
    )  # fmt: skip


def test_a_place_ends_with_the_grace() -> None:
    after = After(one_holds_and_two_wait(), "anna", reattach_grace=60)
    without_the_holder(after)
    play(after.host, passes(KEPT_FREE), granted("dora", 0), passes(54.9))
    play(after.host, passes(0.1), after.unwatched("ben"), after.unwatched("carol"))


def test_who_waited_and_is_at_the_door_of_a_daemon_that_slept_has_its_place() -> None:
    """Stopped over the end of the grace, it hears of the time before it reads who has connected meanwhile."""
    after = After(one_holds_and_two_wait(), "anna", "carol", reattach_grace=60)
    play(
        after.host,
        happens(after.start), after.watched("anna"), after.unwatched("anna"), inspect(0), after.watched("ben"),
        claim(0, floor=1),
        claimed(2, 0),
        clear(0),
        passes(67),
        acquire("dora"),
        after.back("ben"), welcomed("ben"),
        acquire("ben", task="b"), after.unwatched("ben"), granted("ben", 0),
    )  # fmt: skip


def test_nothing_is_kept_for_who_is_not_even_at_the_door_then() -> None:
    after = After(one_holds_and_two_wait(), "anna", "carol", reattach_grace=60)
    without_the_holder(after)
    play(
        after.host,
        passes(67),
        passes(AT_THE_DOOR - 0.1),
        passes(0.1), after.unwatched("ben"), granted("dora", 0),
    )  # fmt: skip


def test_a_place_ends_with_the_wait_that_it_was_for() -> None:
    after = After(one_holds_and_two_wait(), "anna", reattach_grace=600)
    without_the_holder(after)
    play(after.host, passes(KEPT_FREE), granted("dora", 0), passes(89.9))
    play(after.host, passes(0.1), after.unwatched("ben"), after.unwatched("carol"))


def test_a_place_ends_with_its_process() -> None:
    after = After(one_holds_and_two_wait(), "anna", "carol")
    without_the_holder(after)
    exit_of_ben = ProcessExited(after.processes["ben"])
    play(after.host, happens(exit_of_ben), after.unwatched("ben"), granted("dora", 0))


def test_who_is_back_and_does_not_ask_again_has_given_up() -> None:
    after = After(one_holds_and_two_wait(), "anna", "carol")
    without_the_holder(after)
    play(
        after.host,
        after.back("ben"), welcomed("ben"),
        passes(ASK_AGAIN), after.unwatched("ben"), granted("dora", 0),
    )  # fmt: skip


def test_another_wish_or_another_key_is_a_new_request() -> None:
    after = After(one_holds_and_two_wait(), "anna", "carol")
    without_the_holder(after)
    play(
        after.host,
        hello("dora", "key of dora", reattach="key of ben"), welcomed("dora"),
        after.back("ben"), welcomed("ben"),
        acquire("ben", task="another"),
        acquire("ben", task="b"), after.unwatched("ben"), granted("ben", 0), nested("ben", 0),
    )  # fmt: skip


def test_no_more_is_kept_than_the_absent_want() -> None:
    before = play(
        Host(gpus=3),
        acquire("anna", 3), granted("anna", 0, 1, 2),
        hello("ben", "key of ben"), welcomed("ben"), acquire("ben", 2),
    )  # fmt: skip
    after = After(before, "anna")
    play(
        after.host,
        happens(after.start), after.watched("anna"), after.unwatched("anna"), inspect(0), inspect(1), inspect(2),
        after.watched("ben"), claim(0, 1, 2, floor=1),
        claimed(2, 0, 1, 2),
        clear(0), clear(1), clear(2),
        acquire("dora"), granted("dora", 2),
        acquire("emil"),
        after.back("ben"), welcomed("ben"),
        acquire("ben", 2), after.unwatched("ben"), granted("ben", 0, 1),
    )  # fmt: skip


def test_a_request_that_comes_before_the_first_claim_has_a_name_of_its_own() -> None:
    before = play(Host(gpus=1, claimed=False), hello("ben", "key of ben"), welcomed("ben"), acquire("ben"))
    after = After(before)
    play(after.host, happens(after.start), after.watched("ben"), claim(0, floor=0), acquire("dora"))
    assert not set(after.host.state.absent) & set(after.host.state.requests)


def test_who_comes_back_and_goes_without_asking_does_not_want_its_place_any_more() -> None:
    """So a client says that it gave up while no daemon was there to hear it."""
    after = After(one_holds_and_two_wait(), "anna")
    without_the_holder(after)
    play(
        after.host,
        after.back("ben"), welcomed("ben"),
        after.back("carol"), welcomed("carol"),
        disconnects("ben"), after.unwatched("ben"),
        disconnects("carol"), after.unwatched("carol"), granted("dora", 0),
    )  # fmt: skip


def test_who_was_cut_off_before_it_asked_may_come_again() -> None:
    after = After(one_holds_and_two_wait(), "anna")
    without_the_holder(after)
    play(
        after.host,
        after.back("ben"), welcomed("ben"),
        lambda host: host.handle(SessionClosed(host.session("ben"), "cut-off")),
        after.back("ben"), welcomed("ben"),
        acquire("ben", task="b"), after.unwatched("ben"), granted("ben", 0),
    )  # fmt: skip


def test_who_is_there_by_another_connection_with_its_key_may_ask_on_that() -> None:
    after = After(one_holds_and_two_wait(), "anna")
    without_the_holder(after)
    play(after.host, after.back("ben"), welcomed("ben"))
    first = after.host.session("ben")
    after.host.names[first] = "ben's first"
    play(
        after.host,
        after.back("ben"), welcomed("ben"),
        disconnects("ben's first"),
        acquire("ben", task="b"), after.unwatched("ben"), granted("ben", 0),
    )  # fmt: skip


def test_a_request_without_a_key_cannot_be_known_again() -> None:
    before = play(Host(gpus=1), acquire("anna"), granted("anna", 0), acquire("ben"))
    after = After(before)
    play(after.host, happens(after.start), after.watched("anna"), claim(0, floor=1))
    assert RequestLeft("R1-2") in after.host.records


def test_who_asks_again_under_other_settings_has_what_was_filled_in_at_first() -> None:
    before = play(
        Host(gpus=1),
        hello("anna", "key of anna"), welcomed("anna"), acquire("anna"), granted("anna", 0),
        hello("ben", "key of ben"), welcomed("ben"),
        acquire("ben", hold=300, default_hold=True, levels=LONG, variant="c1/candidate"),
    )  # fmt: skip
    after = After(before)
    play(
        after.host,
        happens(after.start), after.watched("anna"), after.watched("ben"), claim(0, floor=1),
        claimed(2, 0),
        after.back("anna"), after.unwatched("anna"), welcomed("anna", 0),
        after.back("ben"), welcomed("ben"),
        acquire("ben", hold=30, default_hold=True, levels=SHORT), after.unwatched("ben"),
        release("anna"), released("anna"), granted("ben", 0),
    )  # fmt: skip
    lock = after.host.lock("ben")
    assert (lock.wish.max_hold, lock.levels, lock.wish.variant) == (300, LONG, "c1/candidate")


def test_who_asked_a_daemon_that_did_not_write_down_whose_the_hold_was_has_its_place_all_the_same() -> None:
    """Its journal reads as if every hold had been asked for; what may be asked for now is another one."""
    before = play(
        Host(gpus=1),
        hello("anna", "key of anna"), welcomed("anna"), acquire("anna"), granted("anna", 0),
        hello("ben", "key of ben"), welcomed("ben"), acquire("ben", hold=3600),
        hello("carol", "key of carol"), welcomed("carol"), acquire("carol", hold=3600),
    )  # fmt: skip
    after = After(before)
    play(
        after.host,
        happens(after.start), after.watched("anna"), after.watched("ben"), after.watched("carol"), claim(0, floor=1),
        claimed(2, 0),
        after.back("carol"), welcomed("carol"),
        acquire("carol", hold=1800, default_hold=True),
        after.back("ben"), welcomed("ben"),
        acquire("ben", hold=3600, default_hold=True), after.unwatched("ben"),
    )  # fmt: skip
    assert {request.owner.user for request in after.host.state.absent.values()} == {"carol"}


def test_another_hold_that_was_asked_for_is_another_request() -> None:
    after = After(one_holds_and_two_wait())
    play(
        after.host,
        happens(after.start), after.watched("anna"), after.watched("ben"), after.watched("carol"), claim(0, floor=1),
        claimed(2, 0),
        after.back("ben"), welcomed("ben"),
        acquire("ben", hold=7, task="b"),
    )  # fmt: skip
    assert {request.owner.user for request in after.host.state.absent.values()} == {"ben", "carol"}


def test_limits_of_a_user_are_for_new_requests_not_for_who_comes_back() -> None:
    """Of carol's user others wait, and hold, as many as one may by now: what she asked for was within the limits."""
    for limit in ("max_requests_per_user", "max_locks_per_user"):
        after = After(one_holds_and_two_wait(), **{limit: 1})
        play(
            after.host,
            happens(after.start), after.watched("anna"), after.watched("ben"), after.watched("carol"),
            claim(0, floor=1),
            claimed(2, 0),
            after.back("anna"), after.unwatched("anna"), welcomed("anna", 0),
            after.back("ben"), welcomed("ben"), acquire("ben", task="b"), after.unwatched("ben"),
            after.back("carol"), welcomed("carol"), acquire("carol", task="c"), after.unwatched("carol"),
            acquire("dora"), refused("dora", "limit-exceeded"),
            cancel("ben"), refused("ben", "cancelled"), answered("ben"),
            release("anna"), released("anna"), granted("carol", 0),
        )  # fmt: skip
