"""What came from an earlier daemon: told apart by name, and judged connection by connection.

| its line of the roll says | its process | it |
|---|---|---|
| nothing: another session, or no line | | is ended |
| ended | | is ended, and what it held has too |
| marked | | is ended, and its client comes back with its key |
| not marked | has ended, or has another start time | is ended, and what it held has too |
| not marked | lives | goes on |

A line without its connection: what it held has ended if it was in the store, and is kept for its client if it was not.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..core.model import Owner
from ..ports import DescriptorStore
from .activation import Inherited
from .keeping import LISTENER, ROLL, name_of
from .kept import shut
from .roll import Line, Roll, Stage

_CLIENT = re.compile(r"client-(\d{1,19})\.(\d{1,9})")


@dataclass(slots=True)
class Passed:
    """The descriptors that systemd passed, whatever their order."""

    doors: list[Inherited] = field(default_factory=list)
    """What the socket unit opened."""
    listener: int | None = None
    """What an earlier daemon opened itself."""
    roll: int | None = None
    clients: dict[tuple[int, int], int] = field(default_factory=dict)
    """By session and line."""


def told_apart(inherited: Iterable[Inherited]) -> Passed:
    passed = Passed()
    for name, descriptor in inherited:
        if name == ROLL:
            passed.roll = descriptor
        elif name == LISTENER:
            passed.listener = descriptor
        elif match := _CLIENT.fullmatch(name):
            passed.clients[int(match[1]), int(match[2])] = descriptor
        else:
            passed.doors.append(Inherited(name, descriptor))
    return passed


@dataclass(slots=True)
class Survivor:
    """A connection to go on with."""

    session: int
    number: int
    """That of its line."""
    line: Line
    owner: Owner
    socket: socket.socket


@dataclass(slots=True)
class Judgement:
    survivors: list[Survivor] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)
    """Sessions whose clients are gone for certain."""
    cut: int = 0
    """How many connections were ended because of their mark."""


def judged(
    passed: Passed, roll: Roll, store: DescriptorStore, recognise: Callable[[socket.socket, int], Owner | None]
) -> Judgement:
    """Decides about every connection, and ends and removes those that do not go on.

    `recognise` tells who is at the other end, if it is still the process that began then.
    """
    judgement = Judgement()
    strangers = dict(passed.clients)
    for number in roll.used():
        line = roll.read(number)
        descriptor = strangers.pop((line.session, number), None)
        if descriptor is not None:
            sock = socket.socket(fileno=descriptor)
            sock.setblocking(False)
            if line.stage is not Stage.ENDED and not line.marked and (owner := recognise(sock, line.start_time)):
                roll.move(number, Stage.KEPT)
                judgement.survivors.append(Survivor(line.session, number, line, owner, sock))
                continue
            _end(sock)
            store.drop(name_of(line.session, number))
        if descriptor is not None and line.stage is not Stage.ENDED and line.marked:
            judgement.cut += 1
        elif line.stage is not Stage.OPEN or descriptor is not None:
            judgement.ended.add(line.session)
        roll.move(number, Stage.NONE)
    for (session, number), descriptor in strangers.items():
        _end(socket.socket(fileno=descriptor))
        store.drop(name_of(session, number))
    return judgement


def _end(sock: socket.socket) -> None:
    shut(sock)
    sock.close()


def turn_away(passed: Passed) -> None:
    """There is no store any more to keep them in: their clients connect again."""
    for descriptor in passed.clients.values():
        _end(socket.socket(fileno=descriptor))
    for each in (passed.roll, passed.listener):
        if each is not None:
            os.close(each)
