"""Framing: however a stream is cut it gives the same messages, and what is no message is refused."""

from __future__ import annotations

import itertools
import time

import msgpack
import pytest
from hypothesis import given, settings, strategies as st

from gpulock import rpc
from gpulock.errors import ProtocolError

LIMIT = 4096

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=40)
values = st.recursive(
    scalars | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=8,
)
params = st.dictionaries(st.text(min_size=1, max_size=8), values, min_size=1, max_size=4)
msgids = st.integers(0, 2**32 - 1)
frames = st.one_of(
    st.builds(rpc.request, msgids, st.text(max_size=12), params | st.just({})),
    st.builds(rpc.response, msgids, st.none() | params, values),
    st.builds(rpc.notification, st.text(max_size=12), params),
)


def decode(stream: bytes, cuts: list[int], limit: int = LIMIT) -> list[rpc.Incoming]:
    decoder = rpc.Decoder(limit)
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [message for a, b in itertools.pairwise(places) for message in decoder.feed(stream[a:b])]


@given(st.lists(frames, min_size=1, max_size=6), st.lists(st.integers(0), max_size=12))
def test_any_split_of_a_stream_gives_the_same_messages(packed: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(packed)
    one_by_one = [message for frame in packed for message in rpc.Decoder(LIMIT).feed(frame)]
    assert len(one_by_one) == len(packed)
    assert repr(decode(stream, cuts)) == repr(one_by_one)  # repr: NaN equals itself in it


@given(st.lists(frames, min_size=1, max_size=3))
def test_a_stream_that_comes_byte_by_byte_leaves_nothing_behind(packed: list[bytes]) -> None:
    decoder = rpc.Decoder(LIMIT)
    messages = [message for byte in b"".join(packed) for message in decoder.feed(bytes([byte]))]
    assert len(messages) == len(packed)
    assert decoder.pending == 0


@given(st.binary(min_size=1, max_size=200), st.lists(st.integers(0), max_size=6))
def test_garbage_is_refused_or_waited_for_and_never_anything_else(garbage: bytes, cuts: list[int]) -> None:
    decoder = rpc.Decoder(LIMIT)
    places = [0, *sorted(cut % (len(garbage) + 1) for cut in cuts), len(garbage)]
    try:
        for a, b in itertools.pairwise(places):
            for message in decoder.feed(garbage[a:b]):
                assert isinstance(message, (rpc.Request, rpc.Response, rpc.Notification, rpc.BadRequest))
    except ProtocolError:
        return
    assert decoder.pending <= len(garbage)


@given(st.lists(frames, max_size=3), st.integers(1))
def test_what_came_before_the_garbage_is_still_delivered(packed: list[bytes], cut: int) -> None:
    stream = b"".join(packed) + b"\xc1"
    heard: list[rpc.Incoming] = []
    decoder = rpc.Decoder(LIMIT)
    where = cut % len(stream)
    with pytest.raises(ProtocolError):
        for piece in (stream[:where], stream[where:]):
            heard.extend(decoder.feed(piece))
    assert len(heard) == len(packed)


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\xc1", id="the byte that MessagePack never uses"),
        pytest.param(b"\x81\x91\x01\x01", id="a map with an array for a key"),
        pytest.param(b"\xd4\xf0\x00", id="a reserved extension type"),
        pytest.param(b"\x91" * 5000, id="nested without end"),
        pytest.param(b"\xdb\x40\x00\x00\x00abc", id="a string that announces 1 GiB"),
        pytest.param(b"\x94\x00\x01\xc6\x40\x00\x00\x00", id="a binary of 1 GiB inside a request"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="an array of 4 billion"),
        pytest.param(b"\xa3\xff\xfe\xfd", id="a string that is no UTF-8"),
        pytest.param(msgpack.packb("hello"), id="a string instead of a message"),
        pytest.param(msgpack.packb([]), id="an empty array"),
        pytest.param(msgpack.packb([3, 1, "status", []]), id="a message of a fourth kind"),
        pytest.param(msgpack.packb([0, -1, "status", []]), id="a negative message id"),
        pytest.param(msgpack.packb([0, 2**32, "status", []]), id="a message id over 32 bits"),
        pytest.param(msgpack.packb([0, "1", "status", []]), id="a message id that is a string"),
        pytest.param(msgpack.packb({0: 1}), id="a map"),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100_000])
