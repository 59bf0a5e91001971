"""Keeps connections in a store that outlives the daemon, and the roll that says of each whether the next daemon may go
on with it.

Marks are set one by one, before each read and before each commit that leads to an answer. They are taken away at the
end of the engine's turns, for all connections together that were touched since: what they sent has been handled by
then, the journal has it, and the answers are with the kernel. While the journal cannot be written, marks stay.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from ..core.events import DeadlineReached
from ..core.model import Owner
from ..ports import DescriptorStore
from .connection import Ended
from .context import Context
from .kept import KeptConnection
from .roll import Roll, Stage, UnknownRoll

BUFFER = 64 * 1024
"""Bytes that are read at once, of any one connection: all of them read to the same place."""
OTHERS = 2
"""Descriptors in the store that are no connections: the roll, and a listener of the daemon's own."""
PARTING = 2.0
"""Seconds that a stopping daemon has for what it was asked already."""
LOOK_EVERY = 0.01
"""Seconds between two looks whether it is done."""

ROLL, LISTENER = "roll", "listener"

log = logging.getLogger(__name__)


def name_of(first: int, line: int) -> str:
    """Of a connection in the store; `first` is its first session."""
    return f"client-{first}.{line}"


class Keeping:
    """Implements `ports.Safekeeping`. Give it its `roll` with `begin` before anything else."""

    def __init__(self, store: DescriptorStore) -> None:
        self.store = store
        self.roll: Roll
        self.buffer = memoryview(bytearray(BUFFER))
        self.room = max(store.limit - OTHERS, 0)
        """How many connections it can keep."""
        self._free: deque[int] = deque()
        self._connections: dict[int, KeptConnection] = {}
        self._touched: list[KeptConnection] = []
        self._ask_for_turn: Callable[[], None] = lambda: None

    def begin(self, descriptor: int | None, context: Context, journal: bytes = b"") -> None:
        """Goes on with the roll of an earlier daemon, or begins a new one: nothing is known of its connections then.
        So it is too where the roll is of another journal than the one with this id."""
        try:
            self.roll = Roll.new(self.room, journal) if descriptor is None else Roll(descriptor, self.room, journal)
        except UnknownRoll as unknown:
            log.warning("no connection of the daemon before can be gone on with: %s", unknown)
            self.store.drop(ROLL)
            descriptor = None
            self.roll = Roll.new(self.room, journal)
        if descriptor is None:
            self.store.keep(ROLL, self.roll.descriptor, lambda: None)
        self._ask_for_turn = lambda: context.mailbox.post(DeadlineReached())

    def adopt(
        self, session: int, line: int, owner: Owner, context: Context, on_end: Ended, sock: socket.socket
    ) -> KeptConnection:
        """Goes on with a connection that is in the store."""
        connection = self._connections[session] = KeptConnection(session, owner, context, on_end, sock, self, line)
        return connection

    def open(self) -> None:
        """Has room for new connections, beside those that were adopted. If the store has become smaller meanwhile, that
        may be none, though lines are free."""
        used = set(self.roll.used())
        self._free = deque(line for line in range(self.room) if line not in used)

    def connect(
        self, session: int, owner: Owner, context: Context, on_end: Ended, sock: socket.socket
    ) -> KeptConnection | None:
        """Keeps a new connection; None where the store has no room for it."""
        if len(self._connections) >= self.room:
            return None
        line = self._free.popleft()
        self.roll.enter(line, session, owner.process.start_time)
        connection = self._connections[session] = KeptConnection(session, owner, context, on_end, sock, self, line)
        self.store.keep(name_of(session, line), sock.fileno(), lambda: self.roll.move(line, Stage.KEPT))
        return connection

    def release(self, connection: KeptConnection) -> None:
        """It has ended. Its line is used again as late as can be: until the journal knows, it tells of the end."""
        del self._connections[connection.session]
        self.store.drop(name_of(self.roll.read(connection.line).first, connection.line))
        if connection.line < self.room:  # the others are from when the store was larger
            self._free.append(connection.line)

    # Marks.

    def touch(self, connection: KeptConnection) -> None:
        """The end of the next turn decides about its mark. Have a turn come, if none is on its way."""
        if not connection.touched:
            connection.touched = True
            self._touched.append(connection)

    def ask_for_turn(self) -> None:
        self._ask_for_turn()

    def see_to(self, connection: KeptConnection) -> None:
        """Both: something became of it without the engine's doing."""
        self.touch(connection)
        self.ask_for_turn()

    def brace(self, sessions: Iterable[int]) -> None:
        for session in sessions:
            if (connection := self._connections.get(session)) is not None:
                connection.mark()
                self.touch(connection)

    def settled(self) -> None:
        touched, self._touched = self._touched, []
        for connection in touched:
            connection.touched = False
            connection.settle()

    # The end.

    async def part(self, turned: Callable[[], Awaitable[None]]) -> None:
        """Reads nothing more, and returns once everything that was read is answered, or after `PARTING`. What is not
        then ends, unless its client can be asked for it again.

        `turned` returns after a turn of the engine.
        """
        for connection in self._connections.values():
            connection.part()
        end = asyncio.get_running_loop().time() + PARTING
        while restless := [each for each in self._connections.values() if each.restless]:
            if asyncio.get_running_loop().time() > end:
                log.warning("%d connections are left in the midst of something", len(restless))
                for connection in restless:
                    connection.stop()
                return
            for connection in restless:
                self.touch(connection)
            await turned()
            await asyncio.sleep(LOOK_EVERY)
