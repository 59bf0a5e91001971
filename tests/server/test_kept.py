"""A connection that is kept elsewhere too: when it has a mark, how it ends, and how it is left to the next daemon."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest

from gpulockd.core.events import AcquireRequested, BeatReported, SessionOpened
from gpulockd.server.adoption import Survivor
from gpulockd.server.roll import Line, Stage
from tests.server.conftest import MakeServer
from tests.server.house import Server
from tests.support.frames import Frames, WireError
from tests.support.waiting import wait_until

pack = msgpack.packb


class Store:
    """`ports.DescriptorStore` that keeps what it was given, and what it should have dropped, until the end."""

    limit = 10

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.dropped: list[str] = []

    def keep(self, name: str, descriptor: int, sent: Callable[[], None]) -> None:
        self.kept[name] = os.dup(descriptor)
        sent()

    def drop(self, name: str) -> None:
        self.dropped.append(name)

    def hasten(self) -> None:
        """Nothing here waits."""

    async def settle(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        for descriptor in self.kept.values():
            os.close(descriptor)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.close()


@pytest.fixture
def server(make_server: MakeServer, store: Store) -> Server:
    return make_server(store=store)


def line(server: Server, number: int = 0) -> Line:
    keeping = server.house.keeping
    assert keeping is not None
    return keeping.roll.read(number)


def left_behind(server: Server, number: int, session: int, *, resumes: bool = False) -> tuple[socket.socket, Survivor]:
    """A connection of an earlier daemon, and its client's end. One that `resumes` was in the midst of something."""
    keeping = server.house.keeping
    assert keeping is not None
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    keeping.roll.enter(number, session, 1)
    if resumes:
        keeping.roll.introduce(number, "ab" * 32, "test 1", resumes=True)
        keeping.roll.marks[keeping.roll.place(number)] = 1
    else:
        keeping.roll.move(number, Stage.KEPT)
    owner = server.house.processes.identify(os.getpid(), 0, 0, None)
    return ours, Survivor(session, number, keeping.roll.read(number), owner, theirs)


def rests(server: Server, number: int = 0) -> None:
    wait_until(lambda: not line(server, number).marked, "nothing of it is before the daemon")


def test_what_hello_and_watch_say_is_on_the_roll(server: Server) -> None:
    server.core.script = {}
    with Frames(server.path) as client:
        client.call("hello", client="test 1", reattach="secret")
        client.call("watch")
        rests(server)
        found = line(server)
        assert (found.stage, found.session, found.client, found.watches) == (Stage.KEPT, 1, "test 1", True)
        assert found.key is not None
        assert "secret" not in found.key


def test_a_command_has_a_mark_until_it_is_answered_and_a_wait_has_none(server: Server) -> None:
    server.core.script[BeatReported] = lambda event: None
    with Frames(server.path) as client:
        asked = client.send("acquire")
        wait_until(lambda: server.core.seen(AcquireRequested), "it waits")
        rests(server)
        beat = client.send("beat")
        wait_until(lambda: server.core.seen(BeatReported), "it is being worked at")
        server.do(lambda: None)
        assert line(server).marked
        server.do(lambda: server.core.sessions.answer(1, beat, {}))
        assert client.receive(beat) == {}
        rests(server)

        def grant() -> None:
            assert server.core.keeping is not None
            server.core.keeping.brace([1])
            assert line(server).marked, "before the commit"
            server.core.sessions.answer(1, asked, {"lock": "L1-1"})
            server.core.keeping.settled()

        server.do(grant)
        assert not line(server).marked
        assert client.receive(asked) == {"lock": "L1-1"}


def test_half_a_frame_keeps_the_mark(server: Server) -> None:
    with Frames(server.path) as client, Frames(server.path) as other:
        frame = pack([0, 7, "release", []])
        client.socket.sendall(frame[:4])
        wait_until(lambda: line(server).marked, "it is read")
        for _ in range(3):
            assert other.call("release") == {}
        assert line(server).marked
        client.socket.sendall(frame[4:])
        assert client.receive(7) == {}
        rests(server)


def test_ten_thousand_pipelined_commands_are_answered_in_order(server: Server) -> None:
    with Frames(server.path) as client:
        count = 10_000
        client.socket.sendall(b"".join(pack([0, msgid, "beat", []]) for msgid in range(count)))
        for msgid in range(count):
            assert client.receive(msgid) == {}
        rests(server)


def test_an_answer_that_is_half_sent_keeps_the_mark(server: Server) -> None:
    server.core.status = {"filler": "x" * 4_000_000}
    with Frames(server.path) as client:
        asked = client.send("status")
        wait_until(lambda: line(server).marked, "it is read")
        with Frames(server.path) as other:
            assert other.call("release") == {}
            assert other.call("release") == {}
        assert line(server).marked, "the client has not read it"
        assert len(client.receive(asked)["filler"]) == 4_000_000
        rests(server)


