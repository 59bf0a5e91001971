"""What a real Chromium shows of made-up hosts, and of a real daemon while its locks come and go."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.chromium import NEW_PAGE, Chromium, Page
from tests.support.daemon import Daemon
from tests.support.fake_nvml import GIB, FakeNvml, FakeProcess
from tests.support.frames import Frames

from .scenes import Scene, crowd, now, served, weekday

HOSTILE = "<img src=x onerror=alert(1)><b id=injected>ocr</b>"
WIDTHS = (320, 390, 768, 1024, 1440)
"""Pixels, from the smallest phone on."""
SHOWN = "document.querySelector('#link').dataset.link === 'live'"


@pytest.fixture
def daemon(tmp_path: Path, port: int) -> Iterator[Daemon]:
    with Daemon(tmp_path, simulate=2, settings={"http.port": port}) as daemon:
        yield daemon


@pytest.fixture
def scene() -> Scene:
    return weekday(now())


def find_nothing_wrong(page: Page, address: str) -> None:
    """It asked for nothing elsewhere, and had nothing to complain of."""
    assert page.asked
    assert [each for each in page.asked if not each.startswith(address)] == []
    assert page.complaints == []


async def test_it_shows_who_has_each_gpu_who_waits_and_who_is_in_the_way(
    chromium: Chromium, port: int, scene: Scene
) -> None:
    async with served(scene, port) as address:
        page = await chromium.open(address)
        await page.until(SHOWN, within=NEW_PAGE)
        assert await page.text("h1") == "athena"
        assert await page.text("#held") == "6 of 8"
        assert await page.text("#waiting") == "6"
        assert await page.text("#longest") == "32 min"
        first = await page.text("#gpu-0")
        for words in ("ocr: invoices", "celery-ocr", "L3-411", "2 min", "42 % done", "93 %", "21 of 48 GiB"):
            assert words in first, words
        way = await page.text("#gpu-6")
        for words in (
            "in quarantine",
            "of tom ended: died",
            "still on it: pid 27184 (tom, 11 GiB) python -m ipykernel",
        ):
            assert words in way, words
        assert "drained: new power supply" in await page.text("#gpu-7")
        waiting = await page.text("#queue")
        for words in ("finetune: layout-lm", "priya · wants 2 GPUs", "32 min", "jonas · wants GPU 2, 5"):
            assert words in waiting, words
        find_nothing_wrong(page, address)


async def test_the_timeline_has_a_bar_for_each_lock_and_the_waits(chromium: Chromium, port: int, scene: Scene) -> None:
    async with served(scene, port) as address:
        page = await chromium.open(address)
        await page.until("document.querySelectorAll('#gpus .bar').length > 50", within=NEW_PAGE)

        async def bars(gpu: int, kind: str) -> int:
            return int(await page.evaluate(f"document.querySelectorAll('#gpu-{gpu} .bar[data-kind={kind}]').length"))

        kinds = {
            "released": "released",
            "died": "died",
            "disconnected": "died",
            "max-hold": "taken",
            "revoked": "taken",
        }
        uuids = [gpu["uuid"] for gpu in scene.status["gpus"]]
        oldest = now() - 6 * 3600
        for gpu, uuid in enumerate(uuids):
            past = [kinds[each.how] for each in scene.past if uuid in each.gpus and each.ended_at > oldest + 60]
            for kind in ("released", "died", "taken"):
                assert await bars(gpu, kind) - past.count(kind) in (0, 1), (gpu, kind, "one may be about to be too old")
        assert [await bars(gpu, "held") for gpu in range(8)] == [1, 1, 1, 1, 1, 1, 0, 0]
        assert await bars(6, "quarantine") == 1
        waited = sum(each.waited >= 1 and each.ended_at > oldest + 60 for each in scene.past if uuids[1] in each.gpus)
        assert await page.evaluate("document.querySelectorAll('#gpu-1 .wait').length") in (waited + 1, waited + 2)

        lane, held = [
            await page.evaluate(
                f"(({{x, width}}) => [x, width])(document.querySelector('{each}').getBoundingClientRect())"
            )
            for each in ("#gpu-1 .lane", "#gpu-1 .bar[data-kind=held]")
        ]
        share = held[1] / lane[1]
        assert 2310 / 10_800 - 0.02 < share < 2400 / 10_800 + 0.02, "38 minutes of three hours"
        assert abs((held[0] + held[1]) - (lane[0] + lane[1])) < 2, "it goes on"
        wide = "[...document.querySelectorAll('#gpu-1 .bar')].filter((bar) => bar.offsetWidth > 60)"
        await page.until(f"{wide}.length > 2 && {wide}.every((bar) => bar.innerText)")
        await page.evaluate("document.querySelector('#spans input[value=\"1\"]').click()")
        await page.until(f"document.querySelector('#gpu-1 .bar[data-kind=held]').offsetWidth > {2.9 * held[1]}")
        ended = await page.text("#ended tr")
        assert "notebook" in ended or "embed" in ended


async def test_what_happens_is_seen_without_a_reload(chromium: Chromium, daemon: Daemon, port: int) -> None:
    address = f"http://127.0.0.1:{port}/"
    page = await chromium.open(address)
    await page.until(SHOWN, within=NEW_PAGE)
    await page.evaluate("window.same = true")
    assert await page.text("#held") == "0 of 2"
    assert await page.text("#queue-nothing") == "Nobody waits."
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as other:
        holder.call("acquire", gpus=2, task="ocr: invoices")
        await page.until("document.querySelector('#gpu-0 .task').textContent === 'ocr: invoices'")
        holder.call("beat", progress=0.5, note="page 7")
        other.send("acquire", gpus=1, task="tts")
        await page.until("document.querySelector('#queue .task')?.textContent === 'tts'")
        assert "of 2 held, 1 waiting" in await page.evaluate("document.title")
        await page.until("document.querySelector('#gpu-1 small').textContent === '50 % done'")
        holder.call("release")
        await page.until("document.querySelector('#gpu-1 .bar[data-kind=released]') !== null")
        await page.until("document.querySelector('#gpu-0 .task').textContent === 'tts'")
        await page.until("document.querySelector('#queue .task') === null")
        assert "ocr: invoices" in await page.text("#ended")
        assert "given back" in await page.text("#ended")
    assert await page.evaluate("window.same") is True
    find_nothing_wrong(page, address)


async def test_a_quarantine_comes_and_goes_with_its_culprit(
    chromium: Chromium, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = FakeNvml(tmp_path, gpus=1)
    for name, value in nvml.environment().items():
        monkeypatch.setenv(name, value)
    settings: dict[str, object] = {"http.port": port, "inventory.quarantine_recheck": 0.2}
    with Daemon(tmp_path, simulate=None, settings=settings) as daemon:
        page = await chromium.open(f"http://127.0.0.1:{port}/")
        await page.until(SHOWN, within=NEW_PAGE)
        holder = processes.start([sys.executable, "-c", HOLDER, daemon.socket], stdin=subprocess.PIPE)
        try:
            await page.until("document.querySelector('#gpu-0 .task').textContent === 'notebook'", within=NEW_PAGE)
            nvml.set_processes(0, [FakeProcess(holder.pid, 3 * GIB)])
        finally:
            processes.end(holder)
        await page.until(f"document.querySelector('#gpu-0').textContent.includes('still on it: pid {holder.pid}')")
        assert "in quarantine" in await page.text("#gpu-0")
        assert await page.evaluate("document.querySelectorAll('#gpu-0 .bar[data-kind=died]').length") == 1
        assert await page.evaluate("document.querySelectorAll('#gpu-0 .bar[data-kind=quarantine]').length") == 1
        assert await page.text("#condition") == "grants nothing", "it is the only one"
        nvml.set_processes(0, [])
        await page.until("document.querySelector('#gpu-0 .task').textContent === 'free'")
        await page.until("document.querySelector('#gpu-0 .bar[data-kind=quarantine]') === null")
        assert await page.text("#condition") == "healthy"


HOLDER = """
import sys
from tests.support.frames import Frames
frames = Frames(sys.argv[1])
frames.call("acquire", gpus=1, task="notebook")
sys.stdin.read()
"""


async def test_what_clients_name_themselves_is_text(chromium: Chromium, daemon: Daemon, port: int) -> None:
    address = f"http://127.0.0.1:{port}/"
    page = await chromium.open(address)
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as other:
        holder.call("acquire", gpus=2, task=HOSTILE)
        holder.call("beat", note=HOSTILE)
        other.send("acquire", gpus=1, task=HOSTILE)
        await page.until("document.querySelector('#queue .task') !== null", within=NEW_PAGE)
        holder.call("release")
        await page.until("document.querySelector('#ended .task') !== null")
        for place in ("#gpu-0 .task", "#ended .task"):
            assert await page.text(place) == HOSTILE
        await page.evaluate(
            """document.querySelector('#gpu-0 .bar').dispatchEvent(
                new PointerEvent('pointermove', {bubbles: true, clientX: 300, clientY: 300}))"""
        )
        assert (await page.text("#hint strong")) == HOSTILE
    assert await page.evaluate("document.querySelectorAll('img, #injected').length") == 0
    find_nothing_wrong(page, address)


async def test_it_says_since_when_the_connection_is_lost(chromium: Chromium, daemon: Daemon, port: int) -> None:
    page = await chromium.open(f"http://127.0.0.1:{port}/")
    await page.until(SHOWN, within=NEW_PAGE)
    began = time.strftime("%H:%M", time.gmtime())
    daemon.stop()
    await page.until("document.querySelector('#link').dataset.link === 'lost'")
    said = await page.text("#link")
    assert said.startswith("connection lost since ")
    assert said.split()[-1][:5] in (began, time.strftime("%H:%M", time.gmtime()))
    assert float(await page.evaluate("getComputedStyle(document.querySelector('main')).opacity")) < 1
    daemon.start()
    await page.until(SHOWN, within=30)
    assert await page.text("#link") == "live"


async def test_it_fits_any_width(chromium: Chromium, port: int, scene: Scene) -> None:
    for lock in scene.status["locks"]:
        lock["task"] = "a-name-without-any-place-to-break-it" * 3
    widths = {}
    async with served(scene, port) as address:
        page = await chromium.open(address, width=WIDTHS[0])
        await page.until(SHOWN, within=NEW_PAGE)
        for width in WIDTHS:
            await page.resize(width)
            await page.until(f"document.documentElement.clientWidth === {width}")
            widths[width] = await page.evaluate("document.documentElement.scrollWidth")
    assert widths == {width: width for width in WIDTHS}


async def test_it_is_dark_or_light_as_its_reader_likes(chromium: Chromium, port: int, scene: Scene) -> None:
    grounds = {}
    async with served(scene, port) as address:
        for dark in (True, False):
            page = await chromium.open(address, dark=dark)
            await page.until(SHOWN, within=NEW_PAGE)
            grounds[dark] = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert grounds == {True: "rgb(15, 17, 22)", False: "rgb(245, 244, 240)"}


async def test_those_who_do_not_see_it_are_told_the_same(chromium: Chromium, port: int, scene: Scene) -> None:
    async with served(scene, port) as address:
        page = await chromium.open(address)
        await page.until(SHOWN, within=NEW_PAGE)
        nodes = (await page.call("Accessibility.getFullAXTree"))["nodes"]
    found = {
        (node["role"]["value"], node["name"]["value"])
        for node in nodes
        if not node["ignored"] and "name" in node and "role" in node
    }
    for expected in (
        *(("heading", "athena"), ("heading", "GPUs"), ("heading", "Waiting 6"), ("heading", "Lately ended")),
        *(("list", "GPUs"), ("list", "Waiting 6"), ("radio", "1 h"), ("radio", "3 h"), ("group", "Hours shown")),
        *(("columnheader", "how it ended"), ("list", "What is wrong")),
    ):
        assert expected in found, expected


async def test_64_gpus_and_500_who_wait(chromium: Chromium, port: int) -> None:
    async with served(crowd(now()), port) as address:
        began = time.monotonic()
        page = await chromium.open(address)
        await page.until("document.querySelectorAll('#gpus .bar').length > 1500", within=NEW_PAGE)
        assert time.monotonic() - began < 30
        assert await page.evaluate("document.querySelectorAll('#gpus > li').length") == 64
        assert await page.text("#waiting") == "500"
        assert await page.text("#queue-more") == "Show all 500"
        await page.evaluate("document.querySelector('#queue-more').click()")
        assert await page.evaluate("document.querySelectorAll('#queue > li').length") == 500
        took = await page.evaluate(
            """(() => {
                const began = performance.now();
                document.querySelector('#board').style.setProperty('--now', '5.0');
                document.body.offsetHeight;
                return performance.now() - began;
            })()"""
        )
        assert took < 2000, "milliseconds for the time to move on by one step"
        find_nothing_wrong(page, address)
