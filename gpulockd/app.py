"""The composition root: makes every part, joins them, starts them in order, and ends them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from gpulock.errors import GpulockError

from . import config as configuration, logs
from .about import About
from .changes import BY_SIGNAL, Canaries, Changing
from .clock import BootClock
from .config import Config, Loaded
from .core.actions import Announce
from .core.events import DoorOpened, Event, GpusDiscovered
from .core.machine import Machine
from .core.model import GpuState, LeaseState
from .engine import Engine
from .fdstore import SystemdStore
from .http import HttpServer, Metrics
from .inventory.nvidia import NvmlInventory
from .inventory.simulated import SimulatedInventory
from .journal import Bounds, SqliteJournal
from .leases.identity import Identity
from .leases.local import LocalLeases
from .leases.redis import RedisLeases
from .monitor import CountedInventory, Sampler, TimedJournal, TimedLeases, feel_pulse
from .notify import keep_watchdog_quiet, notify, notify_address, reloading
from .ports import Inventory, Leases, Unavailable
from .processes import Administrators, LinuxProcesses
from .restoration import restored
from .server import Keeping, Server, Sessions, Sources, Watchers
from .takeover import Takeover, limits, monitor_settings, sampling_interval, thresholds
from .version import __version__

log = logs.log

FIRST_CLAIM_PATIENCE = 3.0
"""Seconds that clients wait at the door for the first answer about the leases, so that none is refused for it."""
GARBAGE = 50_000
"""Objects made and not freed since the collector last looked at them, after which it looks again."""
FRESH = 1.0
"""Seconds for which a sample of the GPUs is good enough for somebody who asks."""


def open_inventory(section: configuration.Inventory, host: str) -> Inventory:
    if section.simulate:
        return SimulatedInventory(section.simulate, host)
    return NvmlInventory(section.nvml_timeout)


def open_leases(section: configuration.Redis, state_dir: Path, host: str) -> Leases:
    identity = Identity.of_this_process(host)
    if not section.url:
        return LocalLeases(state_dir, identity)
    return RedisLeases(
        section.url, section.namespace, section.ttl, section.operation_timeout, identity, section.password_file
    )


@dataclass(slots=True)
class Daemon:
    """A daemon whose parts are made and joined, and of which nothing runs yet."""

    clock: BootClock
    started_at: float
    journal: SqliteJournal
    inventory: Inventory
    leases: Leases
    processes: LinuxProcesses
    engine: Engine
    server: Server
    store: SystemdStore | None
    sampler: Sampler
    http: HttpServer
    changing: Changing
    canaries: Canaries
    beat: Callable[[float], None]
    """Is told how late the engine was."""


@contextlib.asynccontextmanager
async def assembled(loaded: Loaded) -> AsyncIterator[Daemon]:
    """Makes the parts and, in the end, lets go of what they took. Raises `StartupRefused`."""
    config = loaded.config
    host = configuration.host_name(config.daemon)
    clock = BootClock()
    started_at = clock.now()
    metrics = Metrics(config.gpu_lock.poll_interval)
    tally = metrics.tally
    async with contextlib.AsyncExitStack() as stack:
        journal = SqliteJournal(config.daemon.state_dir, clock, Bounds(config.history.max_age, config.history.max_rows))
        stack.callback(journal.close)
        inventory = CountedInventory(open_inventory(config.inventory, host), tally.nvml_failed)
        stack.push_async_callback(inventory.close)
        leases = open_leases(config.redis, config.daemon.state_dir, host)
        shared = None
        if isinstance(leases, RedisLeases):
            shared, leases = leases.canary, TimedLeases(leases, clock, tally.waited_for_redis, tally.polled)
        stack.push_async_callback(leases.close)

        def post(event: Event) -> None:
            engine.post(event)

        about = About(
            host,
            clock,
            lambda: engine.state,
            inventory,
            leases,
            lambda: server.path,
            configuration.monitor_state(config.gpu_lock_monitor),
            started_at,
        )
        administrators = Administrators(config.daemon.admins)
        processes = LinuxProcesses(post, clock, administrators)
        stack.callback(processes.close)
        settings = configuration.core_settings(config)
        sessions, watchers = Sessions(), Watchers(clock.wall)
        store = SystemdStore.offered(notify_address(os.environ), os.environ)
        keeping = None
        if store is not None:
            stack.callback(store.close)
            keeping = Keeping(store)
        observers = [logs.Log(about.index).observe, metrics.observe, watchers.observe]

        def announce(event: Announce) -> None:
            for observe in observers:
                observe(event)

        engine = Engine(
            Machine(settings),
            clock=clock,
            journal=TimedJournal(journal, clock, tally.commits.observe),
            leases=leases,
            inventory=inventory,
            processes=processes,
            clients=sessions,
            announce=announce,
            safekeeping=keeping,
            introduce=about.signed,
        )
        sampler = Sampler(inventory, processes, clock, post, lambda: engine.state)

        def take_over(changed: Config) -> None:
            Takeover(engine.post, server, administrators, sampler, http)(changed, canaries.trial(changed))

        changing = Changing(loaded, config.daemon.state_dir, clock, take_over, announce)
        canaries = Canaries(
            changing,
            config.daemon.state_dir,
            clock,
            announce,
            lambda: thresholds(changing.running.config.canary),
            shared,
        )
        observers.append(canaries.observe)
        if shared is not None:
            shared.watch(canaries.heard, canaries.use_of_redis)
        server = Server(
            str(config.daemon.socket),
            mailbox=engine,
            sessions=sessions,
            watchers=watchers,
            processes=processes,
            settings=settings,
            sources=Sources(
                history=journal,
                gpu=about.uuid,
                wall=clock.wall,
                fleet=about.fleet,
                daemon=lambda: dict(about.daemon()),
                refresh=lambda: sampler.look(max_age=FRESH),
                changes=changing,
                canary=canaries,
            ),
            limits=limits(config.daemon),
            version=__version__,
            announce=announce,
            keeping=keeping,
        )
        stack.callback(server.stop)
        http = HttpServer(
            config.http.host,
            config.http.port,
            status=about.status,
            metrics=metrics,
            history=journal.history,
            monitor=monitor_settings(config.gpu_lock_monitor),
            names=(host, socket.gethostname()),
        )
        stack.push_async_callback(http.stop)
        observers.append(http.observe)

        def beat(lag: float) -> None:
            tally.beat(clock.now(), lag)

        yield Daemon(
            clock,
            started_at,
            journal,
            inventory,
            leases,
            processes,
            engine,
            server,
            store,
            sampler,
            http,
            changing,
            canaries,
            beat,
        )


async def serve(loaded: Loaded) -> None:
    """Runs the daemon until SIGTERM or SIGINT.

    Raises `StartupRefused` where it must not start, and whatever went wrong where it must not go on.
    """
    try:
        await _serve(loaded)
    except BaseExceptionGroup as group:
        raise _unwrapped(group) from None


def _unwrapped(error: BaseException) -> BaseException:
    """What went wrong, if it is one thing: each task group on its way out has put a group around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _serve(loaded: Loaded) -> None:
    async with assembled(loaded) as daemon:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            daemon.changing.begin()
            await daemon.canaries.begin()
            await _first_events(daemon)
            async with anyio.create_task_group() as tasks:
                await tasks.start(daemon.engine.run)
                tasks.start_soon(daemon.leases.listen, daemon.engine.post)
                tasks.start_soon(daemon.sampler.run, sampling_interval(loaded.config))
                await _first_claim(daemon.engine)
                await daemon.sampler.look(max_age=FRESH)
                await daemon.http.start()
                daemon.server.start()
                daemon.engine.post(DoorOpened())
                tasks.start_soon(daemon.canaries.run)
                tasks.start_soon(keep_watchdog_quiet, daemon.engine.turned)
                tasks.start_soon(feel_pulse, daemon.engine.turned, daemon.beat)
                _spare_the_collector()
                _ready(daemon)
                async for received in signals:
                    if received == signal.SIGHUP:
                        tasks.start_soon(_reload, daemon.changing)
                        continue
                    log.info("%s: stopping", signal.Signals(received).name)
                    break
                notify("STOPPING=1")
                await _stop(daemon)
                tasks.cancel_scope.cancel()


