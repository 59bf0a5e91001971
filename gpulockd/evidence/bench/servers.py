"""The servers of the benchmark: a daemon of its own with simulated GPUs, and a Redis, its own or one that is given."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from gpulock.errors import GpulockError

from ..statement import Value
from . import processes
from .outcomes import Load
from .processes import ServerFailed

_ANSWERS_WITHIN = 5.0
_OWN = 2
"""Requests of a look at Redis that are among what the next look counts: one for each section."""


class Redis:
    """Where polling workers compete, and daemons keep their leases. Everything in it is below `namespace`."""

    def __init__(self, url: str, namespace: str, *, shared: bool) -> None:
        """`shared`: others may use it at the same time. Raises `ServerFailed`."""
        self.url, self.namespace, self.shared = url, namespace, shared
        try:
            self._client = redis.Redis.from_url(url, socket_timeout=_ANSWERS_WITHIN)
        except ValueError as error:
            raise ServerFailed(f"this is no Redis URL: {error}") from error
        about = self._info("server")
        self.version = str(about.get("valkey_version") or about["redis_version"])

    def keys(self, gpus: int) -> list[str]:
        """Of the polled locks."""
        return [f"{self.namespace}:gpu_lock:{index}" for index in range(gpus)]

    @contextlib.contextmanager
    def measured(self, into: list[Load]) -> Iterator[None]:
        """Adds what it bore meanwhile. Raises `ServerFailed`."""
        before = self._totals()
        yield
        after = self._totals()
        requests, commands = (max(0.0, now - then - _OWN) for now, then in zip(after[:2], before[:2], strict=True))
        into.append(Load(requests, commands, after[2] - before[2]))

    def idle_cpu(self, seconds: float) -> float:
        """What it uses while nobody asks, in seconds per second."""
        loads: list[Load] = []
        began = time.monotonic()
        with self.measured(loads):
            time.sleep(seconds)
        return loads[0].cpu / (time.monotonic() - began)

    def clear(self) -> None:
        """Removes what the benchmark left in it, and nothing else. Raises `ServerFailed`."""
        with _answering():
            for key in self._client.scan_iter(f"{self.namespace}*", count=1000):
                self._client.delete(key)

    def close(self) -> None:
        with contextlib.suppress(ServerFailed):
            self.clear()
        self._client.close()

    def _totals(self) -> tuple[float, float, float]:
        """Requests, commands and seconds of CPU since it started."""
        cpu, stats = self._info("cpu"), self._info("stats")
        used = cpu["used_cpu_user"] + cpu["used_cpu_sys"]
        return float(stats["total_reads_processed"]), float(stats["total_commands_processed"]), used

    def _info(self, section: str) -> dict[str, Any]:
        with _answering():
            answer: dict[str, Any] = self._client.info(section)
        return answer


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise ServerFailed(f"Redis does not answer: {error}") from error


class OwnRedis(processes.Server):
    """A server on a Unix socket in `directory`, which keeps nothing on disk."""

    def __init__(self, program: str, directory: Path) -> None:
        """Raises `ServerFailed`."""
        socket = directory / "redis.sock"
        self.url = f"unix://{socket}"
        with redis.Redis(unix_socket_path=str(socket), socket_timeout=1) as client:
            super().__init__("Redis", redis_command(program, socket), directory / "redis.log", lambda: answers(client))


def redis_command(program: str, socket: Path, **settings: str) -> list[str]:
    """A server at `socket` alone, which keeps nothing on disk; `settings` are lines of its configuration."""
    own = {"port": "0", "unixsocket": str(socket), "dir": str(socket.parent), "save": ""}
    return [program, *(word for key, value in {**own, **settings}.items() for word in (f"--{key}", value))]


def answers(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False


class Daemon(processes.Server):
    """gpulockd as in production, but for its GPUs and the places of its files."""

    def __init__(self, directory: Path, gpus: int, settings: Mapping[str, Value], redis: Redis | None) -> None:
        """In a `directory` of its own. Waits until GPUs can be granted. Raises `ServerFailed` with what it said."""
        self.socket = str(directory / "gpulockd.sock")
        state = directory / "state"
        state.mkdir(parents=True)
        own: dict[str, Value] = {"daemon.socket": self.socket, "daemon.state_dir": str(state), "http.port": 0}
        shared: dict[str, Value] = (
            {"redis.url": redis.url, "redis.namespace": redis.namespace} if redis else {"redis.url": ""}
        )
        nothing = directory / "config.yml"  # what this host's own file says must not act here
        nothing.write_text("{}\n")
        command = [sys.executable, "-m", "gpulockd", "--config", str(nothing), "--simulate", str(gpus)]
        environment = as_variables({**settings, **own, **shared})
        super().__init__("gpulockd", command, directory / "gpulockd.log", self._can_grant, environment=environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _can_grant(self) -> bool:
        import gpulock

        if not Path(self.socket).exists():
            return False
        try:
            with gpulock.Client(self.socket) as client:
                return all(not gpu["blocked"] for gpu in client.call("status")["gpus"])
        except GpulockError:
            return False


def as_variables(settings: Mapping[str, Value]) -> dict[str, str]:
    """The environment in which a daemon has these settings, by whole keys."""
    return {f"GPULOCKD__{key.replace('.', '__').upper()}": _written(value) for key, value in settings.items()}


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
