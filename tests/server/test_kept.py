"""A connection that is kept elsewhere too: when it has a mark, how it ends, and how it is left to the next daemon."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import msgpack
import pytest

from gpulockd.core.events import AcquireRequested, BeatReported
from gpulockd.server.roll import Line, Stage
from tests.server.conftest import MakeServer
from tests.server.house import Server
from tests.support.frames import Frames
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
        assert client.call("release") == {}
        rests(server)


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


@pytest.mark.parametrize("kind", ["rests", "waits", "is worked at", "half a frame"])
def test_a_daemon_that_stops_leaves_what_rests_and_ends_the_others(server: Server, kind: str) -> None:
    server.core.script[BeatReported] = lambda event: None
    with Frames(server.path) as client:
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
        goes_on = kind in ("rests", "waits")
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
