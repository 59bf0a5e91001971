"""Sessions: who gets one, what they may do, and how they end."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from gpulockd.core.actions import Notify, Refusal
from gpulockd.core.events import BeatReported, Event, ReleaseRequested, SessionClosed, SessionOpened
from gpulockd.server import Limits
from gpulockd.server.flow import LINGER, WINDOW
from gpulockd.server.methods import METHODS, Access
from gpulockd.server.peer import Peer, peer_of
from tests.server.conftest import MakeServer
from tests.server.house import Server, close_all, read_to_end
from tests.support.frames import Frames, WireError
from tests.support.waiting import wait_until

pack = msgpack.packb
REQUIRED: dict[str, dict[str, Any]] = {
    "cancel": {"msgid": 1},
    "extend": {"max_hold": 1},
    "revoke": {"subject": "0"},
    "why": {"subject": "x"},
    "describe": {"subject": "x"},
}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def as_user(uid: int) -> Callable[[socket.socket], Peer]:
    """The true peer, under another user's number."""
    return lambda sock: peer_of(sock)._replace(uid=uid)


def as_users(uids: Iterator[int]) -> Callable[[socket.socket], Peer]:
    return lambda sock: peer_of(sock)._replace(uid=next(uids))


def refused(sock: socket.socket) -> Any:
    """The `error` notification before the end of a connection."""
    message = msgpack.unpackb(read_to_end(sock))
    assert message[:2] == [2, "error"]
    return message[2][0]


class TestIdentity:
    def test_a_session_belongs_to_the_process_that_connected(self, server: Server) -> None:
        with Frames(server.path) as first, Frames(server.path) as second:
            first.call("release")
            second.call("release")
        opened = server.core.seen(SessionOpened)
        assert [each.session for each in opened] == [1, 2]
        owner = opened[0].owner
        assert (owner.process.pid, owner.uid, owner.gid) == (os.getpid(), os.geteuid(), os.getegid())

    def test_it_is_forgotten_when_the_connection_ends(self, server: Server) -> None:
        with Frames(server.path) as client:
            client.call("release")
            assert len(server.house.processes.known) == 1
        wait_until(lambda: server.core.seen(SessionClosed) == [SessionClosed(1)])
        assert server.house.processes.known == []
        assert len(server.house.sessions) == 0

    @pytest.mark.parametrize("loop", ["uvloop"], indirect=True)
    def test_a_peer_that_has_ended_gets_no_session(self, make_server: MakeServer) -> None:
        gone = [True]

        def peer(sock: socket.socket) -> Peer:
            if gone.pop():
                raise ConnectionAbortedError(errno.ESRCH, "process 1 connected and ended at once")
            return peer_of(sock)

        server = make_server(peer=peer)
        with server.connect() as sock:
            assert refused(sock)["code"] == "limit-exceeded"
        gone.append(False)
        with Frames(server.path) as client:
            assert client.call("release") == {}
        assert len(server.core.seen(SessionOpened)) == 1


class TestAccess:
    @pytest.mark.parametrize("uid", [0, 1000])
    @pytest.mark.parametrize("method", sorted(METHODS))
    @pytest.mark.parametrize("loop", ["uvloop"], indirect=True)
    def test_every_method_by_user(self, make_server: MakeServer, method: str, uid: int) -> None:
        server = make_server(peer=as_user(uid))
        server.core.script.clear()
        allowed = uid == 0 or METHODS[method].access is Access.ANYONE
        with Frames(server.path) as client:
            try:
                client.call(method, **REQUIRED.get(method, {}))
                code = "none"
            except WireError as error:
                code = str(error.code)
            if allowed:
                assert code in ("none", "invalid-request")
                return
            assert code == "not-permitted"
            client.call("beat")
        assert [type(event) for event in server.core.events][:2] == [SessionOpened, BeatReported]

    def test_a_refusal_says_what_is_needed(self, make_server: MakeServer) -> None:
        with Frames(make_server(peer=as_user(1000)).path) as client, pytest.raises(WireError) as caught:
            client.call("drain", gpu="0")
        fault = caught.value.fault
        assert fault["message"] == "drain is for administrators, and user1000 (uid 1000) is none"
        assert "daemon.admins" in fault["hint"]
        assert fault["data"] == {"method": "drain", "needs": "administrator", "uid": 1000}


