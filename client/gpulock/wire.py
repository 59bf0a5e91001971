"""The messages between clients and daemon, their version and limits: the one definition both sides import.

Parameters of each method are a `NamedTuple` (immutable, and cheap to import and to make). `read` turns the
map of a request into one and refuses what does not belong, by name; `write` turns one into the map to send,
leaving out what stands at its default. Answers are plain maps; their forms are described in `documents.py`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from .durations import parse_duration
from .errors import InvalidRequest
from .record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias, TypeVar

    Message = TypeVar("Message", bound=tuple[Any, ...])

VERSION = 1
"""The protocol's version, offered in `hello`. Within one, fields may be added; none changes its meaning."""

MAX_REQUEST_BYTES = 64 * 1024
"""The longest frame the daemon reads."""
MAX_REPLY_BYTES = 16 * 1024 * 1024
"""The longest frame a client reads."""
MAX_TEXT = 1024
"""The longest string in a request, in characters."""
MAX_LABELS = 32
MAX_GPUS = 1024
PRIORITIES = range(-10, 11)
"""Higher goes first; each step is worth a head start of the daemon's `priority_head_start` seconds."""
NOTIFICATIONS = ("queued", "warning", "lost")
"""What an `acquire` can ask to be told about its own request and lock."""
RELEASE_FAILED = "release-failed"
"""The notification of an error in a `release` that was sent as a notification itself."""

DEFAULT_SOCKET = "/run/gpulockd/gpulockd.sock"


def socket_path(environ: Mapping[str, str] | None = None) -> str:
    """Where the daemon listens: `$GPULOCK_SOCKET`, else the system's socket, else (not root) the user's."""
    environ = os.environ if environ is None else environ
    if explicit := environ.get("GPULOCK_SOCKET"):
        return explicit
    own = environ.get("XDG_RUNTIME_DIR")
    if os.geteuid() != 0 and own and not os.path.exists(DEFAULT_SOCKET):
        return os.path.join(own, "gpulockd", "gpulockd.sock")
    return DEFAULT_SOCKET


class Hello(NamedTuple):
    """Introduces a session. Optional; without it a session has no reattach key."""

    versions: tuple[int, ...] = (1,)
    """Those that the client speaks, in any order; one that names none speaks the first."""
    client: str = ""
    """Name and version of the client program, for people."""
    reattach: str | None = None
    """The key that an earlier `hello` of this process brought or was answered: its lock is to go on here."""


class Acquire(NamedTuple):
    """Asks for a lock; answered when it is granted, refused or timed out."""

    gpus: int | tuple[str, ...] = 1
    """How many, or which: an index, a UUID or the beginning of one, each."""
    wait_timeout: float | None = None
    """Seconds to wait; 0: do not wait; none: the daemon's `max_wait_time`."""
    max_hold: float | None = None
    """Seconds after the grant at which the lock is taken back; none: the daemon's `lock_timeout`."""
    priority: int = 0
    task: str = ""
    profile: str = ""
    labels: Mapping[str, str] = {}
    within: str | None = None
    """The lock that the caller runs under (`$GPULOCK_LOCK`), so that it never waits for itself."""
    notify: tuple[str, ...] = ()
    """Of `NOTIFICATIONS`."""


class Cancel(NamedTuple):
    """Withdraws a waiting `acquire` of this session."""

    msgid: int
    """The message id of that `acquire`."""


class Release(NamedTuple):
    """Gives a lock back."""

    lock: str | None = None
    """None: the one lock that this session holds."""


class Extend(NamedTuple):
    """Moves the end of a lock's longest hold."""

    max_hold: float
    """Seconds from now; never past the daemon's `hard_timeout`, counted from the grant."""
    lock: str | None = None


class Beat(NamedTuple):
    """Progress of the task that runs under a lock."""

    progress: float | None = None
    """0 to 1."""
    note: str = ""
    lock: str | None = None


class Status(NamedTuple):
    """The whole host at a glance."""

    fleet: bool = False
    """Every host that shares the daemon's Redis, as each last reported itself."""


class Subject(NamedTuple):
    """Names one thing: a GPU (index, UUID, prefix), a lock, a request, or `pid:N`."""

    subject: str


class History(NamedTuple):
    """Locks that have ended, the latest first. All that is named must be true of each."""

    limit: int = 50
    gpu: str | None = None
    """An index, a UUID or the beginning of one; one that the host no longer has, by its UUID."""
    user: str | None = None
    task: str | None = None
    how: str | None = None
    """How it ended."""
    since: float | None = None
    """Ended at most so many seconds ago."""
    until: float | None = None
    """Ended at least so many seconds ago."""
    requests: bool = False
    """Whether those that ended without a lock are wanted, too."""
    totals: bool = False
    """Whether sums by user and task are wanted: of all that is kept, not only of what `limit` leaves."""


class Revoke(NamedTuple):
    """Takes a lock back by force: its holder is told, then ended."""

    subject: str
    """A lock, or a GPU: the lock on it."""
    reason: str = ""
    grace: float | None = None
    """Seconds between telling and SIGTERM; none: the daemon's `revoke_grace`."""


class Drain(NamedTuple):
    """Grants nothing more on a GPU; its holder stays."""

    gpu: str | None = None
    """None: all of the host."""
    reason: str = ""


class Undrain(NamedTuple):
    """Takes a drain back."""

    gpu: str | None = None


class Nothing(NamedTuple):
    """The parameters of a method that has none."""


