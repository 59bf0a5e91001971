"""Debian's Chromium without a window, driven by its own DevTools protocol over a websocket on the loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.lacking import lacks

from . import processes
from .waiting import PATIENCE, wait_until

NEW_PAGE = 60.0
"""Seconds that anything of a browser may take on a machine that does other things too."""


def program() -> str:
    """Where it is; skips the test, saying what to do, where it is not."""
    found = shutil.which("chromium")
    if found is None:
        lacks("chromium is not there, so nobody looks at the status page: run `make debian-tools`")
    return found


@contextlib.contextmanager
def browser(directory: Path) -> Iterator[str]:
    """The address at which one that runs can be driven; its profile is new, and in `directory`."""
    command = [
        *(program(), "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={directory}"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-extensions"),
        *("--disable-sync", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio"),
        *("--font-render-hinting=none", "--lang=en-GB", "about:blank"),
    ]
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # it refuses to have one as root
    log = directory / "chromium.log"
    with log.open("w") as output:
        process = processes.start(
            command, environment={"TZ": "UTC"}, stdout=output, stderr=output, start_new_session=True
        )
    told = directory / "DevToolsActivePort"
    try:
        wait_until(
            lambda: told.exists() and told.read_text().count("\n"),
            lambda: f"Chromium listens; its log:\n{log.read_text()[-2000:]}",
            within=NEW_PAGE,
        )
        port, path = told.read_text().split()
        yield f"ws://127.0.0.1:{port}{path}"
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """With its children, which write to its profile until they have gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    wait_until(lambda: _gone(process.pid), "every process of Chromium has ended")


def _gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


class Chromium:
    """A connection to one that runs."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._contexts: list[str] = []

    async def close(self) -> None:
        """Closes every page: one that is left open goes on looking for its host."""
        for context in self._contexts:
            await self.call("Target.disposeBrowserContext", browserContextId=context)

    async def read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif (page := self._pages.get(told.get("sessionId", ""))) is not None:
                page.hear(told["method"], told["params"])

    async def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json({**message, "sessionId": session} if session else message)
        async with asyncio.timeout(NEW_PAGE):
            told = await answer
        assert "error" not in told, f"{method}: {told['error']}"
        result: dict[str, Any] = told["result"]
        return result

    async def open(
        self, address: str, *, width: int = 1440, height: int = 900, dark: bool = False, scale: float = 1
    ) -> Page:
        """A page in a profile of its own, when all that it is made of has been loaded and run."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        self._contexts.append(context)
        target = (await self.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.call(f"{domain}.enable")
        await page.resize(width, height, scale)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await page.call("Emulation.setEmulatedMedia", features=[scheme])
        await page.call("Page.navigate", url=address)
        async with asyncio.timeout(NEW_PAGE):
            await page.loaded.wait()
        return page


class Page:
    """One page, with what it asked for and complained of."""

    def __init__(self, chromium: Chromium, session: str) -> None:
        self._chromium = chromium
        self._session = session
        self.asked: list[str] = []
        """Every address that it asked for."""
        self.complaints: list[str] = []
        """What it would have written on its console, exceptions among it."""
        self.loaded = asyncio.Event()

    def hear(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self.loaded.set()
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(params["args"]))
            case "Log.entryAdded":
                entry = params["entry"]
                self.complaints.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._chromium.call(method, self._session, **params)

    async def resize(self, width: int, height: int = 900, scale: float = 1) -> None:
        """In CSS pixels, each of `scale` of a screen's in both directions; a narrow one is a phone."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale}
        await self.call("Emulation.setDeviceMetricsOverride", **size, mobile=width < 600)

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of what it promises."""
        told = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def text(self, selector: str) -> str:
        """What a reader sees of the first such element; empty where there is none."""
        found = await self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return str(found)

    async def until(self, expression: str, *, within: float = PATIENCE) -> Any:
        """Waits until a JavaScript expression is true, looked at in the page itself."""
        look = f"""new Promise((done) => {{
            const end = performance.now() + {within * 1000};
            (function look() {{
                const seen = ({expression});
                if (seen || performance.now() > end) done(seen); else setTimeout(look, 10);
            }})();
        }})"""
        seen = await self.evaluate(look)
        assert seen, f"not within {within:g} s: {expression}; the page says {await self.text('body')!r}"
        return seen

    async def screenshot(self, *, height: int | None = None) -> bytes:
        """Of the whole page, or of its first `height` pixels, as PNG."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        taken = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(taken["data"])


@contextlib.asynccontextmanager
async def driving(address: str) -> AsyncIterator[Chromium]:
    """A connection to the browser at `address`."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(address, max_msg_size=0) as socket,
    ):
        chromium = Chromium(socket)
        reading = asyncio.create_task(chromium.read())
        try:
            yield chromium
            await chromium.close()
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
