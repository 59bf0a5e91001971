"""Connections that outlive the daemon: who holds goes on holding, and who waits is answered as if nothing had been."""

from __future__ import annotations

from dataclasses import replace

from gpulockd.core.actions import Answer, RequestLeft
from gpulockd.core.events import (
    DoorOpened,
    GpusDiscovered,
    LeasesClaimed,
    ProcessExited,
    ReleaseRequested,
    Restored,
    SessionAdopted,
)
from gpulockd.core.machine import Machine
from gpulockd.core.model import GpuProcess, Process
from gpulockd.core.places import ASK_AGAIN, KEPT_FREE

from .script import (
    Host,
    Step,
    Told,
    acquire,
    answered,
    claim,
    claimed,
    clear,
    disconnect,
    ended,
    extends,
    granted,
    happens,
    hello,
    identity,
    inspect,
    lost,
    passes,
    play,
    queued,
    refused,
    release,
    released,
    revokes,
    sampled,
    unwatch,
    uuid,
    warned,
    watch,
    welcomed,
)


class After:
    """The daemon after the one of `before`: its journal is the state there, and all of its clients live."""

    def __init__(self, before: Host, *, away: float = 5.0, gpus: int | None = None) -> None:
        self.before = before
        self.host = Host(gpus=0, claimed=False)
        self.host.machine = Machine(before.state.settings)
        self.host.now = before.now + away
        self.sessions = {name: number for number, name in before.names.items()}
        count = len(before.state.gpus) if gpus is None else gpus
        self.host.handle(GpusDiscovered(tuple(identity(index) for index in range(count))))

    def process(self, name: str) -> Process:
        owner = self.before.state.sessions[self.sessions[name]].owner
        return Process(owner.process.pid, owner.process.start_time, owner.process.boot_id)

    def adopts(self, name: str, *, process: Process | None = None) -> Step:
        """Its connection is still there, with `process` at the other end."""
        session = self.before.state.sessions[self.sessions[name]]

        def step(host: Host) -> list[Told]:
            host.names[session.id] = name
            owner = replace(session.owner, process=process or session.owner.process)
            return host.handle(SessionAdopted(session.id, owner, session.client, session.reattach))

        return step

    def restores(self, *gone: str) -> Step:
        """Reads the journal; the connections of `gone` have ended for certain."""
        state = self.before.state
        locks = tuple(replace(lock) for lock in state.locks.values())
        requests = tuple(replace(each, candidates=frozenset(), told_position=0) for each in state.requests.values())
        alive = frozenset(each.owner.process for each in (*locks, *requests))
        numbers = frozenset(self.sessions[name] for name in gone)
        return happens(Restored(locks, {}, {}, state.last_token, alive, requests, numbers))


def one_holds_and_two_wait() -> Host:
    return play(
        Host(gpus=1),
        hello("anna", "key of anna"), welcomed("anna"), acquire("anna"), granted("anna", 0),
        acquire("ben", task="b", msgid=7),
        hello("carol", "key of carol"), welcomed("carol"), acquire("carol", task="c", msgid=9),
    )  # fmt: skip


def test_everything_is_as_it_was() -> None:
    after = After(one_holds_and_two_wait())
    play(
        after.host,
        after.adopts("carol"), after.adopts("anna"), after.adopts("ben"),
        after.restores(), claim(0, floor=1),
        claimed(2, 0),
        extends("anna", 50), answered("anna"),
        acquire("dora"),
        release("anna"), released("anna"), granted("ben", 0),
        release("ben"), released("ben"), granted("carol", 0),
        release("carol"), released("carol"), granted("dora", 0),
    )  # fmt: skip


def test_a_request_is_answered_by_the_message_id_it_came_with() -> None:
    after = After(one_holds_and_two_wait())
    play(
        after.host,
        after.adopts("anna"), after.adopts("ben"), after.adopts("carol"),
        after.restores(), claim(0, floor=1),
        claimed(2, 0),
    )  # fmt: skip
    released = ReleaseRequested(after.sessions["anna"], 8, None)
    actions = after.host.machine.handle(released, after.host.now)
    answers = [(action.session, action.msgid) for action in actions if isinstance(action, Answer)]
    assert answers == [(after.sessions["anna"], 8), (after.sessions["ben"], 7)]


