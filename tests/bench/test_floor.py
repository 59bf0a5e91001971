"""The floor is a lock: one holder, first come, first served, and an end of the connection is a release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.floor import Client
from bench.servers import Floor
from bench.speech import ACQUIRE, RELEASE, Crowd, FloorSpeech


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    server = Floor(tmp_path)
    yield server
    server.stop()


def test_a_client_waits_for_both_answers_and_tokens_grow(floor: Floor) -> None:
    client = Client(floor.socket)
    tokens = []
    for _ in range(3):
        tokens.append(client.call("acquire", "gpu-0")["token"])
        assert client.call("release", "gpu-0")["ok"]
    client.close()
    assert tokens == [1, 2, 3]


def test_the_next_is_granted_by_a_release_and_by_a_disconnect(floor: Floor) -> None:
    speech = FloorSpeech()
    with Crowd(floor.socket, speech) as crowd:
        first, second, gone, third = (crowd.join() for _ in range(4))
        for member in (first, second, gone, third):
            member.sendall(speech.acquire(7))
            if member is first:
                assert crowd.read(first) == [ACQUIRE]
        crowd.leave(gone)
        first.sendall(speech.release(7))
        heard = dict.fromkeys((first, second), 0)
        while not all(heard.values()):
            for member, answers in crowd.hear(10):
                heard[member] += len(answers)
                assert answers == [RELEASE if member is first else ACQUIRE]
        crowd.leave(second)
        assert crowd.read(third) == [ACQUIRE]
