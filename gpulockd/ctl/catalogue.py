"""The commands: their names, what each is for, and its file, which is imported only when it is called."""

from __future__ import annotations

from collections.abc import Mapping

COMMANDS: Mapping[str, str] = {
    "status": "the host at a glance: GPUs, holders, queue, health",
    "top": "GPUs, holders, waiters and the latest ends, live on a terminal",
    "queue": "who waits, in order",
    "why": "why a GPU is not granted, or a request or process waits",
    "describe": "everything about one GPU, lock or request",
    "events": "what happens, as it happens",
    "history": "locks that have ended, and requests that got none",
    "revoke": "take a lock back by force (administrators)",
    "drain": "grant nothing more on a GPU, or on the host (administrators)",
    "undrain": "take a drain back (administrators)",
    "config": "the daemon's settings: show, reload, change, and take back",
    "audit": "hold documents against configuration and code",
    "bench": "measure settings side by side, with real workers",
    "doctor": "check this installation, daemon up or down",
}