def test_whose_connection_has_ended_is_gone_and_whose_was_lost_may_come_back() -> None:
    after = After(one_holds_and_two_wait())
    anna, carol = after.process("anna"), after.process("carol")
    play(
        after.host,
        after.adopts("ben"),
        after.restores("anna"), watch(anna.pid), unwatch(anna.pid), inspect(0), watch(carol.pid), claim(0, floor=1),
        claimed(2, 0),
        clear(0), granted("ben", 0),
    )  # fmt: skip
    assert ended(after.host) == [("anna", "disconnected")]
    assert [request.wish.task for request in after.host.state.absent.values()] == ["c"]


def test_a_waiting_request_ends_with_its_connection() -> None:
    after = After(one_holds_and_two_wait())
    play(after.host, after.adopts("anna"), after.restores("ben", "carol"), claim(0, floor=1))
    assert [record.request for record in after.host.records if isinstance(record, RequestLeft)] == ["R1-2", "R1-3"]


def test_another_process_behind_the_same_number_gets_nothing() -> None:
    """As if its pid had been used again: the start time tells them apart."""
    after = After(one_holds_and_two_wait())
    anna, ben, carol = map(after.process, ("anna", "ben", "carol"))
    play(
        after.host,
        after.adopts("anna", process=Process(anna.pid, anna.start_time + 1, anna.boot_id)),
        after.restores(), watch(anna.pid), watch(carol.pid), claim(0, floor=1),
        claimed(2, 0),
        release("anna", after.before.lock("anna").id), refused("anna", "not-held"),
        passes(after.host.state.settings.reattach_grace), unwatch(anna.pid),
        watch(anna.pid), inspect(0), unwatch(carol.pid),
    )  # fmt: skip
    assert ben.pid not in [each.owner.process.pid for each in after.host.state.absent.values()], "it had no key"


def test_a_wait_that_was_over_while_the_daemon_was_away_is_told_at_once() -> None:
    before = play(Host(gpus=1), acquire("anna"), granted("anna", 0), acquire("ben", wait=3))
    after = After(before)
    play(
        after.host,
        after.adopts("anna"), after.adopts("ben"),
        after.restores(), claim(0, floor=1),
        passes(0), refused("ben", "wait-timeout"),
    )  # fmt: skip


def test_a_request_for_a_gpu_that_is_gone_is_refused() -> None:
    before = play(Host(gpus=2), acquire("anna", 2), granted("anna", 0, 1), acquire("ben", (uuid(1),)))
    after = After(before, gpus=1)
    play(
        after.host,
        after.adopts("anna"), after.adopts("ben"),
        after.restores(), refused("ben", "unknown-gpu"), claim(0, floor=1),
    )  # fmt: skip


def test_what_may_not_have_been_heard_is_told_again() -> None:
    before = play(
        Host(gpus=1),
        acquire("anna", hold=9000, notify=frozenset({"lost", "warning"})), granted("anna", 0),
        acquire("ben", wait=4000, notify=frozenset({"queued"})),
        passes(0), queued("ben", 1),
        passes(1800), warned("anna", "warning"),
        revokes("root", "lock of anna", 500), lost("anna", "revoked"), answered("root"),
    )  # fmt: skip
    after = After(before)
    play(
        after.host,
        after.adopts("anna"), after.adopts("ben"),
        after.restores(), warned("anna", "warning"), lost("anna", "revoked"), claim(0, floor=1),
        passes(0), queued("ben", 1),
    )  # fmt: skip


def test_an_adopted_session_ends_with_its_process() -> None:
    after = After(one_holds_and_two_wait())
    anna = after.process("anna")
    play(
        after.host,
        after.adopts("anna"), after.adopts("ben"), after.adopts("carol"),
        after.restores(), claim(0, floor=1),
        claimed(2, 0),
        happens(ProcessExited(anna)), inspect(0), disconnect("anna"),
        clear(0), granted("ben", 0),
    )  # fmt: skip
    assert ended(after.host) == [("anna", "died")]


