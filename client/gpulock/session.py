"""What one client session is, without a socket: pure state, no I/O, no clock, no thread.

A session has one lock at most, and outlives its connection: when that breaks, the shell makes another one, says
`connected`, and the session goes on where it was. The shells (`connection.py`, `aio.py`) move bytes: what
`take_outgoing` gives goes out, what comes in goes to `receive`.

    phase     what ends it                                       next
    -------   ------------------------------------------------   -------
    idle      acquire                                            waiting
    waiting   granted                                            held
              refused, timed out, given up                       idle
              given up after contact was lost                    leaving
    held      release                                            idle
              release while there is no connection               leaving
              the daemon no longer knows the lock, or is away    lost
    leaving   reattached, and let go; or away for too long       idle
    lost      release                                            idle

A lock that is being taken back (`loss` is set) stays `held`: its holder has until the deadline to let go.

A connection can outlive the daemon. If that one was killed in the midst of something, the next one says so, and the
session is `interrupted`: the shell says `resume`, which is to it what a new connection would be.
"""

from __future__ import annotations

from . import wire
from .clock import Retry
from .errors import DaemonUnavailable, GpulockError, NotHeld, ProtocolError, from_wire
from .notices import (
    Grant,
    Happened,
    Hastened,
    Loss,
    Notice,
    ReleaseFailed,
    Warned,
    read_grant,
    read_loss,
    read_queued,
    read_retry,
)
from .rpc import Decoder, Notification, Response, notification, request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal, TypeAlias

    Phase: TypeAlias = Literal["idle", "waiting", "held", "leaving", "lost"]

REATTACH_GRACE = 60.0
"""How long a daemon may be away before a lock counts as lost, unless its `hello` said otherwise."""
_REPEATABLE = (
    *("beat", "canary", "config", "config_history", "config_version", "describe", "extend", "history"),
    *("queue", "status", "watch", "why"),
)
"""What may be asked twice and is as if it had been once: questions, and what a holder says of itself."""
MAX_WAIT = 1800.0
"""How long a request waits for a daemon that went away, where the caller named no wait of its own."""


