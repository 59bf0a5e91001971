"""One card as the daemon asks it: a question at a time, each with a deadline."""

from __future__ import annotations

import asyncio
from typing import Any

from .messages import NvmlFailed
from .worker_process import WorkerProcess


class Card:
    """What NVML numbers `number`: a GPU, or several where it is divided by MIG.

    A question that is not answered in time stays with the worker, and until its answer comes no other one is
    sent: however often a hanging card is asked, one call of it is stuck.
    """

    def __init__(self, worker: WorkerProcess, number: int, timeout: float) -> None:
        self.number = number
        self._worker = worker
        self._timeout = timeout
        self._turn = asyncio.Lock()
        self._asked_at: float | None = None

    async def ask(self, call: str, *arguments: Any) -> Any:
        """The answer to `call` about this card. Raises `NvmlFailed`, also when none comes within `timeout`."""
        if self._overdue():
            raise self._silence()
        try:
            async with asyncio.timeout(self._timeout):
                await self._turn.acquire()
                return (await asyncio.shield(self._put(call, arguments))).result()
        except TimeoutError:
            raise self._silence() from None

    def _put(self, call: str, arguments: tuple[Any, ...]) -> asyncio.Future[Any]:
        self._asked_at = asyncio.get_running_loop().time()
        answer = self._worker.ask(call, self.number, *arguments)
        answer.add_done_callback(self._answered)
        return answer

    def _answered(self, _answer: asyncio.Future[Any]) -> None:
        self._asked_at = None
        self._turn.release()

    def _overdue(self) -> bool:
        return self._asked_at is not None and asyncio.get_running_loop().time() - self._asked_at >= self._timeout

    def _silence(self) -> NvmlFailed:
        return NvmlFailed(f"no answer from NVML within {self._timeout:g} s")
