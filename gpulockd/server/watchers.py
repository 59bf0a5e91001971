"""Whoever asked to `watch`: hears of every event, encoded once for all."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gpulock import rpc

from ..core.actions import Announce
from .context import Listens

_logger = logging.getLogger(__name__)


class Watchers:
    def __init__(self, wall: Callable[[], float]) -> None:
        """`wall` tells the seconds since 1970, for people to read."""
        self._wall = wall
        self._listeners: set[Listens] = set()

    def add(self, listener: Listens) -> None:
        self._listeners.add(listener)

    def discard(self, listener: Listens) -> None:
        self._listeners.discard(listener)

    def observe(self, announce: Announce) -> None:
        """A `ports.Observer`."""
        if not self._listeners:
            return
        event = {
            "kind": announce.kind,
            "message": announce.message,
            "severity": announce.severity.name.lower(),
            "at": self._wall(),
            "data": dict(announce.data),
        }
        try:
            frame = rpc.notification("event", event)
        except (TypeError, ValueError, OverflowError):
            _logger.exception("the event %s cannot be encoded", announce.kind)
            return
        for listener in tuple(self._listeners):  # one that does not read is dropped on the way
            listener.notice(frame)
