"""Whoever looks on is in nobody's way: grants go on beside scrapers and pages that ask and never read."""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.request
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.ports import free_port

HOST = b"Host: localhost\r\n\r\n"
STUCK = {
    "asks a thousand times and never reads": b"GET /metrics HTTP/1.1\r\n" + HOST,
    "opens the status page's stream and never reads": b"GET /api/v1/board HTTP/1.1\r\n" + HOST,
    "has not finished its question": b"GET /metrics HT",
}
OF_EACH = 30
GRANTS = 200
PROMPT = 2.0
"""Seconds: a thousand times what a grant takes, for a machine that does other things too."""


def stuck(port: int, question: bytes) -> socket.socket:
    """A client that has a buffer of its own for next to nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.sendall(question * (1000 if b"/metrics HTTP/" in question else 1))
    return client


def test_who_is_stuck_delays_no_grant(tmp_path: Path) -> None:
    port = free_port()
    with Daemon(tmp_path, simulate=1, settings={"http.port": port}) as daemon, contextlib.ExitStack() as stack:
        for question in STUCK.values():
            for _ in range(OF_EACH):
                stack.enter_context(stuck(port, question))
        slowest = 0.0
        with Frames(daemon.socket) as frames:
            for _ in range(GRANTS):
                began = time.monotonic()
                frames.call("acquire", task="ocr")
                slowest = max(slowest, time.monotonic() - began)
                frames.call("release")
        assert slowest < PROMPT
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert b"gpu_lock_acquisitions_total" in answer.read()
        assert daemon.stop() == 0, "and they do not keep it from stopping"
