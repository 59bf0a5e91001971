"""The exception tree of gpulock, and its codes on the wire.

Every error that the daemon can answer has one class here and one stable `code`. An error keeps its type
across the socket: the daemon sends `{code, message, hint, data}`, the client raises the class of that code.
A code that this version does not know becomes a plain `GpulockError` that keeps the code it came with.
"""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


class GpulockError(Exception):
    """Anything that gpulock raises.

    `message` says what went wrong, `hint` what to do next, and `data` holds the facts behind it (the
    holder's pid, the position in the queue, ...) as plain values for programs.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.data: dict[str, Any] = dict(data or {})
        self.wire_code = self.code

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InvalidRequest(GpulockError, ValueError):
    """The request cannot be understood: a wrong name, type or value."""

    code = "invalid-request"


class UnknownMethod(InvalidRequest):
    """The daemon has no such method."""

    code = "unknown-method"


class UnknownGpu(InvalidRequest):
    """No GPU of this host answers to that index, UUID or UUID prefix, or more than one does."""

    code = "unknown-gpu"


class Unsatisfiable(InvalidRequest):
    """The host could never grant this, however long one waits (more GPUs than it has)."""

    code = "unsatisfiable"


class ConfigurationRefused(GpulockError):
    """A change of the daemon's configuration that cannot be made; nothing was changed."""

    code = "configuration-refused"


class BadConfiguration(ConfigurationRefused):
    """A configuration that cannot be used. `data["problems"]` has `file`, `line`, `column` and `message` of each."""

    code = "bad-configuration"


class RestartNeeded(ConfigurationRefused):
    """A configuration that a running daemon cannot take over as a whole. `data["problems"]` has what keeps it from
    that, in the form of `BadConfiguration`, and `data["changes"]` everything that it would change."""

    code = "restart-needed"


class ConfigurationUnwritable(ConfigurationRefused):
    """The daemon may not write its own configuration file, `data["file"]`."""

    code = "configuration-unwritable"


class ProtocolError(GpulockError):
    """Bytes that are no message: not MessagePack, not MessagePack-RPC, or over the size limit."""

    code = "protocol-error"


class Busy(GpulockError):
    """The GPU is taken, and the caller did not want to wait."""

    code = "busy"


class LockTimeout(GpulockError, TimeoutError):
    """The wait for the lock ended before its turn came."""

    code = "wait-timeout"


class RequestCancelled(GpulockError):
    """The waiting request was withdrawn, by its client or by an administrator."""

    code = "cancelled"


class NestedRequest(GpulockError):
    """A holder asked for more than it holds; waiting would be waiting for itself."""

    code = "nested-request"


class Deadlock(GpulockError):
    """Holders would wait for each other for ever. `data["circle"]` has who holds what and waits for what."""

    code = "deadlock"


class NotHeld(GpulockError):
    """The named lock is not held by this session (any more)."""

    code = "not-held"


class LockLost(GpulockError):
    """The lock was taken back while it was held: what was done since then was not protected."""

    code = "lost"


class NotPermitted(GpulockError, PermissionError):
    """The caller is not the owner, or no administrator."""

    code = "not-permitted"


class LimitExceeded(GpulockError):
    """A limit on sessions, waiting requests or buffered bytes was reached."""

    code = "limit-exceeded"


class DaemonUnavailable(GpulockError, ConnectionError):
    """No daemon answers at the socket, or the connection to it broke for good."""

    code = "daemon-unavailable"


class LeaseUnavailable(DaemonUnavailable):
    """The daemon runs, but cannot prove that the host's GPUs are its own to give."""

    code = "lease-unavailable"


class JournalUnavailable(DaemonUnavailable):
    """The daemon runs, but cannot write its journal, so it grants nothing."""

    code = "journal-unavailable"


class InternalError(GpulockError):
    """A fault of the daemon itself; its log has the rest."""

    code = "internal-error"


def _tree(root: type[GpulockError]) -> dict[str, type[GpulockError]]:
    classes = {root.code: root}
    for child in root.__subclasses__():
        classes.update(_tree(child))
    return classes


CODES: Mapping[str, type[GpulockError]] = _tree(GpulockError)
"""Every wire code and its class."""


class SoftTimeout(GpulockError):
    """The daemon asks the task to finish, and the task wanted to hear of it as an exception.

    The client makes it of a warning. No daemon answers with it, so its code is none of `CODES`.
    """

    code = "soft-timeout"


def to_wire(error: GpulockError) -> dict[str, Any]:
    """The map that stands for `error` in a response."""
    return {"code": error.wire_code, "message": error.message, "hint": error.hint, "data": error.data}


def from_wire(fault: object) -> GpulockError:
    """The exception for the `error` member of a response, whatever a peer put there."""
    if not isinstance(fault, Mapping):
        return GpulockError(f"the daemon answered with an error of unknown form: {fault!r}")
    code, hint, data = fault.get("code"), fault.get("hint"), fault.get("data")
    kind = CODES.get(code, GpulockError) if isinstance(code, str) else GpulockError
    error = kind(
        str(fault.get("message", "the daemon gave no reason")),
        hint=hint if isinstance(hint, str) else None,
        data=data if isinstance(data, Mapping) else None,
    )
    if isinstance(code, str):
        error.wire_code = code
    return error
