"""A daemon with simulated GPUs, and workers of every kind that compete for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest
import uvloop

from tests.support.daemon import Daemon
from tests.support.waiting import wait_until
from tests.support.workers import AsyncioWorker, BlockingWorker, FramesWorker, Worker

GPUS = 3

CLIENTS: dict[str, Callable[[str], Worker]] = {
    "blocking": BlockingWorker,
    "asyncio": AsyncioWorker,
    "uvloop": partial(AsyncioWorker, new_loop=uvloop.new_event_loop),
}
KINDS: dict[str, Callable[[str], Worker]] = {**CLIENTS, "frames": FramesWorker}

NewWorker = Callable[[], Worker]


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d"), simulate=GPUS, settings={"daemon.revoke_grace": 120}) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Iterator[Daemon]:
    """One that serves all tests of a module; each leaves it as it found it.

    Its grace is longer than a test lasts: most of those whose lock is taken back are this very process.
    """
    yield shared_daemon
    wait_until(lambda: idle(shared_daemon), lambda: f"no lock and no request is left: {shared_daemon.status()}")


@pytest.fixture
def own_daemon(tmp_path: Path) -> Iterator[Daemon]:
    """One that a test may kill. Whoever holds is waited for longer than a test lasts."""
    with Daemon(tmp_path, simulate=1, settings={"daemon.reattach_grace": 120}) as daemon:
        yield daemon


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def new_worker(kind: str, daemon: Daemon) -> Iterator[NewWorker]:
    """Makes workers of the kind that the test runs for."""
    with ExitStack() as workers:
        yield lambda: workers.enter_context(closing(KINDS[kind](daemon.socket)))


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, own_daemon: Daemon) -> Iterator[Worker]:
    """A worker that knows by itself what to do when its daemon goes away."""
    with closing(CLIENTS[request.param](own_daemon.socket)) as worker:
        yield worker


def idle(daemon: Daemon) -> bool:
    status = daemon.status()
    return not status["locks"] and not status["queue"] and all(gpu["state"] == "free" for gpu in status["gpus"])
