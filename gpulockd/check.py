"""`gpulockd --check`: whether a daemon could start here, with this configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from . import config as configuration
from .app import open_inventory, open_leases
from .clock import BootClock
from .config import Loaded
from .journal import SqliteJournal
from .ports import AlreadyRunning, StartupRefused, Unavailable


def check(loaded: Loaded) -> int:
    """Prints a line for each thing that was looked at; 0 where all of them are well, else 69."""
    return asyncio.run(_check(loaded))


async def _check(loaded: Loaded) -> int:
    source = str(loaded.file) if loaded.file else "built-in defaults: there is no file"
    print(f"ok    configuration: {source}")
    checks: list[tuple[str, Callable[[Loaded], Awaitable[str]]]] = [
        ("state directory", _state),
        ("GPUs", _gpus),
        ("leases", _leases),
    ]
    faults = 0
    for name, look in checks:
        try:
            print(f"ok    {name}: {await look(loaded)}")
        except StartupRefused as refused:
            faults += 1
            print(f"FAIL  {name}: {refused}\n      {refused.hint}")
        except Unavailable as error:
            faults += 1
            print(f"FAIL  {name}: {error}")
    return 69 if faults else 0


async def _state(loaded: Loaded) -> str:
    try:
        journal = SqliteJournal(loaded.config.daemon.state_dir, BootClock())
    except AlreadyRunning as running:
        return f"in use, as it should be while a daemon runs: {running}"
    try:
        saved = journal.load()
    finally:
        journal.close()
    return f"{loaded.config.daemon.state_dir}, {len(saved.locks)} lock(s) in the journal"


async def _gpus(loaded: Loaded) -> str:
    inventory = open_inventory(loaded.config.inventory, configuration.host_name(loaded.config.daemon))
    try:
        gpus = await inventory.discover()
    finally:
        await inventory.close()
    kind = "simulated" if inventory.simulated else inventory.driver
    return f"{len(gpus)} ({kind})"


async def _leases(loaded: Loaded) -> str:
    config = loaded.config
    leases = open_leases(config.redis, config.daemon.state_dir, configuration.host_name(config.daemon))
    try:
        fleet = await leases.fleet()
    finally:
        await leases.close()
    return f"{leases.kind}, {len(fleet)} host(s) known"