def test_what_is_no_message_is_a_protocol_error(stream: bytes, step: int) -> None:
    decoder = rpc.Decoder(LIMIT)
    with pytest.raises(ProtocolError):
        for start in range(0, len(stream), step):
            list(decoder.feed(stream[start : start + step]))


def test_a_frame_over_the_limit_is_refused_in_whatever_pieces_it_comes() -> None:
    fits = rpc.request(1, "m", {"text": "x" * (LIMIT - 50)})
    long = rpc.request(1, "m", {"text": "x" * LIMIT})
    assert len(decode(fits + fits, [])) == 2
    for cuts in ([], [1], [LIMIT - 1, LIMIT], list(range(0, len(long), 100))):
        with pytest.raises(ProtocolError, match="longer than 4096 bytes"):
            decode(long, cuts)


def test_an_announced_length_over_the_limit_is_refused_before_it_comes() -> None:
    decoder = rpc.Decoder(LIMIT)
    assert list(decoder.feed(b"\x94\x00\x01\xa1m\x91\x81\xa1t")) == []
    with pytest.raises(ProtocolError, match="longer than"):
        list(decoder.feed(b"\xdb\x00\x01\x00\x00"))
    assert decoder.pending < 20


@pytest.mark.parametrize(
    "message",
    [
        [0, 7],
        [0, 7, "status"],
        [0, 7, "status", {}],
        [0, 7, 5, []],
        [0, 7, "status", ["positional"]],
        [0, 7, "status", [{}, {}]],
        [0, 7, "status", [], "more"],
    ],
)
def test_a_request_of_wrong_form_can_still_be_answered_by_its_number(message: list[object]) -> None:
    [bad] = rpc.Decoder(LIMIT).feed(msgpack.packb(message))
    assert isinstance(bad, rpc.BadRequest)
    assert bad.msgid == 7
    assert bad.error.hint


def test_parameters_are_a_map_and_none_at_all_are_an_empty_one() -> None:
    assert list(rpc.Decoder(LIMIT).feed(msgpack.packb([0, 1, "queue", []]))) == [rpc.Request(1, "queue", {})]
    assert list(rpc.Decoder(LIMIT).feed(rpc.notification("queued", {"position": 1}))) == [
        rpc.Notification("queued", {"position": 1})
    ]


def test_names_may_be_binaries() -> None:
    decoder = rpc.Decoder(LIMIT)
    assert list(decoder.feed(msgpack.packb([0, 1, b"status", []]))) == [rpc.Request(1, "status", {})]
    assert list(decoder.feed(msgpack.packb([2, b"nvim_set_client_info", ["x", {}]]))) == [
        rpc.Notification("nvim_set_client_info", None)
    ]


def test_a_frame_that_drips_in_costs_time_in_its_length_not_in_its_square() -> None:
    limit = 64 * 1024
    frame = msgpack.packb([0, 1, "m", [{str(i): [0] * 60 for i in range(900)}]])
    decoder = rpc.Decoder(limit)
    began = time.process_time()
    messages = [message for byte in frame for message in decoder.feed(bytes([byte]))]
    took = time.process_time() - began
    assert len(messages) == 1
    assert took < 3, f"{len(frame)} bytes took {took:.1f} s of CPU"


@settings(max_examples=300)
@given(values)
def test_an_extent_ends_where_its_value_ends(value: object) -> None:
    from gpulock.extent import Extent

    packed = msgpack.packb(value)
    extent = Extent()
    for length in range(len(packed)):
        assert not extent.ends_in(packed[:length])
        assert extent.least <= len(packed)
    assert extent.ends_in(packed)
    assert extent.least == len(packed)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 17, 300, 70_000])
def test_an_extent_knows_extension_types(size: int) -> None:
    from gpulock.extent import Extent

    packed = msgpack.packb(msgpack.ExtType(5, b"x" * size))
    assert not Extent().ends_in(packed[:-1])
    assert Extent().ends_in(packed + b"more")


def test_an_extent_knows_the_longest_forms_of_everything() -> None:
    from gpulock.extent import Extent

    for size in (40, 300, 70_000):
        for value in ("x" * size, b"x" * size, [1] * size, dict.fromkeys(range(size))):
            packed = msgpack.packb(value)
            assert not Extent().ends_in(packed[:-1])
            extent = Extent()
            assert extent.ends_in(packed)
            assert extent.least == len(packed)
