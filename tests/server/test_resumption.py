"""What was said to the daemon before is passed over, wherever it is cut; what comes after the marker is not."""

from __future__ import annotations

from itertools import pairwise

import msgpack
from hypothesis import given, strategies as st

from gpulock import rpc, wire
from gpulockd.server.resumption import PassingOver

LIMIT = 64 * 1024
AFTER = rpc.request(1, "hello", {"reattach": "key"}) + rpc.request(2, "acquire", {})


def marker_of(decoder: PassingOver) -> str:
    kind, method, [params] = msgpack.unpackb(decoder.asking)
    assert (kind, method) == (rpc.NOTIFICATION, wire.RESUME)
    return str(params["marker"])


def methods(decoder: PassingOver, pieces: list[bytes]) -> list[str]:
    return [message.method for piece in pieces for message in decoder.feed(piece)]  # type: ignore[union-attr]


@given(before=st.binary(max_size=200), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_only_what_follows_the_marker_is_heard(before: bytes, cuts: list[int]) -> None:
    decoder = PassingOver(LIMIT)
    data = before + rpc.notification(wire.RESUMED, {"marker": marker_of(decoder)}) + AFTER
    pieces = [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]
    assert methods(decoder, [piece for piece in pieces if piece]) == ["hello", "acquire"]
    assert decoder.pending == 0


def test_until_it_comes_something_is_to_come_and_little_is_kept() -> None:
    decoder = PassingOver(LIMIT)
    assert decoder.pending
    for _ in range(100):
        assert methods(decoder, [b"\xc1" * LIMIT]) == []
    assert len(decoder._seen) < len(marker_of(decoder))
    assert decoder.pending


def test_each_connection_has_a_marker_of_its_own() -> None:
    one, another = PassingOver(LIMIT), PassingOver(LIMIT)
    assert methods(one, [rpc.notification(wire.RESUMED, {"marker": marker_of(another)}) + AFTER]) == []
    assert one.pending