class TestLimits:
    def test_sessions_of_one_user(self, make_server: MakeServer) -> None:
        uids = iter([1000, 1000, 1000, 1001, 1000])
        server = make_server(limits=Limits(10, 2), peer=as_users(uids))
        clients = [server.connect() for _ in range(2)]
        with server.connect() as third:
            fault = refused(third)
        assert fault["code"] == "limit-exceeded"
        assert "uid 1000 has 2 sessions" in fault["message"]
        assert "daemon.max_sessions_per_user" in fault["hint"]
        with Frames(server.path) as other_user:
            assert other_user.call("release") == {}
        clients.pop().close()
        wait_until(lambda: len(server.core.seen(SessionClosed)) == 2)
        with Frames(server.path) as again:
            assert again.call("release") == {}
        close_all(clients)
        warned = [each for each in server.house.announced if each.kind == "session.refused"]
        assert len(warned) == 1

    def test_sessions_of_everybody_leave_room_for_root(self, make_server: MakeServer) -> None:
        uids = iter([1000, 1001, 1002, 1003, 0])
        server = make_server(limits=Limits(2, 2), peer=as_users(uids))
        clients = [server.connect() for _ in range(2)]
        for _ in range(2):
            with server.connect() as sock:
                assert "all 2 sessions" in refused(sock)["message"]
        with Frames(server.path) as root:
            assert root.call("release") == {}
        close_all(clients)
        assert [each.kind for each in server.house.announced].count("session.refused") == 1

    def test_a_refused_client_leaves_no_descriptor_open(self, make_server: MakeServer) -> None:
        server = make_server(limits=Limits(0, 0), peer=as_user(1000))
        before = descriptors()
        for _ in range(20):
            with server.connect() as sock:
                refused(sock)
        wait_until(lambda: descriptors() <= before)


