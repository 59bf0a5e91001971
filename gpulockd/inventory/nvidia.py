"""The NVIDIA GPUs of this host, by way of a worker process that may hang, crash or fall silent."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..core.model import GpuIdentity, GpuProcess, Sample
from ..ports import StartupRefused, Unavailable
from . import messages
from .card import Card
from .messages import NvmlFailed, Seen
from .worker_process import WorkerProcess

SIMULATE = "start with --simulate N for N simulated GPUs"
GONE = Sample(fault="NVML no longer lists this GPU: see what `nvidia-smi -L` lists, then restart gpulockd")

_log = logging.getLogger(__name__)


class NvmlInventory:
    """Asks NVML, as `ports.Inventory` has it.

    `timeout` is for every question to a card, `startup_timeout` for the initialisation of NVML, when the driver
    may have to wake every card of the host. Seconds both.

    A worker is replaced when not one GPU of the host is well: nothing is lost by it, and a driver that was
    reloaded, or a library that tied itself up, answers again only to a process that begins anew.
    """

    simulated = False

    def __init__(self, timeout: float, startup_timeout: float = 60.0) -> None:
        self.driver = ""
        self._timeout = timeout
        self._startup_timeout = startup_timeout
        self._gpus: dict[str, GpuIdentity] = {}
        self._worker: WorkerProcess | None = None
        self._cards: tuple[Card, ...] = ()
        self._card_of: dict[str, Card] = {}
        self._revival: asyncio.Task[None] | None = None
        self._trouble = ("NVML was not asked yet", "wait")
        """Why there is no card to ask, where there is none: words and remedy of an `NvmlFailed`."""

    async def discover(self) -> tuple[GpuIdentity, ...]:
        """Every GPU whose card answers; one that does not is reported in the log and left out.

        A card keeps NVML's number as its index; MIG instances are numbered after the cards, and a card in MIG
        mode is not among the GPUs itself. Raises `StartupRefused` where there is no driver, or no GPU.
        """
        try:
            if self._worker is None:
                await self._open()
            found = await self._find()
        except NvmlFailed as failure:
            await self.close()
            raise StartupRefused(
                f"the GPUs of this host cannot be used: {failure.words}", f"{failure.remedy}; or {SIMULATE}"
            ) from failure
        self._gpus = {gpu.uuid: gpu for gpu in _numbered(found, after=len(self._cards))}
        return tuple(self._gpus.values())

    async def sample(self) -> Mapping[str, Sample]:
        """How every discovered GPU is. Takes no longer than one question, however many cards are sick."""
        cards = self._cards
        looks = dict(zip(cards, await asyncio.gather(*map(self._look, cards)), strict=True))
        samples = {uuid: self._sample(uuid, looks) for uuid in self._gpus}
        if all(sample.fault for sample in samples.values()):
            self._revive()
        return samples

    async def processes(self, gpu: str) -> tuple[GpuProcess, ...] | None:
        """Who is on the GPU. Raises `Unavailable` when no answer came."""
        try:
            if (card := self._card_of.get(gpu)) is None:
                raise NvmlFailed(*self._trouble)
            return messages.load_processes(await card.ask("processes", gpu))
        except NvmlFailed as failure:
            if self._worker is None or self._worker.ended:
                self._revive()
            raise Unavailable(f"GPU {gpu}: {failure}") from failure

    async def close(self) -> None:
        """Ends the worker. One that is stuck in the driver is left to its fate."""
        self._gpus = {}
        if self._revival is not None:
            self._revival.cancel()
            await asyncio.gather(self._revival, return_exceptions=True)
        worker, self._worker, self._cards, self._card_of = self._worker, None, (), {}
        if worker is None:
            return
        try:
            async with asyncio.timeout(self._timeout):
                await worker.end()
        except TimeoutError:
            _log.warning("the NVML worker (pid %d) is stuck in the driver and cannot be ended", worker.pid)

    async def _open(self) -> None:
        """Starts a worker and lets it initialise NVML. Raises `NvmlFailed`."""
        self._worker = await WorkerProcess.start()
        try:
            async with asyncio.timeout(self._startup_timeout):
                driver = messages.load_driver((await self._worker.ask("open")).result())
        except TimeoutError:
            raise NvmlFailed(f"NVML did not initialise within {self._startup_timeout:g} s") from None
        self.driver = f"NVIDIA {driver.version}"
        self._cards = tuple(Card(self._worker, number, self._timeout) for number in range(driver.cards))

    async def _find(self) -> list[GpuIdentity]:
        """The GPUs of every card that answers. Raises `NvmlFailed` if there is none."""
        found: list[GpuIdentity] = []
        silent: list[NvmlFailed] = []
        for card, look in zip(self._cards, await asyncio.gather(*map(self._look, self._cards)), strict=True):
            if isinstance(look, NvmlFailed):
                silent.append(look)
                _log.error("card %d is left out until gpulockd starts anew: %s", card.number, look)
            else:
                found += [gpu for gpu, _ in look]
        if found:
            return found
        if silent:
            raise silent[0]
        if self._cards:
            raise NvmlFailed("MIG is on and no card has an instance", "create some with `nvidia-smi mig`")
        raise NvmlFailed("the driver lists no GPU", "see what `nvidia-smi` and `lspci` list")

    async def _look(self, card: Card) -> list[Seen] | NvmlFailed:
        try:
            seen = messages.load_seen(await card.ask("look"))
        except NvmlFailed as failure:
            return failure
        self._card_of.update((gpu.uuid, card) for gpu, _ in seen)
        return seen

    def _sample(self, uuid: str, looks: Mapping[Card, list[Seen] | NvmlFailed]) -> Sample:
        card = self._card_of.get(uuid)
        look = looks.get(card) if card is not None else None
        if look is None or isinstance(look, NvmlFailed):
            return Sample(fault=str(look or NvmlFailed(*self._trouble)))
        return next((sample for gpu, sample in look if gpu.uuid == uuid), GONE)

    def _revive(self) -> None:
        """Begins to start over, unless that is under way, or nobody wants to know any more."""
        if self._gpus and (self._revival is None or self._revival.done()):
            self._revival = asyncio.create_task(self._start_over(), name="new NVML worker")

    async def _start_over(self) -> None:
        """Another worker, once the old one is gone: two that are stuck in the driver are worse than one."""
        self._cards, self._card_of = (), {}
        self._trouble = (
            "no GPU was well, and NVML is started again",
            "if this stays, the driver hangs: reboot the host",
        )
        if self._worker is not None:
            await self._worker.end()
            self._worker = None
        try:
            await self._open()
        except NvmlFailed as failure:
            self._trouble = failure.words, failure.remedy
        else:
            self._trouble = ("no answer from NVML since it was started again", messages.KERNEL_LOG)
        await asyncio.gather(*map(self._look, self._cards))


def _numbered(gpus: Iterable[GpuIdentity], *, after: int) -> list[GpuIdentity]:
    """With an index for each MIG instance that no card has."""
    numbers = itertools.count(after)
    return [gpu if gpu.parent is None else replace(gpu, index=next(numbers)) for gpu in gpus]
