"""What came from an earlier daemon is told apart by name, and judged by the roll and by who is at the other end."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from gpulockd.core.model import Owner, Process
from gpulockd.server import Limits, Sessions, Watchers
from gpulockd.server.activation import Inherited
from gpulockd.server.admission import Admission
from gpulockd.server.adoption import Judgement, Passed, judged, told_apart
from gpulockd.server.peer import Peer
from gpulockd.server.roll import TORN, Roll, Stage
from tests.server.house import RecordedProcesses

STARTED = 100


class Dropped:
    """`ports.DescriptorStore`, as far as adoption uses it."""

    limit = 64

    def __init__(self) -> None:
        self.names: list[str] = []

    def keep(self, name: str, descriptor: int, sent: Callable[[], None]) -> None:
        raise NotImplementedError

    def drop(self, name: str) -> None:
        self.names.append(name)

    def hasten(self) -> None:
        """Nothing here waits."""

    async def settle(self) -> None:
        raise NotImplementedError


class Before:
    """Connections that an earlier daemon left behind."""

    def __init__(self) -> None:
        self.roll = Roll.new(8)
        self.store = Dropped()
        self.passed = Passed()
        self.clients: dict[int, socket.socket] = {}
        self.start_time: int | None = STARTED
        """Of the process at the other end; None: it has ended."""
        self.failure: OSError | None = None

    def leave(
        self,
        session: int,
        stage: Stage = Stage.KEPT,
        *,
        marked: bool = False,
        stored: bool = True,
        resumes: bool = False,
        torn: bool = False,
    ) -> None:
        self.roll.enter(session, session, STARTED)
        self.roll.introduce(session, "ab" * 32, "test 1", resumes=resumes)
        self.roll.move(session, stage)
        self.roll.marks[self.roll.place(session) + TORN] = int(torn)
        self.roll.marks[self.roll.place(session)] = int(marked)
        if stored:
            self.clients[session], theirs = socket.socketpair()
            self.passed.clients[session, session] = theirs.detach()

    def judged(self) -> Judgement:
        return judged(self.passed, self.roll, self.store, self._recognise)

    def _recognise(self, _: socket.socket, start_time: int) -> Owner | None:
        if self.failure is not None:
            raise self.failure
        return Owner(Process(4711, STARTED, "boot"), 0, 0) if self.start_time == start_time else None

    def ended(self, session: int) -> bool:
        """Whether its client hears that the connection is over, though somebody else still has a descriptor of it."""
        client = self.clients[session]
        client.setblocking(False)
        try:
            return client.recv(1) == b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        self.roll.close()
        for client in self.clients.values():
            client.close()


@pytest.fixture
def before() -> Iterator[Before]:
    with closing(Before()) as before:
        yield before


def test_descriptors_are_told_apart_whatever_their_order() -> None:
    came = [
        ("client-12.3", 5),
        ("gpulockd.socket", 3),
        ("roll", 9),
        ("client-1.0", 4),
        ("listener", 8),
        ("client-x", 6),
    ]
    passed = told_apart(Inherited(*each) for each in came)
    assert passed.clients == {(12, 3): 5, (1, 0): 4}
    assert (passed.roll, passed.listener) == (9, 8)
    assert passed.doors == [("gpulockd.socket", 3), ("client-x", 6)], "a stranger is refused with the doors"


def test_only_what_is_unmarked_and_alive_goes_on(before: Before) -> None:
    before.leave(1)
    before.leave(2, marked=True)
    before.leave(3, Stage.ENDED)
    before.leave(4, Stage.OPEN)  # the daemon did not come to note that it was stored
    judgement = before.judged()
    assert [survivor.session for survivor in judgement.survivors] == [1, 4]
    assert (judgement.cut, judgement.ended) == (1, {3})
    assert [session for session in (1, 2, 3, 4) if before.ended(session)] == [2, 3]
    assert before.store.names == ["client-2.2", "client-3.3"]
    assert list(before.roll.used()) == [1, 4]
    for survivor in judgement.survivors:
        survivor.socket.close()


def test_what_is_marked_begins_anew_where_its_client_can_be_told(before: Before) -> None:
    before.leave(1, marked=True, resumes=True)
    before.leave(2, marked=True, resumes=True, torn=True)
    before.leave(3, marked=True)
    judgement = before.judged()
    assert [survivor.session for survivor in judgement.interrupted] == [1]
    assert judgement.survivors == []
    assert judgement.cut == 2
    assert [session for session in (1, 2, 3) if before.ended(session)] == [2, 3]
    assert before.roll.read(1).marked, "until its client has said what it wants"
    judgement.interrupted[0].socket.close()


def test_a_connection_is_known_by_its_first_session(before: Before) -> None:
    """The store has it by that name, whichever session went on with it."""
    before.leave(1, marked=True, resumes=True)
    before.roll.begin_anew(1, 9)
    [survivor] = before.judged().interrupted
    assert survivor.session == 9
    survivor.socket.close()


def test_a_client_in_the_midst_of_something_that_has_ended(before: Before) -> None:
    before.leave(1, marked=True, resumes=True)
    before.start_time = None
    judgement = before.judged()
    assert (judgement.interrupted, judgement.ended) == ([], {1})


@pytest.mark.parametrize("now", [None, STARTED + 1], ids=["it has ended", "its pid was used again"])
def test_a_process_that_is_not_the_one_that_connected(before: Before, now: int | None) -> None:
    before.leave(1)
    before.start_time = now
    judgement = before.judged()
    assert (judgement.survivors, judgement.ended) == ([], {1})
    assert before.ended(1)


def test_a_process_that_cannot_be_looked_at_may_live(before: Before) -> None:
    before.leave(1)
    before.failure = OSError(errno.EMFILE, "Too many open files")
    judgement = before.judged()
    assert (judgement.survivors, judgement.ended, judgement.lost) == ([], set(), 1)
    assert before.ended(1), "its client hears of it, and comes back with its key"
    assert before.store.names == ["client-1.1"]
    assert list(before.roll.used()) == []


def test_a_line_without_its_connection(before: Before) -> None:
    """No client makes PID 1 close what it keeps: a connection that is missing says nothing about its client."""
    before.leave(1, Stage.KEPT, stored=False)
    before.leave(2, Stage.OPEN, stored=False)  # it ended with the daemon
    before.leave(3, Stage.ENDED, stored=False)
    judgement = before.judged()
    assert (judgement.ended, judgement.lost) == ({3}, 1)
    assert list(before.roll.used()) == []


def test_a_connection_without_its_line(before: Before) -> None:
    before.leave(1)
    before.roll.enter(1, 17, STARTED)  # the line is another's by now
    ours, theirs = socket.socketpair()
    before.clients[5] = ours
    before.passed.clients[5, 5000] = theirs.detach()
    judgement = before.judged()
    assert judgement.survivors == []
    assert before.ended(1)
    assert before.ended(5)
    assert sorted(before.store.names) == ["client-1.1", "client-5.5000"]


def test_a_second_descriptor_elsewhere_keeps_no_client_connected(before: Before) -> None:
    before.leave(1, marked=True)
    duplicate = os.dup(before.passed.clients[1, 1])
    try:
        before.judged()
        assert before.ended(1)
    finally:
        os.close(duplicate)


def recognised(processes: RecordedProcesses, start_time: int) -> Owner | None:
    admission = Admission(
        None,  # type: ignore[arg-type]  # nobody is admitted
        Sessions(),
        Watchers(lambda: 0.0),
        processes,  # type: ignore[arg-type]  # the other methods are not the server's
        Limits(),
        lambda _: None,
        peer=lambda _: Peer(4711, 0, 0, None),
    )
    with socket.socket() as sock:
        return admission.recognise(sock, start_time)


def test_whoever_is_at_the_other_end_has_to_be_the_process_that_connected() -> None:
    processes = RecordedProcesses()
    owner = recognised(processes, processes.start_time)
    assert owner is not None
    assert processes.known == [owner.process]
    assert recognised(processes, processes.start_time + 1) is None
    assert processes.known == [owner.process], "the other one is not watched"
    processes.failure = ConnectionAbortedError(errno.ESRCH, "it has ended")
    assert recognised(processes, processes.start_time) is None


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_to_lack_the_means_to_look_at_a_process_is_not_its_end(number: int) -> None:
    processes = RecordedProcesses()
    processes.failure = OSError(number, os.strerror(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        recognised(processes, processes.start_time)


@pytest.mark.parametrize(("before", "now"), [(STARTED, 0), (0, STARTED)])
def test_a_process_that_only_one_of_the_daemons_sees_may_be_the_same(before: int, now: int) -> None:
    processes = RecordedProcesses()
    processes.start_time = now
    with pytest.raises(PermissionError, match="pid 4711 cannot be seen"):
        recognised(processes, before)
    assert processes.known == []
