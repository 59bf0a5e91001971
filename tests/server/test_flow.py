"""What a client can make the daemon keep or do at once is bounded: windows, and the ends of those who do not read."""

from __future__ import annotations

import msgpack

from gpulockd.core.actions import Announce, Notify
from gpulockd.core.events import BeatReported, SessionClosed, SessionOpened
from gpulockd.server import flow as limits
from tests.server.house import Server
from tests.support.frames import Frames
from tests.support.waiting import wait_until

pack = msgpack.packb


def test_ten_thousand_pipelined_commands_are_answered_in_order(server: Server) -> None:
    with Frames(server.path) as client:
        count = 10_000
        client.socket.sendall(b"".join(pack([0, msgid, "beat", []]) for msgid in range(count)))
        for msgid in range(count):
            assert client.receive(msgid) == {}
    assert len(server.core.seen(BeatReported)) == count


def test_unanswered_commands_fill_a_window_and_then_nothing_is_read(server: Server) -> None:
    server.core.script[BeatReported] = lambda event: None  # the journal is stuck, say
    with Frames(server.path) as client:
        count = 3 * limits.WINDOW
        client.socket.sendall(b"".join(pack([0, msgid, "beat", []]) for msgid in range(count)))
        wait_until(lambda: len(server.core.seen(BeatReported)) == limits.WINDOW, "the window is full")
        with Frames(server.path) as other:
            assert other.call("release") == {}  # two turns of the loop, at the least
        assert len(server.core.seen(BeatReported)) == limits.WINDOW

        def answer(upto: int) -> None:
            for event in server.core.seen(BeatReported)[:upto]:
                server.core.sessions.answer(event.session, event.msgid, {})

        server.do(lambda: answer(1))
        wait_until(lambda: len(server.core.seen(BeatReported)) == limits.WINDOW + 1, "one more is taken")
        del server.core.script[BeatReported]
        server.do(lambda: answer(limits.WINDOW + 1))
        for msgid in range(count):
            assert client.receive(msgid) == {}


def test_waiting_acquires_take_no_room_from_what_ends_them(server: Server) -> None:
    with Frames(server.path) as client:
        waiting = 3 * limits.WINDOW
        client.socket.sendall(b"".join(pack([0, msgid, "acquire", []]) for msgid in range(waiting)))
        client.socket.sendall(pack([0, waiting, "release", []]))
        assert client.receive(waiting) == {}


def test_a_client_that_does_not_read_its_notifications_is_cut_off(server: Server) -> None:
    with Frames(server.path) as client, Frames(server.path) as watcher:
        assert client.call("release") == {}
        assert watcher.call("watch") == {}
        session = server.core.seen(SessionOpened)[0].session
        notice = Notify(session, "queued", {"filler": "x" * 10_000})
        kept = limits.MAX_UNREAD // 10_000

        def flood(count: int) -> None:
            for _ in range(count):
                server.core.sessions.notify(notice)

        server.do(lambda: flood(kept // 2))
        assert client.call("release") == {}, "half of the limit is no reason"
        while client.notifications:
            client.notified("queued")
        for _ in range(10):
            server.do(lambda: flood(kept // 2))
        wait_until(lambda: server.core.seen(SessionClosed), "the session ends")
        assert server.core.seen(SessionClosed) == [SessionClosed(session, "cut-off")]
        event = watcher.notified("event")
        assert event["kind"] == "session.cut-off"
        assert "does not read" in event["message"]
        assert watcher.call("release") == {}


def test_watchers_that_do_not_read_are_dropped_and_the_others_hear_everything(server: Server) -> None:
    with Frames(server.path) as reader, Frames(server.path) as sleeper:
        assert reader.call("watch") == {}
        assert sleeper.call("watch") == {}
        big = Announce("lock.granted", "x" * 50_000, data={"gpus": ["GPU-0"]})
        count = 2 * limits.MAX_UNREAD // 50_000
        heard = []
        for _ in range(count):
            server.do(lambda: server.house.announce(big))
            heard.append(reader.notified("event")["kind"])
        heard.append(reader.notified("event")["kind"])
        assert heard.count("lock.granted") == count
        assert heard.count("session.cut-off") == 1
        assert reader.call("release") == {}
        assert len(server.core.seen(SessionClosed)) == 1
