"""What must hold for any bytes at all. Each target raises where it does not; hypothesis and atheris call them alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgpack

from gpulock import rpc
from gpulock.errors import ProtocolError
from gpulock.extent import Extent

from .choices import Choices
from .house import House
from .messages import message, speech

LIMIT = 4096
"""A frame's, so short that a fuzzer reaches it."""
UIDS = (1000, 1001, 0)
SESSIONS = 6
FOUND = Path(__file__).with_name("found")
"""What has found a mistake once, as files; the name says in which target."""


def framing(data: bytes) -> None:
    """However a stream is cut, it gives the same messages, and never more is kept than a frame may have. What cannot be
    understood is refused, or waited for until the value is whole that it is in."""
    choices = Choices(data)
    cuts = sorted(choices.number(1 << 10) for _ in range(choices.number(6)))
    stream = choices.raw(choices.left) if choices.number(2) else b"".join(message(choices) for _ in range(32))
    messages, refused, _ = _read([stream])
    cut_messages, cut_refused, waits = _read([stream[i:j] for i, j in zip([0, *cuts], [*cuts, None], strict=True)])
    assert cut_messages == messages
    assert cut_refused == refused or (refused and waits)


def _read(pieces: list[bytes]) -> tuple[list[str], bool, bool]:
    """The messages, whether something was refused, and whether more of the last value is waited for."""
    decoder, read = rpc.Decoder(LIMIT), list[str]()
    try:
        for piece in pieces:
            for each in decoder.feed(piece):
                read.append(repr(each))
            assert decoder.pending <= LIMIT + len(piece)
    except ProtocolError:
        return read, True, False
    return read, False, decoder.pending > 0


def extent(data: bytes) -> None:
    """Where the first value ends is where MessagePack says that it does."""
    try:
        msgpack.unpackb(data, strict_map_key=False)
        ends = True
    except msgpack.ExtraData:
        ends = True
    except (ValueError, TypeError, RecursionError):
        return  # half a value, or none: `Extent` is not asked to tell these apart
    assert Extent().ends_in(bytearray(data)) is ends


def methods(data: bytes) -> None:
    """Whatever clients of several users say, die and wait for: each law holds, and each is told no nonsense."""
    asyncio.run(_play(Choices(data)))


async def _play(choices: Choices) -> None:
    house = House()
    await house.settle()
    opened = 0
    while choices.left:
        match choices.number(8):
            case 0 if opened < SESSIONS:
                opened += 1
                house.connect(opened, choices.one_of(UIDS))
            case 1 if opened:
                await house.dies(1 + choices.number(opened))
            case 2:
                await house.passes(choices.one_of((0.01, 1.0, 60.0, 4000.0)))
            case _ if opened:
                session = 1 + choices.number(opened)
                for piece in speech(choices, 1 + choices.number(4)):
                    await house.hear(session, piece)
            case _:
                opened += 1
                house.connect(opened, choices.one_of(UIDS))
    house.judge()


TARGETS: dict[str, Callable[[bytes], None]] = {"framing": framing, "extent": extent, "methods": methods}
