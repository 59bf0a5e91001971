"""The status page's files and its stream, as a browser asks for them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator

import aiohttp
import pytest

from gpulockd.core.actions import Announce
from gpulockd.http import HttpServer, pagefiles
from gpulockd.http.feed import MAX_STREAMS
from gpulockd.http.tally import ENDS
from tests.support.waiting import PATIENCE, eventually

from .conftest import HOST

BOARD = "/api/v1/board"
FOREIGN = {"Host": "evil.example:8788"}
SOURCES = [pagefiles.INDEX, *pagefiles.FILES]
PAIRS = (
    *(("on-paper", "paper"), ("muted", "paper"), ("accent", "paper"), ("on-card", "card"), ("muted", "card")),
    *(("accent", "card"), ("on-card", "lane"), ("muted", "lane"), ("taken", "card"), ("on-warning", "card")),
    *((f"on-{name}", name) for name in ("held", "released", "taken", "died", "quarantine")),
    *((f"on-{name}", name) for name in ("healthy", "warning", "critical")),
    ("on-quarantine", "quarantine-stripe"),
)
"""Text and what it stands on."""


async def test_a_browser_may_run_and_load_nothing_else(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as response:
        assert (response.status, response.content_type) == (200, "text/html")
        policy = response.headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == "'none'"
    assert {rules.pop(f"{kind}-src") for kind in ("script", "style", "img", "connect")} == {"'self'"}
    assert rules == {
        **dict.fromkeys(("base-uri", "form-action", "frame-ancestors"), "'none'"),
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


@pytest.mark.parametrize("name", pagefiles.FILES)
async def test_each_file_is_served_as_what_it_is(name: str, client: aiohttp.ClientSession) -> None:
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    async with client.get(f"/page/{name}") as response:
        assert (response.status, response.content_type) == (200, kinds[name.rpartition(".")[2]])
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert await response.read() == pagefiles.read(name).body


@pytest.mark.parametrize("name", ["index.html", "nothing.js", "..%2Fserver.py", "%2e%2e%2fserver.py", "%00"])
async def test_no_other_file_is(name: str, client: aiohttp.ClientSession) -> None:
    async with client.get(f"/page/{name}") as response:
        assert response.status == 404
        assert (await response.json())["error"]["hint"]


@pytest.mark.parametrize("name", SOURCES)
def test_a_file_names_no_address_and_needs_no_exception_from_the_policy(name: str) -> None:
    text = pagefiles.read(name).body.decode().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"\b\w+://|[\"'(]//", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|cssText", text)
    if name.endswith((".html", ".svg")):
        assert not re.search(r"\sstyle=|\son\w+=|<style|javascript:", text)
        assert not re.search(r"<script(?![^>]*\ssrc=)", text)


def test_the_page_loads_what_there_is() -> None:
    texts = {name: pagefiles.read(name).body.decode() for name in SOURCES}
    loaded = set(re.findall(r'(?:src|href)="page/([^"]+)"', texts[pagefiles.INDEX]))
    for text in texts.values():
        loaded |= set(re.findall(r'from "\./([^"]+)"', text))
    assert loaded == set(pagefiles.FILES)


def test_the_page_has_words_for_every_end_of_a_lock() -> None:
    _, _, ends = pagefiles.read("words.js").body.decode().partition("const ENDS = {")
    named = re.findall(r"^ {2}\"?([\w-]+)\"?: \"", ends.partition("};")[0], re.MULTILINE)
    assert {*ENDS} - {"other"} <= {*named}


def colours() -> Iterator[tuple[str, dict[str, str]]]:
    light, _, dark = pagefiles.read("colours.css").body.decode().partition("@media (prefers-color-scheme: dark)")
    named = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    yield "light", named
    yield "dark", named | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("scheme", "named"), [*colours()], ids=["light", "dark"])
def test_text_can_be_read(scheme: str, named: dict[str, str]) -> None:
    contrasts = {}
    for text, ground in PAIRS:
        dark, light = sorted(luminance(named[name]) for name in (text, ground))
        contrasts[text, ground] = (light + 0.05) / (dark + 0.05)
    assert {pair: round(contrast, 2) for pair, contrast in contrasts.items() if contrast < 4.5} == {}, scheme


@pytest.mark.parametrize("path", ["/", "/page/main.js", BOARD])
async def test_a_page_that_calls_itself_ours_gets_nothing_of_it(path: str, client: aiohttp.ClientSession) -> None:
    async with client.get(path, headers=FOREIGN) as response:
        assert response.status == 421


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_somebody_else_opens_no_stream(site: str, client: aiohttp.ClientSession) -> None:
    async with client.get(BOARD, headers={"Sec-Fetch-Site": site}) as response:
        assert response.status == 403
        assert "own status page" in (await response.json())["error"]["message"]
    async with client.get(BOARD, headers={"Sec-Fetch-Site": "same-origin"}) as response:
        assert response.status == 200


async def test_the_stream_begins_with_a_whole_board(client: aiohttp.ClientSession, server: HttpServer) -> None:
    async with client.head(BOARD) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
    async with client.get(BOARD) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        assert await response.content.readline() == b"retry: 2000\n"
        board = json.loads((await response.content.readline()).removeprefix(b"data: "))
        assert (board["whole"], board["host"], board["waiting"]) == (True, "athena", 1)
        assert await response.content.readline() == b"\n"
        server.observe(Announce("request.queued", ""))
        assert not json.loads((await response.content.readline()).removeprefix(b"data: "))["whole"]


async def test_streams_end_when_the_server_stops(client: aiohttp.ClientSession, server: HttpServer) -> None:
    async with client.get(BOARD) as response:
        await response.content.readline()
        async with asyncio.timeout(PATIENCE):
            await server.stop()
            await response.content.read()
        assert response.content.at_eof()


async def test_so_many_pages_may_be_open_and_one_that_closes_makes_room(port: int, server: HttpServer) -> None:
    async def status_of_another() -> int:
        async with aiohttp.ClientSession() as client, client.get(f"http://{HOST}:{port}{BOARD}") as response:
            if response.status == 503:
                assert response.headers["Retry-After"] == "10"
                assert f"{MAX_STREAMS} look on already" in (await response.json())["error"]["message"]
            return response.status

    open_pages = [await asyncio.open_connection(HOST, port) for _ in range(MAX_STREAMS)]
    for reader, writer in open_pages:
        writer.write(f"GET {BOARD} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    assert await status_of_another() == 503
    async with aiohttp.ClientSession() as client, client.get(f"http://{HOST}:{port}/health") as response:
        assert response.status == 200, "others are served"
    open_pages.pop()[1].transport.abort()

    async with asyncio.timeout(PATIENCE):
        while await status_of_another() != 200:
            pass  # the server has not seen it go yet
    for _, writer in open_pages:
        writer.transport.abort()


async def test_a_page_that_never_reads_is_cut_off(
    port: int, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = server._feed
    monkeypatch.setattr(feed, "_step", 0.0)
    monkeypatch.setattr(feed, "_frame", lambda *_, **__: b"data: %b\n\n" % (b"x" * 1_000_000))
    reader, writer = await asyncio.open_connection(HOST, port, limit=1)
    writer.write(f"GET {BOARD} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readexactly(1)

    def cut_off() -> bool:
        server.observe(Announce("request.queued", ""))
        return not feed._streams

    await eventually(cut_off, "the stream is ended")
    writer.transport.abort()
