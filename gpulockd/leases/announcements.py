"""Hears what other daemons release, and that a canary has changed, whatever becomes of the connection.

Nothing depends on it: what is not heard is found by the next claim, or the next heartbeat. So a fault here is logged
and waited out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from ..core.events import LeaseFreed
from ..ports import Post, Unavailable
from .cancellation import heeding_cancellation
from .client import Client
from .faults import FAULTS, explain
from .scripts import Told

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
"""Seconds between two attempts to connect."""

log = logging.getLogger(__name__)


class Announcements:
    """The releases of all daemons but one."""

    def __init__(
        self,
        client: Client,
        channel: str,
        instance: str,
        server: object,
        timeout: float,
        hear_canary: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`instance` is whose releases are not worth telling; `timeout` is in seconds. `hear_canary` is told the
        revisions of the canary, this daemon's own among them."""
        self._client = client
        self._channel = channel
        self._instance = instance
        self._server = server
        self._timeout = timeout
        self._hear_canary = hear_canary
        self._pause = _FIRST_PAUSE
        self._told = ""

    async def listen(self, post: Post) -> None:
        """Posts `LeaseFreed` until it is cancelled."""
        while True:
            try:
                with heeding_cancellation():
                    await self._hear(post)
            except FAULTS as error:
                self._tell(explain(error, self._server, self._timeout))
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    async def _hear(self, post: Post) -> None:
        async with asyncio.timeout(self._timeout):
            await self._client.initialize()
        async with aclosing(self._client.pubsub()) as subscription:
            with heeding_cancellation():
                async with asyncio.timeout(self._timeout):
                    await subscription.subscribe(self._channel)
                    while await subscription.get_message(timeout=None) is None:
                        pass  # The answer to the subscription, or an error.
            self._connected()
            while True:
                message = await subscription.get_message(ignore_subscribe_messages=True, timeout=None)
                if message is None:
                    continue
                told = Told.parse(message["data"])
                if told is None:
                    log.warning("a message on %s is from no gpulockd: %r", self._channel, message["data"])
                elif told.canary:
                    self._hear_canary(told.canary)
                elif told.instance != self._instance:
                    post(LeaseFreed(told.gpus))

    def _connected(self) -> None:
        self._pause = _FIRST_PAUSE
        if self._told:
            log.info("releases of other daemons are heard again")
            self._told = ""

    def _tell(self, fault: Unavailable) -> None:
        if str(fault) != self._told:
            log.warning("releases of other daemons are not heard, only found by polling: %s", fault)
            self._told = str(fault)
