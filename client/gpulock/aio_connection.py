"""A session on an asyncio transport. No thread: everything happens on the loop."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, cast

from . import connection as blocking, forks, watcher
from .clock import now
from .errors import GpulockError, from_wire
from .link import Away, Silence, explain, unavailable
from .notices import Queued
from .patience import SLACK, Patience
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .notices import Grant, Notice
    from .wire import Acquire

_returns: set[asyncio.Task[None]] = set()
"""Reconnections under way; the loop alone would not keep them."""


class _Protocol(asyncio.Protocol):
    """Hands on what one transport says, as long as it is the connection's present one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._connection.transport is self._transport:
            self._connection.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection.transport is self._transport:
            if exc is not None:
                self._hear_last_words()
            self._connection.dropped()

    def _hear_last_words(self) -> None:
        """A daemon that hangs up says why; a transport that could not write does not read it any more."""
        assert self._transport is not None
        try:
            data = os.read(self._transport.get_extra_info("socket").fileno(), 65536)
        except OSError:
            return  # nothing is there, or the descriptor is closed already
        if data:
            self._connection.received(data)


class Connection:
    """One session with its transport, on one loop."""

    def __init__(self, path: str, client: str) -> None:
        self.path = path
        self.session = Session(client, key=os.urandom(16).hex())
        self.transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._tell: Callable[[Notice], object] | None = None
        self._failure: GpulockError | None = None
        """What was wrong with the bytes that came."""
        self._connecting = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._notices: list[Notice] = []
        self._patience: Patience | None = None
        """Of the last wait."""
        self._return: asyncio.Task[None] | None = None
        """Looks for a daemon that went away while a lock was held."""

    # What the transport says

    def received(self, data: bytes) -> None:
        try:
            self._notices += self.session.receive(data)
        except GpulockError as error:
            self._failure = error
            self.close()
            return
        if self.session.interrupted:
            self.session.resume(None if self._patience is None else self._patience.left(now()))
        self._flush()
        self._tell_holder()
        self._stirred.set()

    def dropped(self) -> None:
        self.transport = None
        self.session.disconnected()
        self._stirred.set()
        self._look_for_daemon()

    def disinherit(self) -> None:
        """In a forked child: the number stays taken, since the loop's objects will still close it."""
        if self.transport is not None:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(null, self.transport.get_extra_info("socket").fileno(), inheritable=False)
            os.close(null)

    # Waiting for a lock

    async def obtain(
        self, wish: Acquire, unavailable_timeout: float, on_queued: Callable[[Queued], object] | None
    ) -> Grant:
        """As `connection.Connection.obtain`."""
        session = self.session
        patience = Patience(wish.wait_timeout, unavailable_timeout, now())
        reused = self.transport is not None
        session.acquire(wish)
        self._patience = patience
        self._flush()
        while session.phase == "waiting":
            try:
                if self.transport is None:
                    await self._connect(patience.left(now()))
                    patience.reached(session.retry)
                await self._stir(patience.until)
                if self._notices:
                    self._tell_waiter(on_queued)
            except Away as away:
                if session.heard:
                    session.heard = False
                    patience.heard(now(), session.max_wait, session.retry, session.grace)
                elif reused:
                    reused = False  # it has lain idle, and may have been dead for long: that tells nothing
                    continue
                if (pause := patience.pause(now())) is None:
                    raise unavailable(self.path, away) from None
                await asyncio.sleep(pause)
            except Silence:
                raise patience.silence(now()) from None
        if session.refusal is not None:
            raise session.refusal
        assert session.grant is not None
        return session.grant

    def _tell_waiter(self, on_queued: Callable[[Queued], object] | None) -> None:
        """What came right behind the grant is for the holder, and stays."""
        notices = self.take_notices()
        self._notices = [notice for notice in notices if not isinstance(notice, Queued)]
        for notice in notices:
            if isinstance(notice, Queued) and on_queued is not None:
                on_queued(notice)

    # Holding one

    def hold(self, tell: Callable[[Notice], object]) -> None:
        """From here on the holder is told at once of what comes, and the daemon looked for if it goes away."""
        self._tell = tell
        self._tell_holder()
        self._look_for_daemon()

    async def release(self) -> None:
        """Lets go, and waits for the answer. A daemon that is away is told when it is back.

        Where there was none, or a wrong one, the connection ends: that is a release, too.
        """
        session = self.session
        session.release()
        try:
            self._flush()
            while session.resuming or (session.phase != "leaving" and session.releasing):
                await self._stir(now() + SLACK)
        except (Away, Silence, GpulockError):
            pass  # it does not lie at rest then
        finally:
            self._tell = None
            if not self.at_rest:
                self.part()

    @property
    def at_rest(self) -> bool:
        """Whether it is connected, and nothing is held, asked for or unanswered on it."""
        session = self.session
        asked = session.phase != "idle" or session.releasing or self._return is not None
        return not asked and self.transport is not None and not self.transport.is_closing()

    def part(self) -> None:
        """Ends the connection, and a wait with it. What is to be told to the next daemon, the watcher's thread tells:
        the loop may end sooner."""
        if self._return is not None:
            self._return.cancel()
        self.session.abandon()
        self.close()
        if self.session.phase == "leaving":  # a release that was not answered may not have been heard, either
            session, self.session = self.session, Session()
            left = blocking.Connection(self.path, session=session)
            left.lose_contact()
            watcher.see_off(left)

    async def call(self, method: str, params: Mapping[str, Any], timeout: float) -> Any:
        """As `connection.Connection.call`."""
        if self.transport is None:
            raise unavailable(self.path, "it is away, and may come back", story="gpulockd does not answer")
        msgid = self.session.call(method, params)
        self._flush()
        try:
            until = now() + timeout
            while (response := self.session.answer(msgid)) is None:
                await self._stir(until)
        except Away as away:
            raise unavailable(self.path, away, story="gpulockd went away") from None
        except Silence:
            raise unavailable(self.path, f"nothing came within {timeout:g} s", story="gpulockd is silent") from None
        finally:
            self.session.forget(msgid)
        if response.error is not None:
            raise from_wire(response.error)
        return response.result

    async def next_notices(self) -> list[Notice]:
        """What comes next. Raises `DaemonUnavailable` at the end of the connection."""
        try:
            if not self._notices:
                await self._stir(None)
        except Away as away:
            raise unavailable(self.path, away, story="gpulockd went away") from None
        return self.take_notices()

    def take_notices(self) -> list[Notice]:
        """What has come for the holder, once."""
        notices, self._notices = self._notices, []
        return notices

    def _tell_holder(self) -> None:
        if self._tell is not None:
            for notice in self.take_notices():
                self._tell(notice)

    def _look_for_daemon(self) -> None:
        lost_contact = self.transport is None and self.session.phase == "held"
        if lost_contact and self._tell is not None and self._return is None:
            self._return = self._loop.create_task(self._come_back())
            _returns.add(self._return)
            self._return.add_done_callback(_returns.discard)

    async def _come_back(self) -> None:
        session = self.session
        give_up_at, pauses = now() + session.grace, session.retry.pauses(session.grace)
        try:
            while session.phase == "held" and not session.introduced:
                try:
                    if self.transport is None:
                        await self._connect(None)
                    await self._stir(give_up_at)
                except Silence:
                    break
                except (Away, GpulockError):
                    if (left := give_up_at - now()) <= 0:
                        break
                    await asyncio.sleep(min(next(pauses), left))
        finally:
            self._return = None
        if not session.introduced and (loss := session.give_up()) is not None:
            self._notices.append(loss)
            self._tell_holder()
        if session.phase != "held":
            self._tell = None  # whatever was still to be released goes with the connection
            self.close()

    # The transport

    async def connect(self, patience: float) -> None:
        """Sees to it that there is a connection; raises `DaemonUnavailable` after `patience` seconds."""
        end, pauses = now() + patience, self.session.retry.pauses()
        async with self._connecting:
            while self.transport is None:
                try:
                    await self._connect(None)
                except Away as away:
                    pause = next(pauses)
                    if now() + pause > end:
                        raise unavailable(self.path, away) from None
                    await asyncio.sleep(pause)

    def close(self) -> None:
        """Ends the connection once everything written is sent, and with it whatever it asked for or held."""
        if self.transport is not None:
            self.transport.close()
            self.dropped()

    async def _connect(self, wait_left: float | None) -> None:
        try:
            self.transport, _ = await self._loop.create_unix_connection(lambda: _Protocol(self), self.path)
        except OSError as error:
            explain(error, self.path)
        forks.own(self)
        self._failure = None
        self.session.connected(wait_left)
        self._flush()

    def _flush(self) -> None:
        if self.transport is not None and (data := self.session.take_outgoing()):
            self.transport.write(data)

    async def _stir(self, until: float | None) -> None:
        """Waits until something has come. Raises `Away` at the end of the connection, `Silence` at `until`."""
        if self.transport is not None:
            self._stirred.clear()
            try:
                async with asyncio.timeout(None if until is None else max(0.0, until - now())):
                    await self._stirred.wait()
            except TimeoutError:
                raise Silence from None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self.transport is None:
            raise Away("the daemon closed the connection")