class TestRequests:
    def test_a_message_id_is_good_for_one_request_at_a_time(self, server: Server) -> None:
        with Frames(server.path) as client:
            client.socket.sendall(pack([0, 5, "acquire", []]) + pack([0, 5, "release", []]))
            with pytest.raises(WireError, match="message id 5 belongs to a request that is not answered yet"):
                client.receive(5)
            assert not server.core.seen(ReleaseRequested)
            server.do(lambda: server.core.sessions.answer(1, 5, {"lock": "L1-1"}))
            assert client.receive(5) == {"lock": "L1-1"}
            client.socket.sendall(pack([0, 5, "release", []]))
            assert client.receive(5) == {}

    def test_an_error_takes_no_earlier_request_of_its_number_out_of_the_window(self, server: Server) -> None:
        server.core.script[BeatReported] = lambda event: None
        with Frames(server.path) as client:
            for msgid in range(2 * WINDOW):
                requests = [[0, msgid, "beat", []], [0, msgid, "nonsense", []], [0, msgid, "drain"]]
                client.socket.sendall(b"".join(map(pack, requests)))
            wait_until(lambda: len(server.core.seen(BeatReported)) == WINDOW)
            with Frames(server.path) as other:
                assert other.call("release") == {}
            assert len(server.core.seen(BeatReported)) == WINDOW

    def test_what_is_answered_in_one_turn_comes_in_order(self, server: Server) -> None:
        def react(event: Any) -> None:
            server.core.sessions.notify(Notify(event.session, "lost", {"lock": "L1-1"}))
            server.core.sessions.answer(event.session, event.msgid, {"n": event.msgid})

        server.core.script[BeatReported] = react
        with Frames(server.path) as client:
            client.socket.sendall(b"".join(pack([0, msgid, "beat", []]) for msgid in range(5)))
            stream = msgpack.Unpacker()
            seen: list[Any] = []
            while len(seen) < 10:
                stream.feed(client.socket.recv(4096))
                seen.extend(stream)
        assert [message[0] for message in seen] == [2, 1] * 5
        assert [message[1] for message in seen[1::2]] == list(range(5))

    def test_a_refusal_of_the_core(self, server: Server) -> None:
        refusal = Refusal("not-held", "no such lock", "gpulockctl status", {"lock": "L9-9"})
        server.core.script[ReleaseRequested] = lambda event: server.core.sessions.refuse(
            event.session, event.msgid, refusal
        )
        with Frames(server.path) as client, pytest.raises(WireError) as caught:
            client.call("release", lock="L9-9")
        assert caught.value.fault == {
            "code": "not-held",
            "message": "no such lock",
            "hint": "gpulockctl status",
            "data": {"lock": "L9-9"},
        }

    def test_a_fault_of_the_daemon_is_that_requests_only(
        self, make_server: MakeServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fleet() -> list[object]:
            raise RuntimeError("a bug")

        def status() -> object:
            raise RuntimeError("another bug")

        server = make_server(fleet=fleet)
        monkeypatch.setattr(server.house.changes, "status", status)
        server.core.script[BeatReported] = lambda event: server.core.sessions.answer(
            event.session, event.msgid, {"a set": {1}}
        )
        with Frames(server.path) as client:
            for method, params in (("beat", {}), ("status", {"fleet": True}), ("canary", {})):
                with pytest.raises(WireError, match="internal-error"):
                    client.call(method, **params)
            assert client.call("release") == {}
        assert "a bug" in caplog.text
        assert "another bug" in caplog.text

    def test_a_notification_that_cannot_be_encoded_is_left_out(
        self, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Frames(server.path) as client:
            client.call("release")
            server.do(lambda: server.core.sessions.notify(Notify(1, "lost", {"a set": {1}})))
            server.do(lambda: server.core.sessions.notify(Notify(1, "lost", {"lock": "L1-1"})))
            assert client.notified("lost") == {"lock": "L1-1"}
        assert "a notification lost cannot be encoded" in caplog.text

    def test_an_answer_too_long_for_a_client_is_an_error(self, server: Server) -> None:
        server.core.status = {"filler": "x" * (16 * 1024 * 1024)}
        with Frames(server.path) as client:
            with pytest.raises(WireError, match="limit-exceeded"):
                client.call("status")
            assert client.call("release") == {}


class TestEnds:
    def test_a_client_that_dies_is_no_half_closed_one(self, server: Server) -> None:
        server.core.script[BeatReported] = lambda event: None
        with server.connect() as sock:
            sock.sendall(pack([0, 1, "beat", []]))
            wait_until(lambda: server.core.seen(BeatReported))
        wait_until(lambda: server.core.seen(SessionClosed), within=LINGER / 2)

    def test_leaving_while_waiting(self, server: Server) -> None:
        with Frames(server.path) as client:
            client.send("acquire")
            client.call("release")
        wait_until(lambda: server.core.seen(SessionClosed))
        server.do(lambda: server.core.sessions.answer(1, 1, {}))
        server.do(lambda: server.core.sessions.refuse(1, 1, Refusal("busy", "busy")))
        server.do(lambda: server.core.sessions.notify(Notify(1, "lost", {})))

    def test_a_release_just_before_the_end_counts(self, server: Server) -> None:
        with server.connect() as sock:
            sock.sendall(pack([0, 1, "release", []]))
        wait_until(lambda: server.core.seen(SessionClosed))
        expected: list[Event] = [ReleaseRequested(1, 1, None), SessionClosed(1)]
        assert server.core.events[1:] == expected

    def test_half_closed_it_is_still_sent_what_is_due(self, server: Server) -> None:
        with server.connect() as sock:
            requests = [[0, 1, "acquire", []], [0, 2, "status", []], [0, 3, "release", []]]
            sock.sendall(b"".join(map(pack, requests)))
            sock.shutdown(socket.SHUT_WR)
            answers = msgpack.Unpacker()
            answers.feed(read_to_end(sock))
            assert sorted(message[1] for message in answers) == [2, 3]
        assert server.core.seen(SessionClosed)

    def test_half_closed_with_many_requests_before_that(self, server: Server) -> None:
        with server.connect() as sock:
            count = 1_000
            sock.sendall(b"".join(pack([0, msgid, "beat", []]) for msgid in range(count)))
            sock.shutdown(socket.SHUT_WR)
            answers = msgpack.Unpacker()
            answers.feed(read_to_end(sock))
            assert [message[1] for message in answers] == list(range(count))

    def test_half_closed_and_idle_is_the_end(self, server: Server) -> None:
        with server.connect() as sock:
            sock.sendall(pack([0, 1, "acquire", []]))
            sock.shutdown(socket.SHUT_WR)
            assert read_to_end(sock) == b""

    def test_half_closed_and_never_answered_is_the_end_too(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gpulockd.server.flow.LINGER", 0.05)
        server.core.script[BeatReported] = lambda event: None
        with server.connect() as sock:
            sock.sendall(pack([0, 1, "beat", []]))
            sock.shutdown(socket.SHUT_WR)
            assert read_to_end(sock) == b""
        assert server.core.seen(SessionClosed) == [SessionClosed(1)]

    def test_cut_off_with_answers_unread_it_does_not_linger(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gpulockd.server.flow.LINGER", 0.05)
        server.core.status = {"filler": "x" * 1024 * 1024}
        with server.connect() as sock:
            sock.sendall(pack([0, 1, "status", []]))
            wait_until(lambda: len(sock.recv(1, socket.MSG_PEEK)) == 1)
            server.do(lambda: server.core.sessions.disconnect(1))
            wait_until(lambda: not server.house.processes.known)
            wait_until(lambda: _hung_up(sock), "the connection is gone")
            assert len(read_to_end(sock)) < 1024 * 1024

    def test_disconnected_before_the_connection_was_taken_up(self, server: Server) -> None:
        server.core.script[SessionOpened] = lambda event: server.core.sessions.disconnect(event.session)
        with server.connect() as sock:
            assert read_to_end(sock) == b""
        assert not server.house.processes.known

    def test_disconnected_by_the_core_it_reports_nothing_back(self, server: Server) -> None:
        with Frames(server.path) as client, Frames(server.path) as other:
            client.send("acquire")
            client.call("beat")
            server.do(lambda: server.core.sessions.disconnect(1))
            server.do(lambda: server.core.sessions.disconnect(1))
            with pytest.raises((EOFError, BrokenPipeError)):
                client.call("release")
            assert other.call("release") == {}
        wait_until(lambda: server.core.seen(SessionClosed) == [SessionClosed(2)])
        assert server.house.processes.known == []

    def test_when_the_daemon_stops_no_session_is_reported_closed(self, make_server: MakeServer) -> None:
        server = make_server()
        with Frames(server.path) as client:
            client.call("release")
            server.do(server.house.server.stop)
            with pytest.raises((EOFError, ConnectionError)):
                client.call("release")
        assert not server.core.seen(SessionClosed)
        assert not Path(server.path).exists()
        server.do(server.house.server.start)  # for the fixture to stop

    def test_a_question_that_is_under_way_ends_with_the_connection(self, make_server: MakeServer) -> None:
        ended: list[str] = []

        async def fleet() -> list[object]:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append("cancelled")
            return []

        server = make_server(fleet=fleet)
        with server.connect() as sock:
            sock.sendall(pack([0, 1, "status", [{"fleet": True}]]))
            wait_until(lambda: server.house.refreshed)
        wait_until(lambda: ended == ["cancelled"], within=LINGER / 2)


def _hung_up(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLHUP)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
