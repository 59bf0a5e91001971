"""`docs/protocol.md`: every conversation in it is held with a running daemon, and its tables are those of the code.

What the daemon answers there has the form that the client's library promises to programs.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest

from gpulock import configuration, documents, wire
from gpulock.errors import CODES
from gpulockd.server.methods import METHODS, Access
from tests.support.daemon import Daemon
from tests.support.shape import misfits
from tests.support.waiting import wait_until

from .markdown import ROOT, Block, blocks, names, table

DOCUMENT = ROOT / "docs" / "protocol.md"
CONVERSATIONS = blocks(DOCUMENT, "conversation")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("d")
    file = directory / "config.yml"
    file.write_text("{}\n")
    with Daemon(directory, simulate=2, arguments=("--config", str(file))) as daemon:
        yield daemon


FORMS: Mapping[str, object] = {
    "hello": documents.HelloAnswer,
    "acquire": documents.Grant,
    "status": documents.StatusDocument,
    "queue": documents.QueueDocument,
    "why": documents.WhyDocument,
    "describe": documents.DescribeDocument,
    "history": documents.HistoryDocument,
    "config": configuration.ConfigDocument,
    "reload": configuration.ChangeDocument,
    "config_apply": configuration.ChangeDocument,
    "config_rollback": configuration.ChangeDocument,
    "config_history": configuration.ConfigHistoryDocument,
    "config_version": configuration.ConfigVersionDocument,
    "canary": configuration.CanaryDocument,
    "canary_start": configuration.CanaryDocument,
    "canary_stage": configuration.CanaryDocument,
    "canary_promote": configuration.CanaryDocument,
    "canary_abort": configuration.CanaryDocument,
}
"""The forms of the answers that have one. All others stand in the conversations field by field."""
FORMLESS = {"cancel", "release", "extend", "beat", "watch", "revoke", "drain", "undrain"}
"""They answer a few fields about what was named."""


class Peer:
    """One side of a conversation: raw bytes, and whatever msgpack makes of them."""

    def __init__(self, path: Path | str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(path))
        self._unpacker = msgpack.Unpacker()
        self._asked: dict[int, str] = {}

    def say(self, message: Any) -> None:
        if message[0] == 0:
            self._asked[message[1]] = message[2]
        self._socket.sendall(msgpack.packb(message))

    def hear(self) -> Any:
        while True:
            for message in self._unpacker:
                return message
            data = self._socket.recv(65536)
            assert data, "the daemon closed the connection"
            self._unpacker.feed(data)

    def out_of_form(self, message: Any) -> list[str]:
        """Where what was heard does not have the form that `gpulock` promises."""
        if message[0] == 2:
            return misfits(message[2][0], documents.EventView) if message[1] == "event" else []
        method = self._asked[message[1]]
        return misfits(message[3], FORMS[method]) if message[2] is None and method in FORMS else []

    def close(self) -> None:
        self._socket.close()


def fits(value: Any, written: Any, bound: dict[str, Any]) -> bool:
    """Whether `value` is what is written, where `<name>` is anything, but the same thing each time."""
    if isinstance(written, str) and written.startswith("<") and written.endswith(">"):
        return bool(bound.setdefault(written, value) == value)
    if isinstance(written, dict):
        same = isinstance(value, dict) and value.keys() == written.keys()
        return same and all(fits(value[key], each, bound) for key, each in written.items())
    if isinstance(written, list):
        same = isinstance(value, list) and len(value) == len(written)
        return same and all(fits(item, each, bound) for item, each in zip(value, written, strict=True))
    return type(value) is type(written) and value == written


def filled_in(written: Any, bound: dict[str, Any]) -> Any:
    """What to say: `<name>` is what it was bound to before."""
    if isinstance(written, str) and written in bound:
        return bound[written]
    if isinstance(written, dict):
        return {key: filled_in(each, bound) for key, each in written.items()}
    if isinstance(written, list):
        return [filled_in(each, bound) for each in written]
    return written


def idle(daemon: Daemon) -> bool:
    return all(gpu["state"] == "free" for gpu in daemon.status()["gpus"])


@pytest.mark.parametrize("block", CONVERSATIONS, ids=lambda block: f"line-{block.line}")
def test_the_conversation_goes_as_it_is_written(daemon: Daemon, block: Block) -> None:
    wait_until(lambda: idle(daemon), "the conversation before has left no lock")
    peers: dict[str, Peer] = {}
    bound: dict[str, Any] = {}
    try:
        for number, line in enumerate(block.content.splitlines(), block.line + 1):
            speaker, written = line.split(" ", 1)
            name, direction, message = speaker[:-2], speaker[-2:], json.loads(written)
            peer = peers.get(name) or peers.setdefault(name, Peer(daemon.socket))
            if direction == "->":
                peer.say(filled_in(message, bound))
            else:
                heard = peer.hear()
                assert fits(heard, message, bound), f"{DOCUMENT.name}:{number}: the daemon said {heard}"
                assert peer.out_of_form(heard) == [], f"{DOCUMENT.name}:{number}"
    finally:
        for peer in peers.values():
            peer.close()


def test_there_are_conversations() -> None:
    messages = [
        json.loads(line.split(" ", 1)[1])
        for block in CONVERSATIONS
        for line in block.content.splitlines()
        if "->" in line.split(" ", 1)[0]
    ]
    assert {message[2] for message in messages if message[0] == 0} >= set(wire.METHODS)
    assert {message[1] for message in messages if message[0] == 2} == {"release"}


def test_every_answer_that_says_more_than_a_few_fields_has_a_form() -> None:
    assert set(wire.METHODS) == FORMS.keys() | FORMLESS


def test_every_error_code_is_listed() -> None:
    assert {names(row[0])[0] for row in table(DOCUMENT, "code").rows} == set(CODES)


def test_every_method_is_listed_with_its_parameters_and_who_may() -> None:
    listed = {names(row[0])[0]: row for row in table(DOCUMENT, "method").rows}
    assert set(listed) == set(wire.METHODS)
    for name, kind in wire.METHODS.items():
        assert names(listed[name][2]) == list(kind._fields), name
        admins = METHODS[name].access is Access.ADMINISTRATOR
        assert listed[name][1].startswith("administrators" if admins else "anyone"), name


def test_the_limits_are_those_of_the_code() -> None:
    for row in table(DOCUMENT, "limit").rows:
        (constant,) = names(row[0])
        assert int(row[1].split()[0]) == getattr(wire, constant)


def test_every_notification_is_listed() -> None:
    listed = {names(row[0])[0] for row in table(DOCUMENT, "notification").rows}
    assert listed == {"queued", "warning", "lost", "event", "error", wire.RELEASE_FAILED, wire.RESUME}