def test_a_session_that_was_adopted_can_lose_its_connection_to_the_next_daemon() -> None:
    """The key that its `hello` said to the first daemon is good with the third."""
    second = After(one_holds_and_two_wait())
    play(second.host, second.adopts("anna"), second.adopts("carol"), second.restores("ben"), claim(0, floor=1))
    third = After(second.host)
    anna, carol = third.process("anna"), third.process("carol")
    third.restores()(third.host)
    third.host.handle(LeasesClaimed(third.host.now, {uuid(0): 3}))

    def back(name: str, process: Process) -> Step:
        def step(host: Host) -> list[Told]:
            host.connect(name, process=process)
            return list(hello(name, f"key of {name}", reattach=f"key of {name}")(host))

        return step

    third.host.names = dict.fromkeys(range(1, 9), "")
    play(
        third.host,
        back("anna", anna), unwatch(anna.pid), welcomed("anna", 0),
        back("carol", carol), welcomed("carol"),
        acquire("carol", task="c"), unwatch(carol.pid),
        passes(ASK_AGAIN),
        release("anna"), released("anna"), granted("carol", 0),
    )  # fmt: skip


def test_gpus_are_not_kept_free_for_the_absent_beyond_the_moments_after_the_door_has_opened() -> None:
    """Whose connections go on open none any more, and those with new ones need not come."""
    before = play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        hello("ben", "key of ben"), welcomed("ben"), acquire("ben"),
        acquire("carol"),
    )  # fmt: skip
    after = After(before)
    ben = after.process("ben")
    play(
        after.host,
        after.adopts("anna"), after.adopts("carol"),
        after.restores(), watch(ben.pid), claim(0, floor=1),
        claimed(2, 0),
        passes(3),
        happens(DoorOpened()),
        release("anna"), released("anna"),
        passes(KEPT_FREE - 0.1),
        passes(0.1), granted("carol", 0),
    )  # fmt: skip


def test_who_holds_and_who_is_connected_is_no_stranger_to_the_gpu_on_which_it_has_kept_a_context() -> None:
    before = play(
        Host(gpus=2, foreign_waits=True),
        hello("anna", "key of anna"), welcomed("anna"), acquire("anna", (uuid(0),)), granted("anna", 0),
        acquire("ben", (uuid(1),)), granted("ben", 1),
        release("ben"), released("ben"),
    )  # fmt: skip
    after = After(before)
    anna, ben = after.process("anna"), after.process("ben")
    play(after.host, after.adopts("ben"), after.restores(), watch(anna.pid), claim(0, 1, floor=1), claimed(2, 0, 1))
    after.host.names[1] = "anna before"
    after.host.connect("anna", process=anna)
    play(
        after.host,
        hello("anna", "another key", reattach="key of anna"), unwatch(anna.pid), welcomed("anna", 0),
        release("anna"), released("anna"),
        sampled(0, processes=(GpuProcess(anna.pid, None),)),
        sampled(1, processes=(GpuProcess(ben.pid, None),)),
        acquire("dora", wait=0), granted("dora", 0),
        acquire("ben", wait=0), granted("ben", 1),
    )  # fmt: skip
    assert "gpu.foreign" not in after.host.kinds()


def test_who_had_a_gpu_before_is_no_stranger_to_it_though_its_connection_was_lost() -> None:
    before = play(
        Host(gpus=2, foreign_waits=True),
        acquire("anna", (uuid(0),)), granted("anna", 0),
        release("anna"), released("anna"),
    )  # fmt: skip
    after = After(before)
    anna = GpuProcess(after.process("anna").pid, None)
    tenants = {uuid(0): frozenset({anna.pid}), "GPU-gone": frozenset({anna.pid})}
    play(
        after.host,
        happens(Restored((), {}, {}, before.state.last_token, frozenset(), tenants=tenants)), claim(0, 1, floor=1),
        claimed(2, 0, 1),
        sampled(0, processes=(anna,)),
        sampled(1, processes=(anna,)),
        acquire("dora", wait=0), granted("dora", 0),
        acquire("emil", (uuid(1),), wait=0), refused("emil", "busy"),
    )  # fmt: skip


def test_who_was_no_tenant_by_the_first_look_is_a_stranger_later() -> None:
    before = play(
        Host(gpus=1, foreign_waits=True), acquire("anna"), granted("anna", 0), release("anna"), released("anna")
    )
    after = After(before)
    play(
        after.host,
        after.adopts("anna"),
        after.restores(), claim(0, floor=1),
        claimed(2, 0),
        sampled(0, processes=()),
        sampled(0, processes=(GpuProcess(after.process("anna").pid, None),)),
        acquire("dora", wait=0), refused("dora", "busy"),
    )  # fmt: skip
