"""Servers for the tests, on both event loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.server.house import LOOPS, Server

MakeServer = Callable[..., Server]


@pytest.fixture(params=sorted(LOOPS))
def loop(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def make_server(tmp_path: Path, loop: str) -> Iterator[MakeServer]:
    """Starts a server with the given arguments of `House`; all are stopped at the end."""
    with ExitStack() as servers:

        def make(**arguments: Any) -> Server:
            return servers.enter_context(Server(tmp_path, loop, **arguments))

        yield make


@pytest.fixture
def server(make_server: MakeServer) -> Server:
    return make_server()