def test_an_answer_that_only_just_finds_no_room_keeps_the_mark_until_it_is_read(server: Server) -> None:
    """What is left to the transport may be less than what it would complain of."""
    with Frames(server.path) as client, Frames(server.path) as other:
        room = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        kept = 0
        for size in range(room // 2, 2 * room, room // 16):
            server.core.status = {"filler": "x" * size}
            asked = client.send("queue")
            for _ in range(2):
                assert other.call("release") == {}
            kept += line(server).marked
            assert len(client.receive(asked)["filler"]) == size
            rests(server)
        assert kept, "some were too much for the socket"


@pytest.mark.parametrize(
    ("method", "params"),
    [("nonsense", {}), ("beat", {"progress": "half"}), ("history", {})],
    ids=["unknown", "bad parameters", "answered by another thread"],
)
@pytest.mark.parametrize("waits", [False, True], ids=["alone", "beside a request that waits"])
def test_what_the_core_never_hears_of_leaves_no_mark(
    server: Server, method: str, params: dict[str, Any], waits: bool
) -> None:
    with Frames(server.path) as client:
        if waits:
            client.send("acquire")
            wait_until(lambda: server.core.seen(AcquireRequested), "it waits")
            rests(server)
        with contextlib.suppress(WireError):
            client.call(method, **params)
        rests(server)


def test_what_was_answered_before_there_was_a_transport_leaves_no_mark(server: Server) -> None:
    """A request of an earlier daemon is answered while that one's connections are not read yet."""
    number = 5
    ours, survivor = left_behind(server, number, session=77)
    admission = server.house.server._admission

    def answer_early() -> None:
        admission.go_on_with(survivor, [7, 8])
        server.core.sessions.answer(77, 7, {"filler": "x" * 1_000_000})
        server.core.sessions.answer(77, 8, {})

    server.do(answer_early)
    server.do(lambda: None)
    assert line(server, number).marked, "not everything found room"
    server.do(admission.begin)
    unpacker = msgpack.Unpacker()
    answers: list[Any] = []
    with ours:
        while len(answers) < 2:
            unpacker.feed(ours.recv(1 << 16))
            answers.extend(unpacker)
        assert [msgid for _, msgid, _, _ in answers] == [7, 8]
        rests(server, number)


def test_a_connection_that_begins_anew_is_marked_until_its_client_has_spoken(server: Server, store: Store) -> None:
    keeping = server.house.keeping
    assert keeping is not None
    number = 5
    ours, survivor = left_behind(server, number, session=77, resumes=True)
    admission = server.house.server._admission

    def begin_anew() -> None:
        admission.number_above(77)
        admission.begin_anew_with(survivor)

    server.do(begin_anew)
    server.do(lambda: None)
    assert [event.session for event in server.core.seen(SessionOpened)] == [78], (
        "so its process is watched from here on"
    )
    server.do(admission.begin)
    with ours, Frames(server.path) as other:
        said = msgpack.unpackb(ours.recv(1 << 16))
        assert said[:2] == [2, "resume"]
        ours.sendall(b"d of a frame" + pack([0, 7, "release", []]))
        for _ in range(3):
            assert other.call("release") == {}
        assert line(server, number).marked
        assert not keeping._connections[78].restless, "it holds up no stop"
        ours.sendall(pack([2, "resumed", said[2]]) + pack([0, 8, "beat", []]))
        assert msgpack.unpackb(ours.recv(1 << 16)) == [1, 8, None, {}], "the release was not for this daemon"
        rests(server, number)
        assert line(server, number).session == 78
        ours.close()
        wait_until(lambda: store.dropped == ["client-77.5"], "it is removed by the name that the store has")


def test_its_end_is_heard_whoever_else_has_a_descriptor_of_it(server: Server, store: Store) -> None:
    with Frames(server.path) as rude, Frames(server.path) as leaving:
        assert rude.call("release") == leaving.call("release") == {}
        rude.socket.sendall(b"\xc1")
        assert rude.notified("error")["code"] == "protocol-error"
        with pytest.raises((EOFError, ConnectionError)):
            rude.call("release")
        leaving.close()
        wait_until(lambda: len(store.dropped) == 2, "both are removed")
        stages = [line(server, number).stage for number in (0, 1)]
        assert stages == [Stage.NONE, Stage.ENDED], "only the second let go of what it had"


def test_over_the_limit_a_connection_is_as_good_as_any_but_for_a_restart(server: Server, store: Store) -> None:
    clients = [Frames(server.path) for _ in range(store.limit)]
    try:
        assert all(client.call("release") == {} for client in clients)
        connections = [f"client-{number + 1}.{number}" for number in range(store.limit - 2)]
        assert sorted(store.kept) == sorted([*connections, "listener", "roll"])
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize("kind", ["rests", "waits", "is worked at", "half a frame"])
def test_a_daemon_that_stops_leaves_what_rests_or_can_begin_anew(server: Server, kind: str, resumes: bool) -> None:
    server.core.script[BeatReported] = lambda event: None
    with Frames(server.path) as client:
        client.send("hello", resumes=resumes)
        assert client.call("release") == {}
        match kind:
            case "waits":
                client.send("acquire")
                wait_until(lambda: server.core.seen(AcquireRequested), "it waits")
                rests(server)
            case "is worked at":
                client.send("beat")
                wait_until(lambda: server.core.seen(BeatReported), "it is being worked at")
            case "half a frame":
                client.socket.sendall(pack([0, 7, "release", []])[:4])
                wait_until(lambda: line(server).marked, "it is read")
            case _:
                rests(server)
        server.do(server.house.server.stop)
        goes_on = resumes or kind in ("rests", "waits")
        if goes_on:
            client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError if goes_on else (EOFError, ConnectionError)):
            client.receive(99)
        assert line(server).stage is (Stage.KEPT if goes_on else Stage.NONE)
        if goes_on:
            client.socket.sendall(b"for the next daemon")


def test_a_store_that_is_smaller_than_the_limit_on_sessions_is_told_of(server: Server) -> None:
    [told] = [each for each in server.house.announced if each.kind == "server.little-room"]
    assert "keeps 8 connections over a restart, and daemon.max_sessions is 4096" in told.message
