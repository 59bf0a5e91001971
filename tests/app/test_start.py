"""What the daemon does before it serves anybody, and how it ends where it must not go on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gpulock import aio
from gpulock.errors import Busy
from gpulockd import app, config
from gpulockd.core.events import DoorOpened, Event
from gpulockd.core.model import Sample
from gpulockd.engine import Engine
from gpulockd.inventory.simulated import SimulatedInventory
from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

from .test_process import run


class SlowlySick(SimulatedInventory):
    """Its GPUs are listed, and it takes them a moment to say that they are no good."""

    async def sample(self) -> Mapping[str, Sample]:
        samples = await super().sample()
        await asyncio.sleep(0.3)
        return {uuid: replace(sample, fault="GPU is lost") for uuid, sample in samples.items()}


@contextlib.asynccontextmanager
async def serving(daemon: Daemon) -> AsyncIterator[None]:
    """The daemon in this very process."""
    serving = asyncio.create_task(app.serve(config.load(None, daemon.environment)))
    try:
        await eventually(lambda: serving.done() or Path(daemon.socket).exists(), "the daemon listens")
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_nothing_is_granted_before_the_gpus_were_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "open_inventory", lambda section, host: SlowlySick(section.simulate, host))
    daemon = Daemon(tmp_path, settings={"inventory.simulate": 1})
    async with serving(daemon):
        with pytest.raises(Busy, match="GPU is lost"):
            await aio.acquire(wait_timeout=0, socket=daemon.socket)


async def test_the_core_hears_of_it_when_clients_can_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(tmp_path, settings={"inventory.simulate": 1})
    open_by_then: list[bool] = []

    def post(engine: Engine, event: Event) -> None:
        if isinstance(event, DoorOpened):
            open_by_then.append(Path(daemon.socket).exists())
        take_in(engine, event)

    take_in = Engine.post
    monkeypatch.setattr(Engine, "post", post)
    async with serving(daemon):
        await eventually(lambda: open_by_then == [True], "the core is told, once")


def test_a_start_that_is_refused_at_the_door_says_why_in_two_lines(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Daemon(tmp_path, simulate=1) as first, socket.create_server(("127.0.0.1", 0)) as taken:
        for key, value, said in (
            ("daemon.socket", first.socket, f"process {first.pid} (python"),
            ("http.port", taken.getsockname()[1], "another program listens there"),
        ):
            second = Daemon(tmp_path / "other", simulate=1, settings={key: value})
            done = run("--simulate", "1", **second.environment)
            assert done.returncode == 69
            assert said in done.stderr
            assert "Traceback" not in done.stderr
            assert done.stderr.splitlines()[-2].startswith("gpulockd: ")


def test_a_daemon_whose_journal_was_tampered_with_ends_with_the_reason_and_none_starts_on_it(tmp_path: Path) -> None:
    with Daemon(tmp_path, simulate=1) as daemon:
        with contextlib.closing(sqlite3.connect(daemon.state / "journal.sqlite")) as journal, journal:
            journal.execute("UPDATE meta SET epoch = epoch + 7, highest_token = highest_token + (7 << 32)")
        with Frames(daemon.socket) as client:
            client.call("acquire")
            with pytest.raises((EOFError, ConnectionResetError)):
                client.call("drain")  # an administrator's word is entered into the tables at once
        assert daemon.process is not None
        assert daemon.process.wait(20) == 1
        assert daemon.output().rstrip().endswith("sqlite3.IntegrityError: the token is not above every earlier one")
        done = run("--simulate", "1", **daemon.environment)
        assert done.returncode == 69
        assert f"the journal {daemon.state / 'journal.sqlite'} is damaged: the token is not above" in done.stderr


def test_a_stop_lets_go_of_the_leases_that_no_lock_needs(tmp_path: Path) -> None:
    with Valkey() as server, Daemon(tmp_path, simulate=2, settings={"redis.url": server.url}) as daemon:
        with Frames(daemon.socket) as client:
            held = client.call("acquire")["gpus"][0]["uuid"]
            assert daemon.stop() == 0
        left = [str(key).strip("'").rpartition(":")[2] for key in server.client().keys("*:lease:*")]
        assert left == [held]
