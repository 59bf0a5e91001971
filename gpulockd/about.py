"""What the daemon says of itself: to clients, to whoever asks over HTTP, and to the other hosts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from gpulock.documents import DaemonView, StatusDocument
from gpulock.errors import UnknownGpu

from .core import views
from .core.actions import Refused
from .core.model import State
from .core.placement import find
from .ports import Clock, Inventory, Leases
from .version import __version__


@dataclass(frozen=True, slots=True)
class About:
    """The core's views, and beside them what the core does not know."""

    host: str
    clock: Clock
    state: Callable[[], State]
    inventory: Inventory
    leases: Leases
    socket: Callable[[], str]
    monitor: Literal["active", "reports", "off"]
    started_at: float

    def daemon(self) -> DaemonView:
        state = self.state()
        return {
            "pid": os.getpid(),
            "version": __version__,
            "uptime": self.clock.now() - self.started_at,
            "simulated": self.inventory.simulated,
            "driver": self.inventory.driver,
            "socket": self.socket(),
            "sessions": len(state.sessions),
            "journal": state.journal_fault or "ok",
            "monitor": self.monitor,
        }

    def status(self) -> StatusDocument:
        return cast(StatusDocument, {**views.status(self.state(), self.clock.now()), "daemon": self.daemon()})

    def signed(self, snapshot: Mapping[str, object]) -> Mapping[str, object]:
        """What this host tells the fleet of its GPUs, with what it is."""
        return {**snapshot, "pid": os.getpid(), "version": __version__, "simulated": self.inventory.simulated}

    async def fleet(self) -> list[Mapping[str, object]]:
        """The others as they last reported themselves, and this host as it is. Raises `ports.Unavailable`."""
        others = [snapshot for snapshot in await self.leases.fleet() if snapshot["host"] != self.host]
        return [{**self.signed(views.snapshot(self.state(), self.clock.now())), "age": 0.0}, *others]

    def uuid(self, name: str) -> str:
        """Of the GPU that a name means; what looks like one may be that of a GPU of the past. Raises `UnknownGpu`."""
        try:
            return find(self.state(), name).uuid
        except Refused as refused:
            if "-" in name:
                return name
            raise UnknownGpu(refused.refusal.message, hint=refused.refusal.hint) from None

    def index(self, uuid: str) -> int | None:
        """None: of a GPU that is not there any more."""
        known = self.state().gpus.get(uuid)
        return None if known is None else known.identity.index
