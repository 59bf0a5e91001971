"""A scripted daemon, and clients of both kinds that talk to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import uvloop

from gpulock import idle
from tests.support.scripted_peer import ScriptedPeer
from tests.support.workers import AsyncioWorker, BlockingWorker

Client = BlockingWorker | AsyncioWorker


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Coroutines are tested on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[ScriptedPeer]:
    with ScriptedPeer(tmp_path / "gpulockd.sock") as peer:
        yield peer
    idle.close_all()


@pytest.fixture(params=[BlockingWorker, AsyncioWorker], ids=["blocking", "asyncio"])
def new_client(request: pytest.FixtureRequest, peer: ScriptedPeer) -> Iterator[Callable[[], Client]]:
    with ExitStack() as clients:
        # The daemon goes first, so that no client waits for its answer to a release.
        clients.callback(peer.close)
        workers: list[Client] = []
        clients.callback(lambda: [worker.close() for worker in workers])

        def new() -> Client:
            workers.append(request.param(peer.path))
            return workers[-1]

        yield new
        peer.close()


@pytest.fixture
def client(new_client: Callable[[], Client]) -> Client:
    return new_client()


@pytest.fixture
def blocking(peer: ScriptedPeer) -> Iterator[BlockingWorker]:
    with closing(BlockingWorker(peer.path)) as worker:
        yield worker
        peer.close()
