"""MessagePack-RPC framing without I/O: bytes in, messages out.

The format is the one of the msgpack-rpc specification (https://github.com/msgpack-rpc/msgpack-rpc): a request
is `[0, msgid, method, params]`, a response `[1, msgid, error, result]`, a notification `[2, method, params]`.
A frame has no length header: it ends where its MessagePack value ends.
"""

from __future__ import annotations

import msgpack

from .errors import InvalidRequest, ProtocolError
from .extent import Extent
from .record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, TypeAlias

REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2
_MAX_MSGID = 2**32 - 1


class Request(NamedTuple):
    msgid: int
    method: str
    params: Mapping[Any, Any]


class Response(NamedTuple):
    msgid: int
    error: Any
    result: Any


class Notification(NamedTuple):
    method: str
    params: Mapping[Any, Any] | None
    """None: they are not named."""


class BadRequest(NamedTuple):
    """A request whose sender can still be told by number what is wrong with it."""

    msgid: int
    error: InvalidRequest


Incoming: TypeAlias = "Request | Response | Notification | BadRequest"


def request(msgid: int, method: str, params: Mapping[str, Any]) -> bytes:
    return _pack([REQUEST, msgid, method, [params] if params else []])


def response(msgid: int, error: Mapping[str, Any] | None, result: Any) -> bytes:
    return _pack([RESPONSE, msgid, error, result])


def notification(method: str, params: Mapping[str, Any]) -> bytes:
    return _pack([NOTIFICATION, method, [params] if params else []])


class Decoder:
    """Turns one connection's bytes into messages.

    Between reads it keeps only the bytes of a frame that was cut in two: a `msgpack.Unpacker` kept for each
    connection would hold some 45 KiB resident. However a stream is cut, the work is linear in its length.
    """

    __slots__ = ("_extent", "_limit", "_limits", "_rest")

    def __init__(self, limit: int) -> None:
        """`limit`: the longest frame in bytes."""
        self._limit = limit
        self._limits = _limits(limit)
        self._rest: bytes | bytearray = b""
        self._extent: Extent | None = None

    def feed(self, data: bytes) -> Iterable[Incoming]:
        """The messages that `data` completes, in order; from the second on, each is decoded when it is asked for.

        They must be run through to their end before the next `feed`. Raises `ProtocolError`, here or on the way, where
        the bytes are no MessagePack-RPC or a frame is longer than the limit; nothing can be read from the stream then.
        """
        whole: bytes | bytearray = data
        if self._extent is not None:
            self._rest += data
            if not self._reaches(self._extent):
                return ()
            whole, self._rest, self._extent = self._rest, b"", None
        # Nearly every read holds one frame, and most others two: unpackb is the cheapest way to decode so few. Whatever
        # else there may be (more frames, half a frame, garbage) is the Unpacker's.
        if 0 < len(whole) <= self._limit:
            try:
                return (_message(msgpack.unpackb(whole, **self._limits)),)
            except msgpack.ExtraData as more:
                return self._and_more(more.unpacked, more.extra)
            except _UNDECODABLE:
                pass
        return self._several(whole)

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are kept."""
        return len(self._rest)

    def _and_more(self, first: Any, data: bytes) -> Iterator[Incoming]:
        yield _message(first)
        try:
            second, data = msgpack.unpackb(data, **self._limits), b""
        except msgpack.ExtraData as more:
            second, data = more.unpacked, more.extra
        except _UNDECODABLE:
            yield from self._several(data)
            return
        yield _message(second)
        if data:
            yield from self._several(data)

    def _several(self, data: bytes | bytearray) -> Iterator[Incoming]:
        unpacker = msgpack.Unpacker(max_buffer_size=len(data), **self._limits)
        unpacker.feed(data)
        start = 0
        while start < len(data):
            try:
                value = unpacker.unpack()
            except msgpack.OutOfData:
                break
            except _UNDECODABLE as error:
                why = str(error) or type(error).__name__
                raise ProtocolError(
                    f"byte {start} begins no MessagePack value within the limits: {why}",
                    hint=f"a frame has at most {self._limit} bytes",
                ) from None
            end = unpacker.tell()
            if end - start > self._limit:
                raise self._too_long()
            start = end
            yield _message(value)
        if start < len(data):
            self._rest = bytearray(data[start:])
            self._extent = Extent()
            self._reaches(self._extent)

    def _reaches(self, extent: Extent) -> bool:
        complete = extent.ends_in(self._rest)
        if extent.least > self._limit:
            raise self._too_long()
        return complete

    def _too_long(self) -> ProtocolError:
        return ProtocolError(f"a frame is longer than {self._limit} bytes", hint="send less at once")


# What msgpack raises for bytes that are no MessagePack, and for a map whose key Python cannot hash.
_UNDECODABLE = (ValueError, TypeError, RecursionError)


_known_limits: dict[int, Mapping[str, Any]] = {}


def _limits(frame: int) -> Mapping[str, Any]:
    """Of all decoders with this limit together: each connection has one."""
    if frame not in _known_limits:
        # An array reserves its announced size at once, and may announce another one inside: hence the small ones.
        _known_limits[frame] = {
            "strict_map_key": False,
            "max_str_len": frame,
            "max_bin_len": frame,
            "max_ext_len": frame,
            "max_array_len": frame // 64,
            "max_map_len": frame // 64,
        }
    return _known_limits[frame]


# `packb` would make a packer for every message.
_pack: Callable[[list[Any]], bytes] = msgpack.Packer(buf_size=4096).pack


def _message(value: Any) -> Incoming:
    # Nearly every message is in order, and a `match` on classes is dear.
    if type(value) is list:
        if len(value) == 4 and type(value[1]) is int:
            kind, msgid, third, last = value
            if kind == RESPONSE:
                return Response(msgid, third, last)
            if kind == REQUEST and 0 <= msgid <= _MAX_MSGID and type(third) is str and type(last) is list:
                return _request(msgid, third, last)
        elif len(value) == 3 and value[0] == NOTIFICATION and type(value[1]) is str and type(value[2]) is list:
            return Notification(value[1], _named(value[2]))
    match value:
        case [0, int(msgid), str() | bytes() as method, list(params)] if 0 <= msgid <= _MAX_MSGID:
            return _request(msgid, _name(method), params)
        case [1, int(msgid), error, result]:
            return Response(msgid, error, result)
        case [2, str() | bytes() as method, list(params)]:
            return Notification(_name(method), _named(params))
        case [0, int(msgid), *_] if 0 <= msgid <= _MAX_MSGID:
            return BadRequest(msgid, InvalidRequest("a request is [0, msgid, method, params]", hint=PARAMS))
    raise ProtocolError("a message of unknown form", hint="a message is an array [0, msgid, method, params]")


PARAMS = "params is an array that holds one map of named parameters, or nothing"


def _name(method: str | bytes) -> str:
    """Neovim's clients send some names as binaries."""
    return method if isinstance(method, str) else method.decode("utf-8", "replace")


def _request(msgid: int, method: str, params: list[Any]) -> Request | BadRequest:
    if len(params) == 1 and type(params[0]) is dict:
        return Request(msgid, method, params[0])
    if params:
        return BadRequest(msgid, InvalidRequest(f"the parameters of {method!r} are not named", hint=PARAMS))
    return Request(msgid, method, {})


def _named(params: list[Any]) -> Mapping[Any, Any] | None:
    if not params:
        return {}
    if len(params) == 1 and isinstance(params[0], dict):
        return params[0]
    return None
