"""What a client is told of its mistakes, and of the daemon's: each says what was wrong and what to do."""

from __future__ import annotations

from difflib import get_close_matches

from gpulock import rpc, wire
from gpulock.errors import (
    GpulockError,
    InternalError,
    InvalidRequest,
    LimitExceeded,
    NotPermitted,
    ProtocolError,
    UnknownMethod,
    to_wire,
)

from ..core.model import Owner
from .methods import METHODS, Access

MIB = 2**20
_LONGEST = 2 * max(map(len, METHODS))
"""Characters of a method's name that are looked at and shown: a client may send as many as a frame holds."""
_FORM = "a request is [0, msgid, method, params]"


def frame(error: GpulockError) -> bytes:
    """A notification `error`, for what belongs to no request."""
    return rpc.notification("error", to_wire(error))


def unknown_method(name: str) -> UnknownMethod:
    near = get_close_matches(name, METHODS, n=1) if len(name) <= _LONGEST else []
    shown = name if len(name) <= _LONGEST else name[:_LONGEST] + "..."
    hint = f"did you mean {near[0]!r}?" if near else f"methods: {', '.join(METHODS)}"
    return UnknownMethod(f"there is no method {shown!r}", hint=hint)


def duplicate(msgid: int) -> InvalidRequest:
    return InvalidRequest(
        f"message id {msgid} belongs to a request that is not answered yet",
        hint="give every request its own message id",
    )


def too_deep() -> InvalidRequest:
    return InvalidRequest("the parameters are nested too deeply")


def no_reply(method: str) -> InvalidRequest:
    return InvalidRequest(
        f"{method[:_LONGEST]!r} came as a notification and was not carried out", hint=f"send it as a request: {_FORM}"
    )


def unnamed(method: str) -> InvalidRequest:
    return InvalidRequest(f"the parameters of {method!r} are not named", hint=rpc.PARAMS)


def unasked() -> ProtocolError:
    return ProtocolError("a response, and the daemon had asked nothing", hint=_FORM)


def not_permitted(name: str, owner: Owner) -> NotPermitted:
    return NotPermitted(
        f"{name} is for administrators, and {owner.user or 'the caller'} (uid {owner.uid}) is none",
        hint="run it as root, or have the user added to daemon.admins",
        data={"method": name, "needs": Access.ADMINISTRATOR.value, "uid": owner.uid},
    )


def too_long(size: int) -> LimitExceeded:
    return LimitExceeded(f"the answer has {size} bytes, and a client reads {wire.MAX_REPLY_BYTES}")


def overdrawn(uid: int, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"more than {limit // MIB} MiB would be kept for uid {uid}, in frames cut in two and in what is not read",
        hint="read what the daemon sends, or raise daemon.max_buffered_mib_per_user",
    )


def internal() -> InternalError:
    return InternalError("the daemon made a mistake", hint="its log has the rest")
