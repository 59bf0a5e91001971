"""What the methods work with: the way to the core, the caller, and what is known outside the core."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.model import Owner
from ..core.settings import Settings
from ..history import History
from ..ports import Author, Mailbox
from .buffers import Buffers


class Listens(Protocol):
    """Somebody who hears of events."""

    def notice(self, frame: bytes) -> None:
        """Sends one encoded notification, or gives up on a client that does not read."""
        ...


class Caller(Listens, Protocol):
    """The connection that a request came on."""

    session: int
    owner: Owner
    restart_safe: bool
    key: str
    """What its side of a canary is chosen by: the same for as long as the session lasts, and over a restart."""

    def answer(self, msgid: int, result: Mapping[str, object]) -> None: ...

    def introduced(self, key: str, client: str, *, resumes: bool) -> None:
        """Notes what its `hello` said, the key by digest."""
        ...

    def watched(self) -> None:
        """Notes that it hears of events."""
        ...

    def undertake(self, msgid: int, work: Coroutine[object, object, None]) -> None:
        """Runs `work`, which answers `msgid` in the end; if it fails, that is the answer."""
        ...


class Changes(Protocol):
    """The configuration as it changes. Everything here raises a `GpulockError` for what it refuses."""

    async def reload(self, author: Author, reason: str = "", *, dry_run: bool = False) -> Mapping[str, object]: ...

    async def apply(
        self, content: bytes, author: Author, reason: str = "", *, dry_run: bool = False
    ) -> Mapping[str, object]: ...

    async def rollback(
        self, version: int | None, author: Author, reason: str = "", *, dry_run: bool = False
    ) -> Mapping[str, object]: ...

    async def in_force(self) -> Mapping[str, object]: ...

    async def history(self, limit: int, before: int | None = None) -> Mapping[str, object]: ...

    async def version(self, number: int | None) -> Mapping[str, object]: ...


class Canary(Protocol):
    """Another configuration for a share of the sessions. What changes it raises a `GpulockError` where it refuses."""

    def status(self) -> Mapping[str, object]: ...

    async def start(
        self, content: bytes, percent: float, lasts: float, author: Author, reason: str = ""
    ) -> Mapping[str, object]: ...

    async def stage(self, percent: float, author: Author, reason: str = "") -> Mapping[str, object]: ...

    async def promote(self, author: Author, reason: str = "") -> Mapping[str, object]: ...

    async def abort(self, author: Author, reason: str = "") -> Mapping[str, object]: ...

    def turned_away(self, variant: str) -> None:
        """A request of that variant was refused by its settings, and would not have been by the others."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Answers that do not come from the core's state."""

    history: History
    """Asked in a thread of its own: it reads from a disk."""
    gpu: Callable[[str], str]
    """The UUID of the GPU that a name means. Raises `UnknownGpu`."""
    wall: Callable[[], float]
    """Seconds since 1970: by them history tells when something ended."""
    fleet: Callable[[], Awaitable[Sequence[Mapping[str, object]]]]
    """Every host that shares the store, as `HostView`s. Raises `ports.Unavailable`."""
    refresh: Callable[[], Awaitable[None]]
    """Has the GPUs looked at, unless that was a moment ago: figures of a status are to be of now."""
    daemon: Callable[[], Mapping[str, object]]
    """The `DaemonView` of a status."""
    changes: Changes
    canary: Canary


class Audience(Protocol):
    def add(self, listener: Listens) -> None: ...


@dataclass(slots=True)
class Context:
    mailbox: Mailbox
    settings: Settings
    """As they hold for what arrives now."""
    sources: Sources
    watchers: Audience
    buffers: Buffers
    daemon: str
    """Name and version, for `hello`."""
    limits: dict[str, float]
    """What a client may know of its bounds, for `hello`."""
