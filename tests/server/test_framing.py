"""Bytes that are no message: a clear error or a closed connection, and nobody else notices."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gpulock import wire
from gpulockd.core.events import ReleaseRequested, SessionClosed, SessionOpened
from tests.server.house import Server, read_to_end
from tests.support.frames import Frames, WireError
from tests.support.waiting import wait_until

pack = msgpack.packb


def exchange(server: Server, data: bytes) -> list[Any]:
    """What the server says to a client that sends `data` and then nothing more."""
    with server.connect() as sock:
        sock.sendall(data)
        with contextlib.suppress(OSError):  # cut off already
            sock.shutdown(socket.SHUT_WR)
        unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=1 << 26)
        unpacker.feed(read_to_end(sock))
        return list(unpacker)


def fault_of(message: list[Any]) -> Any:
    return message[2][0] if message[0] == 2 else message[2]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xdd\x40\x00\x00\x00", id="array of 2^30"),
        pytest.param(b"\xdf\x40\x00\x00\x00", id="map of 2^30"),
        pytest.param(b"\xc6\x40\x00\x00\x00" + b"x" * 100, id="binary of 1 GiB"),
        pytest.param(b"\xdb\x40\x00\x00\x00" + b"x" * 100, id="string of 1 GiB"),
        pytest.param(b"\xc9\x40\x00\x00\x00\x01", id="extension of 1 GiB"),
        pytest.param(struct.pack(">I", 60) + b"x" * 60, id="frames with a length in front"),
        pytest.param(b"\xc1", id="the byte that is never used"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="HTTP"),
        pytest.param(b"\x91" * 5000 + b"\x00", id="nested 5000 deep"),
        pytest.param(pack([0, 1, "status", [{"x": "y" * wire.MAX_REQUEST_BYTES}]]), id="frame over the limit"),
        pytest.param(pack("status"), id="no array"),
        pytest.param(pack([]), id="empty array"),
        pytest.param(pack([7, 1, "status", []]), id="unknown kind"),
        pytest.param(pack([0, -1, "status", []]), id="negative message id"),
        pytest.param(pack([0, 2**32, "status", []]), id="message id of 33 bits"),
        pytest.param(pack([1, 1, None, {}]), id="a response"),
        pytest.param(
            pack([0, 1, "status", [{"a": b"\xff".decode("latin1")}]]).replace(b"\xc3\xbf", b"\xff\xff"), id="no UTF-8"
        ),
    ],
)
def test_what_cannot_be_understood_gets_an_error_and_the_end(server: Server, data: bytes) -> None:
    with server.connect() as sock:
        sock.sendall(data)
        message = msgpack.unpackb(read_to_end(sock))
    kind, method, [fault] = message
    assert (kind, method) == (2, "error")
    assert fault["code"] == "protocol-error"
    assert fault["message"]
    assert fault["hint"]
    wait_until(lambda: server.core.seen(SessionClosed), "the session ends")
    assert [type(event) for event in server.core.events] == [SessionOpened, SessionClosed]
    assert server.core.events[-1] == SessionClosed(1, "cut-off"), "its client has not let go of anything"


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        ([0, 7, "status", {"fleet": True}], "invalid-request", "[0, msgid, method, params]"),
        ([0, 7, {"a": 1}, []], "invalid-request", "[0, msgid, method, params]"),
        ([0, 7], "invalid-request", "[0, msgid, method, params]"),
        ([0, 7, "status", [True]], "invalid-request", "not named"),
        ([0, 7, "status", [{}, {}]], "invalid-request", "not named"),
        ([0, 7, "status", [{"fleet": {"a": "map"}}]], "invalid-request", "'fleet'"),
        ([0, 7, "acquire", [{"task": {"a": "map"}}]], "invalid-request", "'task'"),
        ([0, 7, "acquire", [{"task": ["x"] * 1000}]], "invalid-request", "'task'"),
        ([0, 7, "acquire", [{"tusk": "ocr"}]], "invalid-request", "'tusk'"),
        ([0, 7, "acquire", [{1: "ocr"}]], "invalid-request", "unknown parameter 1"),
        ([0, 7, "acquire", [{b"task": "ocr"}]], "invalid-request", "unknown parameter"),
        ([0, 7, "release", [{"lock": "x" * 2000}]], "invalid-request", "too long"),
        ([0, 7, "why", []], "invalid-request", "'subject' is missing"),
        ([0, 7, "queue", [{"a": 1}]], "invalid-request", "takes no parameters"),
        ([0, 7, "stauts", []], "unknown-method", "did you mean 'status'?"),
        ([0, 7, "reticulate", []], "unknown-method", "acquire"),
        ([0, 7, "", []], "unknown-method", "acquire"),
        ([0, 7, "status" * 5000, []], "unknown-method", "statusstatus"),
    ],
)
def test_a_request_that_can_be_answered_is_and_the_connection_goes_on(
    server: Server, message: list[Any], code: str, words: str
) -> None:
    with Frames(server.path) as client:
        client.socket.sendall(pack(message))
        with pytest.raises(WireError) as caught:
            client.receive(7)
        assert caught.value.code == code
        assert words in f"{caught.value.fault['message']} ({caught.value.fault['hint']})"
        assert len(pack(caught.value.fault)) < 1000
        assert client.call("release") == {}


@pytest.mark.parametrize("depth", [100, 400, 1000])
def test_parameters_nested_deeply_are_an_error_of_that_request(server: Server, depth: int) -> None:
    nested: Any = 1
    for _ in range(depth):
        nested = [nested]
    with Frames(server.path) as client:
        with pytest.raises(WireError, match=r"invalid-request: .*('gpus'|too deeply)"):
            client.socket.sendall(pack([0, 1, "acquire", [{"gpus": nested}]]))
            client.receive(1)
        assert client.call("release") == {}


def test_a_notification_does_not_seem_to_have_worked(server: Server) -> None:
    with Frames(server.path) as client:
        client.socket.sendall(pack([2, "extend", [{"max_hold": 9}]]))
        fault = client.notified("error")
        assert fault["code"] == "invalid-request"
        assert "'extend' came as a notification and was not carried out" in fault["message"]
        assert client.call("beat") == {}
    assert [type(event).__name__ for event in server.core.events][:2] == ["SessionOpened", "BeatReported"]


def test_a_release_may_come_as_a_notification(server: Server) -> None:
    with Frames(server.path) as client:
        client.socket.sendall(pack([2, "release", [{"lock": "L1-1"}]]))
        assert client.call("beat") == {}
    _, release, *_ = server.core.events
    assert isinstance(release, ReleaseRequested)
    assert (release.msgid, release.lock) == (None, "L1-1")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ([1], "the parameters of 'release' are not named"),
        ([{"lock": 1}], "parameter 'lock': 1 is not a string"),
        ([{"luck": "L1-1"}], "unknown parameter 'luck'"),
    ],
)
def test_a_release_that_is_no_such_thing_is_told_though_it_came_as_a_notification(
    server: Server, params: list[object], said: str
) -> None:
    with Frames(server.path) as client:
        client.socket.sendall(pack([2, "release", params]))
        fault = client.notified("release-failed")
        assert (fault["code"], fault["message"]) == ("invalid-request", said)
        assert client.call("beat") == {}
    assert [type(event).__name__ for event in server.core.events][:2] == ["SessionOpened", "BeatReported"]


def test_what_came_before_the_garbage_is_carried_out(server: Server) -> None:
    messages = exchange(server, pack([0, 1, "nonsense", []]) + b"\xc1")
    assert [message[0] for message in messages] == [1, 2]
    assert [fault_of(message)["code"] for message in messages] == ["unknown-method", "protocol-error"]


def test_a_frame_may_come_in_pieces(server: Server) -> None:
    with Frames(server.path) as client:
        for byte in pack([0, 1, "release", [{"lock": "L1-1"}]]):
            client.socket.sendall(bytes([byte]))
        assert client.receive(1) == {}
        first, second = pack([0, 2, "release", []]), pack([0, 3, "beat", []])
        client.socket.sendall(first + second[:3])
        assert client.receive(2) == {}
        client.socket.sendall(second[3:])
        assert client.receive(3) == {}


def test_a_truncated_frame_is_the_end_of_that_client_only(server: Server) -> None:
    with Frames(server.path) as other:
        assert exchange(server, pack([0, 1, "release", [{"lock": "L1-1"}]])[:-3]) == []
        assert other.call("release") == {}


@pytest.mark.parametrize("loop", ["uvloop"], indirect=True)
@given(data=st.binary(max_size=200))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes(server: Server, data: bytes) -> None:
    for message in exchange(server, data):
        assert fault_of(message)["code"] in ("protocol-error", "invalid-request", "unknown-method")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("loop", ["uvloop"], indirect=True)
@given(method=st.sampled_from(sorted(wire.METHODS)), data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_parameters_are_accepted_or_refused_by_name(server: Server, method: str, data: st.DataObject) -> None:
    names = st.sampled_from([*wire.METHODS[method]._fields, "other"])
    params = data.draw(st.dictionaries(names, VALUES, max_size=5))
    [message] = exchange(server, pack([0, 7, method, [params]])) or [None]
    if message is None:
        assert method == "acquire"  # it waits, and its client has gone
    elif message[2] is not None:
        assert message[:2] == [1, 7]
        assert message[2]["code"] in ("invalid-request", "unknown-gpu", "internal-error")
        assert message[2]["code"] != "internal-error", message[2]