async def _reload(changing: Changing) -> None:
    """At a signal's word, which nobody waits for an answer to: the log has it."""
    with reloading(), contextlib.suppress(GpulockError):
        await changing.reload(BY_SIGNAL)


async def _first_events(daemon: Daemon) -> None:
    """What the driver and the journal say, before anybody else has a word."""
    gpus = await daemon.inventory.discover()
    saved = daemon.journal.load()
    daemon.engine.post(GpusDiscovered(gpus))
    ended = daemon.server.adopt(saved)
    daemon.engine.post(restored(saved, daemon.processes.alive, ended))


async def _first_claim(engine: Engine) -> None:
    """Waits until the leases were granted, refused, or could not be asked for."""
    with anyio.move_on_after(FIRST_CLAIM_PATIENCE):
        while True:
            await engine.turned()
            lease = engine.state.lease
            if lease.state is not LeaseState.CLAIMING or lease.why:
                return
            await anyio.sleep(0.005)


def _spare_the_collector() -> None:
    """What start-up made stays, and next to nothing that a request leaves behind is in a cycle: the collector need not
    look at the former at all, nor at the latter seven hundred objects at a time, as a hundred busy clients would have
    it do without end."""
    gc.freeze()
    gc.set_threshold(GARBAGE)


def _ready(daemon: Daemon) -> None:
    gpus = len(daemon.engine.state.gpus)
    kind = "simulated GPUs" if daemon.inventory.simulated else f"GPUs ({daemon.inventory.driver})"
    log.info(
        "gpulockd %s serves %d %s at %s, lease: %s, after %.0f ms",
        __version__,
        gpus,
        kind,
        daemon.server.path,
        daemon.leases.kind,
        1000 * (daemon.clock.now() - daemon.started_at),
    )
    notify(f"READY=1\nSTATUS={gpus} {kind}, lease: {daemon.leases.kind}")


async def _stop(daemon: Daemon) -> None:
    """Locks outlive the daemon: they are in the journal, and their owners come back for them. Only the leases of free
    GPUs go: on one in quarantine somebody may still be."""
    state = daemon.engine.state
    await daemon.server.part(daemon.engine.turned)
    daemon.engine.stop()
    if daemon.store is not None:
        await daemon.store.settle()
    daemon.server.stop()
    await daemon.http.stop()
    free = [gpu for gpu in state.gpus.values() if gpu.state is GpuState.FREE]
    epochs = {gpu.uuid: gpu.epoch for gpu in free if gpu.epoch is not None}
    if epochs:
        try:
            await daemon.leases.release(epochs)
        except Unavailable as error:
            log.warning("the leases stay until they expire: %s", error)


def run(loaded: Loaded) -> None:
    """`serve`, on uvloop where it is installed."""
    logs.configure(loaded.config.daemon.log_level)
    _raise_descriptor_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(loaded))


def _raise_descriptor_limit() -> None:
    """A session takes two descriptors: its socket, and the pidfd of its process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        log.info("uvloop is not installed: the daemon runs on asyncio's own loop, some 20 %% slower")
        return None
    return uvloop.new_event_loop
