"""What one user may have the daemon keep, on however many connections."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack

import msgpack
import pytest

from gpulockd.core.events import SessionClosed
from gpulockd.server import Limits
from gpulockd.server.buffers import Buffers
from tests.server.conftest import MakeServer
from tests.server.test_sessions import as_users, refused
from tests.support.frames import Frames
from tests.support.waiting import wait_until

KIB = 1024
EVE, ANNA = 666, 1000
HALF_A_FRAME = msgpack.packb([0, 1, "status", [{"x": "y" * 40 * KIB}]])[:-1]


def test_an_account_goes_up_and_down_and_is_gone_at_zero() -> None:
    buffers = Buffers(100)
    assert buffers.change(EVE, 0, 60)
    assert buffers.change(EVE, 0, 40)
    assert not buffers.change(EVE, 40, 41)
    assert buffers.change(EVE, 41, 20), "less is always allowed"
    assert buffers.change(ANNA, 0, 100)
    assert (buffers.kept(EVE), buffers.kept(ANNA)) == (80, 100)
    buffers.change(EVE, 60, 0)
    buffers.change(EVE, 20, 0)
    assert buffers.kept(EVE) == 0


def test_frames_cut_in_two(make_server: MakeServer) -> None:
    uids = iter([EVE, EVE, EVE, ANNA, EVE])
    server = make_server(limits=Limits(10, 10, 100 * KIB), peer=as_users(uids))
    with ExitStack() as stack:
        halves = [stack.enter_context(server.connect()) for _ in range(3)]
        for sock in halves[:2]:
            sock.sendall(HALF_A_FRAME)
        wait_until(lambda: server.do(lambda: kept(server, EVE)) > 80 * KIB, "both are kept")
        halves[2].sendall(HALF_A_FRAME)
        fault = refused(halves[2])
        assert fault["code"] == "limit-exceeded"
        assert f"uid {EVE}" in fault["message"]
        assert "daemon.max_buffered_mib_per_user" in fault["hint"]
        wait_until(lambda: server.core.seen(SessionClosed) == [SessionClosed(3, "cut-off")], "that one has ended")

        other = stack.enter_context(server.connect())
        other.sendall(HALF_A_FRAME)
        wait_until(lambda: server.do(lambda: kept(server, ANNA)) > 40 * KIB, "another user's is kept")
        halves[0].sendall(b"y")
        assert msgpack.unpackb(halves[0].recv(KIB))[1:2] == [1], "the frame is whole, and answered"
        assert server.do(lambda: kept(server, EVE)) < 50 * KIB
    wait_until(lambda: server.do(lambda: kept(server, EVE) + kept(server, ANNA)) == 0, "nothing is kept any more")


def kept(server: object, uid: int) -> int:
    buffers: Buffers = server.house.server.buffers  # type: ignore[attr-defined]
    return buffers.kept(uid)


@pytest.mark.parametrize("loop", ["uvloop"], indirect=True)
def test_what_nobody_reads(make_server: MakeServer) -> None:
    limit = 600 * KIB
    server = make_server(limits=Limits(20, 20, limit), peer=as_users(iter([EVE] * 12 + [ANNA])))
    server.core.status = {"schema_version": 1, "filler": "x" * 50 * KIB}
    questions = b"".join(msgpack.packb([0, msgid, "status", []]) for msgid in range(100))
    with ExitStack() as stack:
        for _ in range(12):
            deaf = stack.enter_context(server.connect())
            deaf.settimeout(0.2)
            with contextlib.suppress(TimeoutError, BrokenPipeError):
                deaf.sendall(questions)
        wait_until(lambda: server.core.seen(SessionClosed), "the first is cut off")
        assert server.do(lambda: kept(server, EVE)) <= limit
        said = [each.message for each in server.house.announced if each.kind == "session.cut-off"]
        assert f"would be kept for uid {EVE}" in said[0]
        with Frames(server.path) as other:
            assert other.call("release") == {}
