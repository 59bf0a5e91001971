"""A server on a loopback port, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from gpulock.documents import StatusDocument
from gpulockd.http import HttpServer, Metrics
from tests.support.ports import free_port

from .documents import gpu, request, status

HOST = "127.0.0.1"


class Source:
    """What the daemon would say of itself; tests change it."""

    def __init__(self) -> None:
        self.status = status(gpu(0), queue=[request(1, 2.0)])

    def __call__(self) -> StatusDocument:
        return self.status


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def server(port: int, source: Source) -> AsyncIterator[HttpServer]:
    server = HttpServer(HOST, port, status=source, metrics=Metrics(), fresh=0)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(port: int, server: HttpServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{HOST}:{port}") as session:
        yield session