class Session:
    """One client session's state. Not thread-safe: its shell lets one thread in at a time."""

    def __init__(self, client: str = "", key: str | None = None) -> None:
        """`client`: name and version of the program, for people; `key`: random, and its own."""
        self.phase: Phase = "idle"
        self.grant: Grant | None = None
        """The lock, from its grant to the next `acquire`."""
        self.loss: Loss | None = None
        self.refusal: GpulockError | None = None
        """Why the last `acquire` got no lock."""
        self.key = key
        """Proves to a restarted daemon that a lock is this session's. None: the daemon gives one."""
        self.grace = REATTACH_GRACE
        """Seconds that the lock outlives its connection."""
        self.retry = Retry()
        """How to look for a daemon that went away."""
        self.max_wait = MAX_WAIT
        """Seconds that a request waits for a daemon that went away, if it named no wait of its own."""
        self.connection_up = False
        self.heard = False
        """Whether the daemon has said anything since the last `acquire` began."""
        self._client = client
        self._decoder = Decoder(wire.MAX_REPLY_BYTES)
        self._outgoing = b""
        self._msgid = 0
        self._hello: int | None = None
        self._acquire: int | None = None
        self._unheard = False
        """Whether a daemon that is gone may have granted the wish with its last breath."""
        self._wish: wire.Acquire = wire.Acquire()
        self._releases: dict[int, str] = {}
        self._quiet = False
        """Whether the daemon takes a release that it is not to answer."""
        self._quietly_released: str | None = None
        """The lock of such a release, until something shows that the daemon has read it."""
        self._doubtful: set[str] = set()
        """Let go, and perhaps no daemon has heard it: said again to the next."""
        self._said_again: set[int] = set()
        """Which of the releases are so; one that was heard the first time is not held any more."""
        self._marker: str | None = None
        """What the next daemon waits for on this connection, before it takes in anything."""
        self._resuming = False
        self._watches = False
        """Whether it hears of events, and is to go on to."""
        self._calls: dict[int, tuple[str, Mapping[str, Any]]] = {}
        self._ignored: set[int] = set()
        self._answers: dict[int, Response] = {}

    # The connection

    def connected(self, wait_left: float | None = None) -> None:
        """There is a new connection. `wait_left` are the seconds that a waiting `acquire` may still take."""
        self._decoder = Decoder(wire.MAX_REPLY_BYTES)
        self.connection_up = True
        self._outgoing = b""
        hello = wire.write(wire.Hello(client=self._client, reattach=self.key, resumes=True))
        self._hello = self._request("hello", hello)
        if self.phase == "waiting":
            self._wish = self._wish._replace(wait_timeout=wait_left)
            if not self._unheard and not self._doubtful:
                self._ask()
            # Otherwise the session may have a lock already: `hello` will tell.

    @property
    def interrupted(self) -> bool:
        """Whether the daemon was killed in the midst of something, and the next one waits for `resume`."""
        return self._marker is not None

    def resume(self, wait_left: float | None = None) -> None:
        """Goes on where it was, on the connection that there is, as on a new one. `wait_left`: as for `connected`."""
        assert self._marker is not None, "nobody has asked for it"
        resumed = notification(wire.RESUMED, {"marker": self._marker})
        decoder, watches = self._decoder, self._watches  # what the daemon says is whole
        again = {msgid: asked for msgid, asked in self._calls.items() if asked[0] in _REPEATABLE}
        for msgid in again:
            del self._calls[msgid]
        self.disconnected()
        self.connected(wait_left)
        self._decoder, self._resuming, self._watches = decoder, True, watches
        if watches:
            self._ignored.add(self._request("watch", {}))
        self._calls.update(again)
        repeated = b"".join(request(msgid, method, params) for msgid, (method, params) in again.items())
        self._outgoing = resumed + self._outgoing + repeated

    @property
    def resuming(self) -> bool:
        """Whether `resume` was said and is not answered yet."""
        return self._resuming

    @property
    def ready(self) -> bool:
        """Whether `acquire` may be said. While it is `resuming`, that comes after what the daemon has to hear first."""
        return self.phase == "idle" or (self.phase == "leaving" and self._resuming and not self._unheard)

    @property
    def introduced(self) -> bool:
        """Whether the daemon has answered this connection's `hello`."""
        return self.connection_up and self._hello is None

    @property
    def releasing(self) -> bool:
        """Whether a release is to be answered, and has not been yet."""
        return bool(self._releases)

    @property
    def unproven(self) -> bool:
        """Whether a release that is not to be answered was sent, and nothing has shown yet that a daemon took it in."""
        return self._quietly_released is not None

    @property
    def doubtful(self) -> bool:
        """Whether there is a release to be said again on the next connection."""
        return bool(self._doubtful)

    def disconnected(self) -> None:
        """The connection is gone, and everything asked on it with it."""
        self.connection_up = self._resuming = self._watches = False
        self._marker = None
        self._outgoing = b""
        self._unheard = self._unheard or self._acquire is not None
        self._hello = self._acquire = None
        self._doubtful.update(self._releases.values())
        self._releases.clear()
        self._said_again.clear()
        if self._quietly_released is not None:
            self._doubtful.add(self._quietly_released)
            self._quietly_released = None
        self._ignored.clear()
        if self.phase == "idle" and self._doubtful:
            self.phase = "leaving"
        gone = {"code": DaemonUnavailable.code, "message": "the connection to the daemon broke before it answered"}
        self._answers.update((msgid, Response(msgid, gone, None)) for msgid in self._calls)
        self._calls.clear()

    def take_outgoing(self) -> bytes:
        """The bytes to send now."""
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    def receive(self, data: bytes) -> list[Notice]:
        """Takes in what the daemon sent, and returns what the holder or waiter should hear of.

        Raises `ProtocolError`, or the error with which the daemon ends the connection; it is of no more use
        then.
        """
        notices: list[Notice] = []
        self.heard = True
        for message in self._decoder.feed(data):
            if type(message) is Response:
                if (notice := self._answered(message)) is not None:
                    notices.append(notice)
            elif type(message) is Notification:
                if (notice := self._notified(message)) is not None:
                    notices.append(notice)
            else:
                raise ProtocolError("the daemon sent a request", hint="is this gpulockd's socket?")
        return notices

    # What the caller wants

    def acquire(self, wish: wire.Acquire) -> None:
        assert self.ready, f"a session has one lock at most; this one is {self.phase}"
        self.phase, self.grant, self.loss, self.refusal = "waiting", None, None, None
        self.heard = False
        self._wish = wish
        if self.connection_up and not self._doubtful:
            self._ask()

    def release(self, *, answered: bool = True) -> None:
        """Lets go of the lock. What comes of it is a `ReleaseFailed` later, or nothing. A caller that does not wait for
        the daemon's answer can do without being `answered`: that spares both sides a message."""
        if self.phase == "held" and self.grant is not None:
            if self.introduced:
                if self._quiet and not answered:
                    self._quietly_released = self.grant.lock
                    self._outgoing += notification("release", {"lock": self.grant.lock})
                else:
                    self._let_go(self.grant.lock)
                self.phase = "idle"
            else:
                self.phase = "leaving"
                self._doubtful.add(self.grant.lock)
        elif self.phase == "lost":
            self.phase = "idle"

    def abandon(self) -> None:
        """The connection is about to end, and a wait with it. After that, the session may be `leaving`: a lock came of
        it, or an earlier one was let go, and it is not known whether a daemon heard."""
        if self.phase == "waiting":
            self._acquire = None
            self.phase = "leaving" if self._unheard or self._doubtful else "idle"

    def call(self, method: str, params: Mapping[str, Any]) -> int:
        """Asks anything else; returns the number under which `answer` gives the response."""
        msgid = self._request(method, params)
        self._calls[msgid] = method, params
        return msgid

    def answer(self, msgid: int) -> Response | None:
        """The response to that call, once; None: not yet."""
        return self._answers.pop(msgid, None)

    def forget(self, msgid: int) -> None:
        """Nobody waits for the response to that call any more."""
        self._answers.pop(msgid, None)
        if msgid in self._calls:
            del self._calls[msgid]
            self._ignored.add(msgid)

    def give_up(self) -> Loss | None:
        """The daemon stayed away for longer than `grace`: the lock is lost."""
        if self.phase == "leaving":
            self.phase = "idle"
        elif self.phase == "held":
            return self._lose("daemon-away", f"the daemon has been away for {self.grace:.0f} s")
        return None

    # What came

    def _answered(self, response: Response) -> Notice | None:
        msgid = response.msgid
        if msgid == self._acquire:
            self._acquire = None
            if response.error is not None:
                self.phase, self.refusal = "idle", from_wire(response.error)
            else:
                self.grant = grant = read_grant(response.result)
                # A nested lock is another session's; there is nothing here to keep or to give back.
                if grant.nested:
                    self.phase = "idle"
                else:
                    self.phase = "held"
                    self._quietly_released = None  # it is in the journal: before this grant, or together with it
        elif msgid in self._releases:
            del self._releases[msgid]
            again = msgid in self._said_again
            self._said_again.discard(msgid)
            if response.error is not None:
                error = from_wire(response.error)
                if not (again and isinstance(error, NotHeld)):
                    return ReleaseFailed(error)
        elif msgid in self._calls:
            method, _ = self._calls.pop(msgid)
            self._watches = self._watches or (method == "watch" and response.error is None)
            self._answers[msgid] = response
        elif msgid in self._ignored:
            self._ignored.remove(msgid)
        elif msgid == self._hello:
            self._hello = None
            return self._introduced(response)
        else:
            raise ProtocolError(f"an answer to a request {msgid} that was never made")
        return None

    def _notified(self, message: Notification) -> Notice | None:
        params = message.params or {}
        match message.method:
            case "queued" if self.phase == "waiting":
                return read_queued(params)
            case "lost" if self.phase == "held" and self.grant and params.get("lock") == self.grant.lock:
                loss = read_loss(params)
                if self.loss is not None:
                    return Hastened(loss.deadline)
                self.loss = loss
                return loss
            case "warning":
                return Warned(str(params.get("level", "")), params)
            case "event":
                return Happened(params)  # type: ignore[arg-type]  # the daemon's word
            case wire.RESUME:
                self._marker = str(params.get("marker", ""))
            case wire.RELEASE_FAILED:
                self._quietly_released = None
                return ReleaseFailed(from_wire(params))
            case "error":
                raise from_wire(params)
        return None  # of a lock that was let go meanwhile, or of a later version's kind

    def _introduced(self, response: Response) -> Loss | None:
        answer = response.result if isinstance(response.result, dict) else {}
        self._unheard = self._resuming = False
        self.key = answer.get("reattach") or self.key
        self.grace = float(answer.get("reattach_grace", self.grace))
        self.retry = read_retry(answer.get("retry"))
        self._quiet = "release" in (answer.get("quiet") or ())
        self.max_wait = float((answer.get("limits") or {}).get("max_wait_time", self.max_wait))
        kept = [read_grant(lock) for lock in answer.get("locks") or ()]
        if self.phase == "leaving":
            self._doubtful.update(grant.lock for grant in kept)
        # A daemon that was killed may not have read a release any more. It is said again even where the lock is not
        # among those that are kept: it may have ended, with its GPU waiting for this word.
        for lock in sorted(self._doubtful):
            self._said_again.add(self._let_go(lock))
        kept = [grant for grant in kept if grant.lock not in self._doubtful]
        self._doubtful.clear()
        if self.phase == "leaving":
            self.phase = "idle"
        elif self.phase == "waiting" and self._acquire is None:
            if kept:
                self.grant, self.phase = kept[0], "held"
            else:
                self._ask()
        elif self.phase == "held" and self.grant and self.grant.lock not in [grant.lock for grant in kept]:
            unknown = "the daemon does not know it any more"
            note = from_wire(response.error).message if response.error is not None else unknown
            return self._lose("not-reattached", note)
        return None

    def _lose(self, reason: str, note: str) -> Loss | None:
        """The new loss; none where the holder has already been told of one."""
        told, self.phase = self.loss, "lost"
        if told is None and self.grant is not None:
            self.loss = Loss(self.grant.lock, reason, note=note)
            return self.loss
        return None

    def _let_go(self, lock: str) -> int:
        msgid = self._request("release", {"lock": lock})
        self._releases[msgid] = lock
        return msgid

    def _ask(self) -> None:
        self._acquire = self._request("acquire", wire.write(self._wish))

    def _request(self, method: str, params: Mapping[str, Any]) -> int:
        self._msgid = msgid = self._msgid % 0xFFFFFFFF + 1
        self._outgoing += request(msgid, method, params)
        return msgid
