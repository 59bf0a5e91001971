"""Any MessagePack-RPC client can speak to the daemon: Neovim's does, unmodified.

It runs in a process of its own, as it would: its event loop leaves sockets for the garbage collector to complain of.
"""

from __future__ import annotations

import json
import sys
import textwrap
from typing import Any

import pytest

from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

PRELUDE = """
import json, os
from pynvim.msgpack_rpc import socket_session

class Answered(Exception):
    pass

session = socket_session(os.environ["GPULOCK_SOCKET"])
session.error_wrapper = Answered
seen = {}
"""
CODA = "\nprint(json.dumps(seen))\n"


def seen_by(daemon: Daemon, program: str) -> dict[str, Any]:
    """What a program that talks through pynvim has put into `seen`."""
    process = processes.start(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program) + CODA],
        environment={"GPULOCK_SOCKET": daemon.socket},
    )
    try:
        output, errors = process.communicate(timeout=60)
    finally:
        processes.end(process)
    assert process.returncode == 0, errors
    seen: dict[str, Any] = json.loads(output)
    return seen


def test_status_acquire_and_release(daemon: Daemon) -> None:
    seen = seen_by(
        daemon,
        """
        seen["before"] = session.request("status")
        seen["granted"] = session.request("acquire", {"gpus": 2, "task": "editing", "wait_timeout": "10s"})
        seen["held"] = session.request("status")["locks"]
        seen["released"] = session.request("release", {"lock": seen["granted"]["lock"]})
        seen["after"] = session.request("status")["locks"]
        """,
    )
    assert [gpu["state"] for gpu in seen["before"]["gpus"]] == ["free"] * 3
    assert len(seen["granted"]["gpus"]) == 2
    assert [(lock["id"], lock["task"]) for lock in seen["held"]] == [(seen["granted"]["lock"], "editing")]
    assert seen["released"]["held"] is False
    assert seen["after"] == []


def test_errors_are_answers(daemon: Daemon) -> None:
    seen = seen_by(
        daemon,
        """
        for name, method, *params in [("gpus", "acquire", {"gpus": 99}), ("method", "dance"), ("form", "status", 1)]:
            try:
                session.request(method, *params)
            except Answered as error:
                seen[name] = error.args[0]["code"]
        seen["queue"] = session.request("queue")["queue"]
        """,
    )
    assert seen == {"gpus": "unsatisfiable", "method": "unknown-method", "form": "invalid-request", "queue": []}


def test_notifications(daemon: Daemon) -> None:
    """Its own first one, with its version, is answered by one that is called `error`; it takes no harm."""
    seen = seen_by(
        daemon,
        """
        other = socket_session(os.environ["GPULOCK_SOCKET"])
        seen["lock"] = session.request("acquire", {"notify": ["lost"]})["lock"]
        other.request("revoke", {"subject": seen["lock"], "reason": "maintenance"})
        while (message := session.next_message())[1] == "error":
            pass
        seen["message"] = message[1:3]
        session.request("release")
        """,
    )
    name, [params] = seen["message"]
    assert (name, params["lock"], params["note"]) == ("lost", seen["lock"], "maintenance")


def test_the_end_of_the_connection_is_the_release(daemon: Daemon) -> None:
    seen = seen_by(daemon, 'seen["lock"] = session.request("acquire")["lock"]')
    assert seen["lock"]
    wait_until(lambda: not daemon.status()["locks"], "the lock is free")
