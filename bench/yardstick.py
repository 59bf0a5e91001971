"""The yardstick: how fast two blocking Python processes pass 60 bytes to and fro, here and now."""

from __future__ import annotations

import os
import socket

from bench.clock import NS, now
from bench.workers import Told, Worker
from gpulockd.evidence.statistics import quantile

SIZE = 60
WARM_UP = 300


def yardstick(seconds: float) -> float:
    """The median round trip in microseconds, in the placement of the caller."""
    ours, theirs = socket.socketpair()
    echo = Worker(_echo, theirs, ours)
    theirs.close()
    message = bytes(SIZE)
    send, receive = ours.send, ours.recv
    samples: list[int] = []
    try:
        for _ in range(WARM_UP):
            send(message)
            receive(SIZE)
        before = now()
        end = before + int(seconds * NS)
        while before < end:
            send(message)
            receive(SIZE)
            after = now()
            samples.append(after - before)
            before = after
    finally:
        ours.close()
        echo.end()
    return quantile(samples, 0.5) / 1e3


def _echo(told: Told, mine: socket.socket, other: socket.socket) -> None:
    told.close()
    other.close()
    while data := mine.recv(SIZE):
        mine.send(data)
    os._exit(0)