METHODS: Mapping[str, type[NamedTuple]] = {
    "hello": Hello,
    "acquire": Acquire,
    "cancel": Cancel,
    "release": Release,
    "extend": Extend,
    "beat": Beat,
    "status": Status,
    "queue": Nothing,
    "why": Subject,
    "describe": Subject,
    "history": History,
    "config": Nothing,
    "watch": Nothing,
    "revoke": Revoke,
    "drain": Drain,
    "undrain": Undrain,
}
"""Every method and its parameters."""

Check: TypeAlias = "Callable[[object], Any]"


def read(kind: type[Message], params: Mapping[Any, object]) -> Message:
    """`params` as a `kind`.

    Raises `InvalidRequest` that names the parameter, what stood there and what belongs there.
    """
    checks = _CHECKS[kind]
    values: dict[str, Any] = {}
    for name, value in params.items():
        check = checks.get(name)
        if check is None:
            raise _unknown(name, checks)
        try:
            values[name] = check(value)
        except InvalidRequest as error:
            raise InvalidRequest(f"parameter {name!r}: {error.message}", hint=error.hint) from None
    try:
        return kind(**values)
    except TypeError:
        missing = [name for name in kind._fields if name not in values and name not in kind._field_defaults]  # type: ignore[attr-defined]
        raise InvalidRequest(f"parameter {missing[0]!r} is missing", hint=_allowed(checks)) from None


def write(message: tuple[Any, ...]) -> dict[str, Any]:
    """The map of `message`, without what stands at its default."""
    defaults: Mapping[str, Any] = message._field_defaults  # type: ignore[attr-defined]
    fields: tuple[str, ...] = message._fields  # type: ignore[attr-defined]
    return {
        name: value
        for name, value in zip(fields, message, strict=True)
        if name not in defaults or value != defaults[name]
    }


def _unknown(name: object, checks: Mapping[str, Check]) -> InvalidRequest:
    return InvalidRequest(f"unknown parameter {_shown(name)}", hint=_allowed(checks))


def _allowed(checks: Mapping[str, Check]) -> str:
    return f"known parameters: {', '.join(checks)}" if checks else "this method takes no parameters"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _wrong(value: object, expected: str) -> InvalidRequest:
    return InvalidRequest(f"{_shown(value)} is not {expected}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "a string")
    if len(value) > MAX_TEXT:
        raise InvalidRequest(f"a string of {len(value)} characters is too long", hint=f"at most {MAX_TEXT}")
    if not value.isprintable() and any(c < " " or "\x7f" <= c <= "\x9f" for c in value):
        raise InvalidRequest(f"{_shown(value)} holds control characters", hint="they end up on terminals")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, "true or false")
    return value


def _integer(value: object, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _wrong(value, f"an integer from {low} to {high}")
    return value


def _duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _wrong(value, "a duration")
    return parse_duration(value)


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or not 0 <= value <= 1:
        raise _wrong(value, "a number from 0 to 1")
    return float(value)


def _list(value: object, item: Check, most: int) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(value, "an array")
    if len(value) > most:
        raise InvalidRequest(f"an array of {len(value)} is too long", hint=f"at most {most}")
    return tuple(map(item, value))


def _selector(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(_integer(value, 0, MAX_GPUS))
    if not _text(value):
        raise InvalidRequest("a GPU's name cannot be empty", hint="give an index, a UUID, or the beginning of one")
    return _text(value)


def _gpus(value: object) -> int | tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        if not value:
            raise InvalidRequest("an empty list asks for no GPU", hint="give a number, or at least one GPU")
        return _list(value, _selector, MAX_GPUS)
    return _integer(value, 1, MAX_GPUS)


def _labels(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise _wrong(value, "a map of strings")
    if len(value) > MAX_LABELS:
        raise InvalidRequest(f"{len(value)} labels are too many", hint=f"at most {MAX_LABELS}")
    return {_text(key): _text(each) for key, each in value.items()}


def _notification(value: object) -> object:
    if value not in NOTIFICATIONS:
        raise InvalidRequest(f"{_shown(value)} is no notification", hint=f"known: {', '.join(NOTIFICATIONS)}")
    return value


def _notifications(value: object) -> tuple[str, ...]:
    return _list(value, _notification, len(NOTIFICATIONS))


def _optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _msgid(value: object) -> int:
    return _integer(value, 0, 2**32 - 1)


_CHECKS: Mapping[type, Mapping[str, Check]] = {
    Hello: {
        "versions": lambda value: _list(value, lambda each: _integer(each, 0, 2**16), 16),
        "client": _text,
        "reattach": _optional(_text),
    },
    Acquire: {
        "gpus": _gpus,
        "wait_timeout": _optional(_duration),
        "max_hold": _optional(_duration),
        "priority": lambda value: _integer(value, PRIORITIES.start, PRIORITIES.stop - 1),
        "task": _text,
        "profile": _text,
        "labels": _labels,
        "within": _optional(_text),
        "notify": _notifications,
    },
    Cancel: {"msgid": _msgid},
    Release: {"lock": _optional(_text)},
    Extend: {"max_hold": _duration, "lock": _optional(_text)},
    Beat: {"progress": _optional(_share), "note": _text, "lock": _optional(_text)},
    Status: {"fleet": _flag},
    Subject: {"subject": _text},
    History: {
        "limit": lambda value: _integer(value, 1, 10_000),
        "gpu": _optional(_text),
        "user": _optional(_text),
        "task": _optional(_text),
        "how": _optional(_text),
        "since": _optional(_duration),
        "until": _optional(_duration),
        "requests": _flag,
        "totals": _flag,
    },
    Revoke: {"subject": _text, "reason": _text, "grace": _optional(_duration)},
    Drain: {"gpu": _optional(_text), "reason": _text},
    Undrain: {"gpu": _optional(_text)},
    Nothing: {},
}
