"""Answers are told apart however the stream is cut."""

from __future__ import annotations

import msgpack
import pytest

from bench.floor import frame
from bench.speech import DaemonSpeech, FloorSpeech, Refused, Speech

NOTIFICATION = msgpack.packb([2, "warning", [{"level": "soft_timeout"}]])
STREAMS = {
    "daemon": (
        DaemonSpeech(),
        msgpack.packb([1, 2, None, {}]) + NOTIFICATION + msgpack.packb([1, 300, None, {"a": 1}]),
    ),
    "floor": (FloorSpeech(), frame({"i": 2, "ok": True, "token": 9}) + frame({"i": 300, "ok": True})),
}


@pytest.mark.parametrize(("speech", "stream"), STREAMS.values(), ids=STREAMS)
def test_a_stream_may_be_cut_anywhere(speech: Speech, stream: bytes) -> None:
    for cut in range(len(stream) + 1):
        first, rest = speech.answers(stream[:cut])
        second, rest = speech.answers(rest + stream[cut:])
        assert (first + second, rest) == ([2, 300], b"")


def test_a_refusal_is_no_answer() -> None:
    with pytest.raises(Refused, match="limit-exceeded"):
        DaemonSpeech().answers(msgpack.packb([1, 2, {"code": "limit-exceeded"}, None]))
