"""A session on a blocking socket: the calling thread itself sends, waits and reads."""

from __future__ import annotations

import os
import time
from _thread import allocate_lock

from .clock import now
from .errors import GpulockError, from_wire
from .link import Away, Link, Silence, unavailable
from .notices import Queued, ReleaseFailed
from .patience import Patience
from .session import Session
from .version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .notices import Grant, Notice
    from .wire import Acquire


class Connection:
    """One session with its socket.

    Whoever uses a connection that the watcher watches holds its `mutex`.
    """

    def __init__(self, path: str, client: str = "", session: Session | None = None) -> None:
        """`session`: one that has lost its connection, to go on with."""
        self.path = path
        self.session = session or Session(client, key=os.urandom(16).hex())
        self.mutex = allocate_lock()
        self.link: Link | None = None
        self.retry_at: float | None = None
        """When `attend` is due though nothing was received; None: never."""
        self._give_up_at: float | None = None
        """When a daemon that is away has been away for too long; None: it is there."""
        self._pauses = self.session.retry.pauses()
        self._notices: list[Notice] = []
        self._patience: Patience | None = None
        """Of the last wait."""

    def fileno(self) -> int:
        """-1 while there is no connection."""
        return -1 if self.link is None else self.link.fileno()

    def close(self) -> None:
        """Ends the connection, and with it whatever it asked for or held."""
        if self.link is not None:
            self.link.close()
            self.link = None
            self.session.disconnected()

    # Waiting for a lock

    def obtain(self, wish: Acquire, unavailable_timeout: float, on_queued: Callable[[Queued], object] | None) -> Grant:
        """Waits until the daemon grants `wish`.

        A daemon that goes away meanwhile is waited for as long as the wish may wait, one that was never there
        for `unavailable_timeout` seconds. Raises the daemon's refusal, `LockTimeout` or `DaemonUnavailable`.
        """
        session = self.session
        patience = Patience(wish.wait_timeout, unavailable_timeout, now())
        reused = self.link is not None
        session.acquire(wish)
        self._patience = patience
        while session.phase == "waiting":
            try:
                if self.link is None:
                    self._connect(patience.left(now()))
                    patience.reached(session.retry)
                self._flush()
                self._read(patience.until)
                if self._notices:
                    self._tell_waiter(on_queued)
            except Away as away:
                self.close()
                if session.heard:
                    session.heard = False
                    patience.heard(now(), session.max_wait, session.retry, session.grace)
                elif reused:
                    reused = False  # it has lain idle, and may have been dead for long: that tells nothing
                    continue
                if (pause := patience.pause(now())) is None:
                    raise unavailable(self.path, away) from None
                time.sleep(pause)
            except Silence:
                raise patience.silence(now()) from None
        if session.refusal is not None:
            raise session.refusal
        assert session.grant is not None
        return session.grant

    def _tell_waiter(self, on_queued: Callable[[Queued], object] | None) -> None:
        """What came right behind the grant is for the holder, and stays."""
        notices = self.take_notices()
        self._notices = [notice for notice in notices if not isinstance(notice, (Queued, ReleaseFailed))]
        for notice in notices:
            if isinstance(notice, ReleaseFailed):
                complain(notice)
            elif isinstance(notice, Queued) and on_queued is not None:
                on_queued(notice)

    def withdraw(self) -> bool:
        """Ends a wait. Whether `attend` has to let go of what a daemon that went away may have granted, or may not have
        heard."""
        self.session.abandon()
        self.close()
        if self.session.phase != "leaving":
            return False
        self.lose_contact()
        return True

    # Holding one

    def release(self, *, answered: bool = False) -> bool:
        """Lets go without waiting for an answer, even if there is to be one. Whether that is done: else the daemon is
        away, or went just now (an end of file stays readable), and the next learns of it by `attend`."""
        self.session.release(answered=answered)
        try:
            self._flush()
        except Away:
            return False
        return self.session.ready

    def call(self, method: str, params: Mapping[str, Any], timeout: float) -> Any:
        """The daemon's answer; raises the error that it answered. What else comes waits in `take_notices`.

        Raises `DaemonUnavailable` where none comes within `timeout` seconds. The connection then still wants
        attention: an end of file stays readable.
        """
        if self.link is None:
            raise unavailable(self.path, "it is away, and may come back", story="gpulockd does not answer")
        msgid = self.session.call(method, params)
        until = now() + timeout
        try:
            self._flush()
            while (response := self.session.answer(msgid)) is None:
                self._read(until)
        except Away as away:
            raise unavailable(self.path, away, story="gpulockd went away") from None
        except Silence:
            raise unavailable(self.path, f"nothing came within {timeout:g} s", story="gpulockd is silent") from None
        finally:
            self.session.forget(msgid)
        if response.error is not None:
            raise from_wire(response.error)
        return response.result

    def attend(self) -> None:
        """Takes in what has come, or goes on looking for a daemon that went away. Never blocks.

        To be called when there is something to read and when `retry_at` has come.
        """
        try:
            self._go_on()
        except (Away, GpulockError):
            self.lose_contact()

    def take_notices(self) -> list[Notice]:
        """What has come for the holder, once."""
        notices, self._notices = self._notices, []
        return notices

    @property
    def has_notices(self) -> bool:
        return bool(self._notices)

    def _go_on(self) -> None:
        if self.link is None:
            self._connect(None)
            self._flush()
            self.retry_at = self._give_up_at
            return
        if (data := self.link.read_now()) is not None:
            self._take_in(data)
        self._flush()
        if self.session.introduced:
            self.retry_at = self._give_up_at = None
        elif self._give_up_at is not None and now() >= self._give_up_at:
            raise Away("the daemon accepts connections and says nothing")

    def lose_contact(self) -> None:
        """There is no connection; from now on `attend` looks for a daemon."""
        self.close()
        moment = now()
        if self._give_up_at is None:
            self._give_up_at = moment + self.session.grace
            self._pauses = self.session.retry.pauses(self.session.grace)
            self.retry_at = moment
        elif moment < self._give_up_at:
            self.retry_at = min(moment + next(self._pauses), self._give_up_at)
        else:
            self.retry_at = self._give_up_at = None
            if (loss := self.session.give_up()) is not None:
                self._notices.append(loss)

    # The socket

    def connect(self, patience: float) -> None:
        """Sees to it that there is a connection; raises `DaemonUnavailable` after `patience` seconds."""
        try:
            while self.link is not None and (data := self.link.read_now()) is not None:
                self._take_in(data)
        except Away:
            self.close()  # it went while nobody looked
        end, pauses = now() + patience, self.session.retry.pauses()
        while self.link is None:
            try:
                self._connect(None)
            except Away as away:
                pause = next(pauses)
                if now() + pause > end:
                    raise unavailable(self.path, away) from None
                time.sleep(pause)

    def read(self, until: float | None) -> None:
        """Waits for what the daemon says next. Raises `Silence` when `until` has come, and
        `DaemonUnavailable`."""
        try:
            self._read(until)
        except Away as away:
            raise unavailable(self.path, away, story="gpulockd went away") from None

    def _connect(self, wait_left: float | None) -> None:
        self.link = Link(self.path)
        self.session.connected(wait_left)

    def _flush(self) -> None:
        if self.link is not None and (data := self.session.take_outgoing()):
            try:
                self.link.send(data)
            except Away:
                self._hear_last_words(self.link)
                raise

    def _hear_last_words(self, link: Link) -> None:
        """A daemon that hangs up says why: raises that."""
        while (data := link.read_now()) is not None:
            self._notices += self.session.receive(data)

    def _read(self, until: float | None) -> None:
        assert self.link is not None
        self._take_in(self.link.read(until))

    def _take_in(self, data: bytes) -> None:
        self._notices += self.session.receive(data)
        if self.session.interrupted:
            self.session.resume(None if self._patience is None else self._patience.left(now()))
            self._flush()


def new(path: str) -> Connection:
    """A connection that introduces itself as this program's."""
    return Connection(path, f"gpulock {__version__}")


def complain(notice: ReleaseFailed) -> None:
    """Nobody waited for the answer to a release, so its error has no caller to be raised to."""
    import warnings

    warnings.warn(f"a GPU lock was not released as it should be: {notice.error}", RuntimeWarning, stacklevel=2)
