"""The server as its clients meet it, on a loopback port."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from gpulock.documents import StatusDocument
from gpulockd.history import Ended
from gpulockd.http import HttpServer, Metrics
from gpulockd.http.openapi import describe
from gpulockd.http.routes import paths
from gpulockd.http.server import MAX_CONNECTIONS
from gpulockd.ports import StartupRefused, Unavailable
from tests.support.waiting import PATIENCE

from .conftest import HOST, Source
from .documents import gpu, status


async def test_status_is_the_status_document(client: aiohttp.ClientSession, source: Source) -> None:
    async with client.get("/api/v1/status") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert await response.json() == source.status


async def test_health_answers_200_or_503(client: aiohttp.ClientSession, source: Source) -> None:
    async with client.get("/health") as response:
        assert (response.status, (await response.json())["status"]) == (200, "ok")
    source.status = status(gpu(0), journal="disk full")
    async with client.get("/health") as response:
        assert response.status == 503
        assert await response.json() == {
            "schema_version": 1,
            "status": "unavailable",
            "reasons": ["the journal cannot be written: disk full"],
            "host": "athena",
            "version": "1.2.3",
            "simulated": True,
        }


async def test_metrics_are_in_the_text_format(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        assert "gpu_lock_waiters 1.0" in (await response.text()).splitlines()
    async with client.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as response:
        assert response.content_type == "application/openmetrics-text"
        assert (await response.text()).endswith("# EOF\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", [path.replace("{id}", "L1-1").replace("{file}", "main.js") for path in paths()])
async def test_nothing_can_be_changed(method: str, path: str, client: aiohttp.ClientSession) -> None:
    async with client.request(method, path) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET,HEAD"
        assert await response.json() == {
            "error": {"message": f"{method} is not possible: HTTP is for reading only", "hint": "use gpulockctl"}
        }


async def test_what_is_not_there_says_what_is(client: aiohttp.ClientSession) -> None:
    async with client.get("/nowhere") as response:
        assert response.status == 404
        error = (await response.json())["error"]
        assert error["message"] == "there is nothing at /nowhere"
        assert all(path in error["hint"] for path in paths())


async def test_head(client: aiohttp.ClientSession) -> None:
    async with client.head("/health") as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_many_who_ask_the_same_cost_one_answer(port: int) -> None:
    asked = 0

    def source() -> StatusDocument:
        nonlocal asked
        asked += 1
        return status(gpu(0))

    server = HttpServer(HOST, port, status=source, metrics=Metrics(), fresh=3600)
    await server.start()
    async with aiohttp.ClientSession(f"http://{HOST}:{port}") as client:
        for path in ["/metrics", "/api/v1/status"] * 5:
            async with client.get(path) as response:
                assert response.status == 200
    await server.stop()
    assert asked == 2


async def test_a_page_that_calls_itself_ours_is_not_served(client: aiohttp.ClientSession) -> None:
    for path in ("/health", "/metrics", "/nowhere"):
        async with client.get(path, headers={"Host": "evil.example:8788"}) as response:
            assert response.status == 421
            assert "no name of this host's loopback" in (await response.json())["error"]["message"]
    async with client.get("/health", headers={"Host": "localhost:1"}) as response:
        assert response.status == 200


async def test_who_listens_for_other_hosts_is_called_as_they_like(port: int, source: Source) -> None:
    server = HttpServer("0.0.0.0", port, status=source, metrics=Metrics())
    await server.start()
    headers = {"Host": "gpu-07.example"}
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://{HOST}:{port}/health", headers=headers) as response,
    ):
        assert response.status == 200
    await server.stop()


async def test_the_description_is_that_of_this_version(client: aiohttp.ClientSession) -> None:
    for _ in range(2):
        async with client.get("/api/v1/openapi.json") as response:
            assert (response.status, response.content_type) == (200, "application/json")
            assert await response.json() == describe("1.2.3")


async def test_history_that_cannot_be_read_is_no_answer(port: int, source: Source) -> None:
    def unreadable(_: int) -> list[Ended]:
        raise Unavailable("cannot read the journal: disk I/O error")

    server = HttpServer(HOST, port, status=source, metrics=Metrics(), history=unreadable)
    await server.start()
    async with aiohttp.ClientSession(f"http://{HOST}:{port}/api/v1/monitoring/") as client:
        async with client.get("timeout/status") as response:
            assert response.status == 503
            error = (await response.json())["error"]
        async with client.get("health") as response:
            assert response.status == 200
    await server.stop()
    assert error == {"message": "cannot read the journal: disk I/O error", "hint": "gpulockctl doctor"}


async def test_a_port_in_use_is_refused_with_the_way_out(port: int, server: HttpServer, source: Source) -> None:
    second = HttpServer(HOST, port, status=source, metrics=Metrics())
    with pytest.raises(StartupRefused, match=rf"cannot listen at {HOST}:{port}: another program listens") as caught:
        await second.start()
    assert caught.value.hint == "choose another http.port; 0 turns HTTP off"
    await second.stop()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
async def test_an_address_of_somebody_else_is_refused(host: str, port: int, source: Source) -> None:
    with pytest.raises(StartupRefused, match=r"http\.host and http\.port: cannot listen") as caught:
        await HttpServer(host, port, status=source, metrics=Metrics()).start()
    assert "http.host must be an address of this host" in caught.value.hint


async def test_port_0_turns_it_off(source: Source) -> None:
    server = HttpServer("192.0.2.1", 0, status=source, metrics=Metrics())
    await server.start()
    await server.stop()


async def test_after_stop_the_port_is_free_again(port: int, source: Source) -> None:
    for _ in range(2):
        server = HttpServer(HOST, port, status=source, metrics=Metrics())
        await server.start()
        async with aiohttp.ClientSession() as client, client.get(f"http://{HOST}:{port}/health") as response:
            assert response.status == 200
        await server.stop()
        await server.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)


async def test_stop_does_not_wait_for_idle_connections(port: int, source: Source) -> None:
    server = HttpServer(HOST, port, status=source, metrics=Metrics())
    await server.start()
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET /health HT")
    await asyncio.wait_for(server.stop(), PATIENCE)
    assert await reader.read() == b""
    writer.close()


async def test_too_many_connections_are_sent_away_until_others_leave(port: int, server: HttpServer) -> None:
    idle = [await asyncio.open_connection(HOST, port) for _ in range(MAX_CONNECTIONS)]
    reader, writer = await asyncio.open_connection(HOST, port)
    assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
    writer.close()
    for _, each in idle:
        each.close()

    async def health() -> int:
        async with aiohttp.ClientSession() as client, client.get(f"http://{HOST}:{port}/health") as response:
            return response.status

    async with asyncio.timeout(PATIENCE):
        while await health() != 200:
            pass  # the server has not seen them leave yet


async def test_who_asks_and_never_reads_is_in_nobodys_way(port: int, client: aiohttp.ClientSession) -> None:
    idle_hands = [await asyncio.open_connection(HOST, port, limit=1) for _ in range(10)]
    for _, writer in idle_hands:
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
    for _ in range(20):
        async with asyncio.timeout(PATIENCE), client.get("/health") as response:
            assert response.status == 200
    for _, writer in idle_hands:
        writer.transport.abort()


async def test_garbage_hurts_nobody_else(port: int, client: aiohttp.ClientSession) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"\x00\xff" * 10_000 + b"\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
    writer.close()
    async with client.get("/health") as response:
        assert response.status == 200
