"""A soft timeout as a cancellation of the task that it concerns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nesting import Tenure


class Interruption:
    """Cancels the task that began it when its lock's task is asked to finish, and tells that cancellation from others.

    It is an `asyncio.timeout` without an end until there is one: what that does with cancellations that come from
    outside at the same time, or are swallowed, is done here too.
    """

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._loop = asyncio.get_running_loop()
        self._timeout: asyncio.Timeout | None = None
        """None: not begun, or ended."""

    async def begin(self) -> None:
        """Raises `RuntimeError` outside of a task."""
        timeout = asyncio.timeout(None)
        await timeout.__aenter__()
        self._timeout = timeout
        self._tenure.interrupts.append(self._ring)
        if self._tenure.asked is not None:
            self._ring()

    async def end(self, error: BaseException | None) -> BaseException | None:
        """The block was left by `error`: what it is to be left by instead."""
        timeout, self._timeout = self._timeout, None
        if timeout is None:
            return error
        self._tenure.interrupts.remove(self._ring)
        try:
            await timeout.__aexit__(None if error is None else type(error), error, None)
        except TimeoutError:
            assert self._tenure.asked is not None, "nothing else ends it"
            return self._tenure.asked.error()
        return error

    def _ring(self) -> None:
        """From any thread: the outer lock of a nested one may be the blocking client's."""
        self._loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        if self._timeout is not None and self._timeout.when() is None:
            self._timeout.reschedule(self._loop.time())
