"""The messages between clients and daemon, their version and limits: the one definition both sides import.

Parameters of each method are a `NamedTuple` (immutable, and cheap to import and to make). `read` turns the
map of a request into one and refuses what does not belong, by name; `write` turns one into the map to send,
leaving out what stands at its default. Answers are plain maps; their forms are described in `documents.py` and
`configuration.py`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from . import checks
from .checks import (
    array as _list,
    content as _content,
    duration as _duration,
    flag as _flag,
    gpus as _gpus,
    integer as _integer,
    labels as _labels,
    msgid as _msgid,
    notifications as _notifications,
    offset as _offset,
    optional as _optional,
    percent as _percent,
    positive_duration as _positive_duration,
    share as _share,
    shown as _shown,
    text as _text,
    version as _version,
)
from .errors import InvalidRequest
from .record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from .checks import Check

    Message = TypeVar("Message", bound=tuple[Any, ...])

VERSION = 1
"""The protocol's version, offered in `hello`. Within one, fields may be added; none changes its meaning."""

MAX_REQUEST_BYTES = 64 * 1024
"""The longest frame the daemon reads."""
MAX_REPLY_BYTES = 16 * 1024 * 1024
"""The longest frame a client reads."""
MAX_TEXT = checks.MAX_TEXT
MAX_CONTENT_BYTES = checks.MAX_CONTENT_BYTES
MAX_LABELS = checks.MAX_LABELS
MAX_GPUS = checks.MAX_GPUS
PRIORITIES = checks.PRIORITIES
NOTIFICATIONS = checks.NOTIFICATIONS
RELEASE_FAILED = "release-failed"
"""The notification of an error in a `release` that was sent as a notification itself."""
RESUME, RESUMED = "resume", "resumed"
"""The notification that a daemon before was killed in the midst of something, with a `marker`; and the client's, which
brings that marker back: its last byte is the last that the daemon passes over."""

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
    resumes: bool = False
    """Whether the client understands `RESUME`. The connection of one that does not ends where that would be said."""


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


class Reload(NamedTuple):
    """Has the daemon read its configuration file again."""

    reason: str = ""
    """Why, for the history."""
    dry_run: bool = False
    """Only says what would change."""


class ConfigHistory(NamedTuple):
    """A page of what became of the configuration, the latest first."""

    limit: int = 50
    before: int | None = None
    """What the page before said that is `earlier`; None: the latest."""


class ConfigVersion(NamedTuple):
    """One configuration, as its file was."""

    version: int | None = None
    """None: the one in force."""


class ConfigApply(NamedTuple):
    """Puts another content into the daemon's configuration file, and has it read."""

    content: str
    reason: str = ""
    dry_run: bool = False


class ConfigRollback(NamedTuple):
    """Applies an earlier configuration again."""

    version: int | None = None
    """None: the last one in force that was another."""
    reason: str = ""
    dry_run: bool = False


class CanaryStart(NamedTuple):
    """Gives a share of the sessions another configuration."""

    content: str
    percent: float
    """Of the sessions."""
    lasts: float = math.inf
    """Seconds, after which it is taken back."""
    reason: str = ""


class CanaryStage(NamedTuple):
    """Another share for the canary that runs."""

    percent: float
    reason: str = ""


class CanaryEnd(NamedTuple):
    """Makes the canary's configuration everybody's, or nobody's."""

    reason: str = ""


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
    "reload": Reload,
    "config_history": ConfigHistory,
    "config_version": ConfigVersion,
    "config_apply": ConfigApply,
    "config_rollback": ConfigRollback,
    "canary": Nothing,
    "canary_start": CanaryStart,
    "canary_stage": CanaryStage,
    "canary_promote": CanaryEnd,
    "canary_abort": CanaryEnd,
}
"""Every method and its parameters."""


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


_CHECKS: Mapping[type, Mapping[str, Check]] = {
    Hello: {
        "versions": lambda value: _list(value, lambda each: _integer(each, 0, 2**16), 16),
        "client": _text,
        "reattach": _optional(_text),
        "resumes": _flag,
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
    Reload: {"reason": _text, "dry_run": _flag},
    ConfigHistory: {"limit": lambda value: _integer(value, 1, 10_000), "before": _optional(_offset)},
    ConfigVersion: {"version": _optional(_version)},
    ConfigApply: {"content": _content, "reason": _text, "dry_run": _flag},
    ConfigRollback: {"version": _optional(_version), "reason": _text, "dry_run": _flag},
    CanaryStart: {"content": _content, "percent": _percent, "lasts": _positive_duration, "reason": _text},
    CanaryStage: {"percent": _percent, "reason": _text},
    CanaryEnd: {"reason": _text},
    Nothing: {},
}
