"""What came from an earlier daemon: told apart by name, and judged connection by connection.

| its line of the roll says | its process | it |
|---|---|---|
| nothing: another session, or no line | | is ended |
| ended | | is ended, and what it held has too |
| marked, and torn, or its client does not know `resume` | | is ended, and its client comes back with its key |
| otherwise | has ended, or has another start time | is ended, and what it held has too |
| otherwise | cannot be looked at, for want of a descriptor say | is ended, and its client comes back with its key |
| marked | lives | goes on as one that begins: its client says again what it wants, see `resumption` |
| not marked | lives | goes on |

A line without its connection says no more: what it held has ended if the line says so, and is kept for its client
otherwise. PID 1 is told not to look at what it keeps, so it did not close the connection because its client had; it
loses what is above its limit. A client that is dead is so by the kernel's word: its locks end at the start, with a
connection or without.
"""

from __future__ import annotations

import logging
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

log = logging.getLogger(__name__)

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
    """By first session and line."""


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
    interrupted: list[Survivor] = field(default_factory=list)
    """Those whose clients have to say again what they want."""
    ended: set[int] = field(default_factory=set)
    """Sessions whose clients are gone for certain."""
    cut: int = 0
    """How many connections were ended because of their mark."""
    lost: int = 0
    """How many were in the store and did not come back, or were ended because nobody could say whose they are."""


Recognise = Callable[[socket.socket, int], Owner | None]
"""Who is at the other end, if it is the process that began then; None: that one has ended. Raises `OSError` where this
cannot be told."""


def judged(passed: Passed, roll: Roll, store: DescriptorStore, recognise: Recognise) -> Judgement:
    """Decides about every connection, and ends and removes those that do not go on."""
    judgement = Judgement()
    strangers = dict(passed.clients)
    for number in roll.used():
        line = roll.read(number)
        sock = _opened(strangers.pop((line.first, number), None))
        owner = _owner(line, sock, recognise, judgement)
        if sock is not None and owner is not None:
            roll.move(number, Stage.KEPT)
            kind = judgement.interrupted if line.marked else judgement.survivors
            kind.append(Survivor(line.session, number, line, owner, sock))
            continue
        if sock is not None:
            _end(sock)
            store.drop(name_of(line.first, number))
        roll.move(number, Stage.NONE)
    for (first, number), descriptor in strangers.items():
        _end(socket.socket(fileno=descriptor))
        store.drop(name_of(first, number))
    return judgement


def _opened(descriptor: int | None) -> socket.socket | None:
    if descriptor is None:
        return None
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return sock


def _owner(line: Line, sock: socket.socket | None, recognise: Recognise, judgement: Judgement) -> Owner | None:
    """Whose connection goes on; None, and noted in `judgement`, where it does not."""
    if line.stage is Stage.ENDED:
        judgement.ended.add(line.session)
    elif sock is None:
        judgement.lost += line.stage is Stage.KEPT
    elif line.marked and not line.resumable:
        judgement.cut += 1
    else:
        try:
            owner = recognise(sock, line.start_time)
        except OSError as error:
            log.warning("session %d cannot go on: whose it is cannot be told: %s", line.session, error)
            judgement.lost += 1
            return None
        if owner is None:
            judgement.ended.add(line.session)
        return owner
    return None


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
