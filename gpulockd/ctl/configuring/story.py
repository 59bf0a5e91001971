"""The history of the configuration as the daemon tells it: page by page, for it is as long as the daemon is old."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gpulock

_PAGE = 500
"""Entries that are asked for at once."""


def entries(client: gpulock.Client) -> Iterator[Any]:
    """Every `gpulock.configuration.ConfigEntryView`, the latest first, asked for as they are taken."""
    page = client.call("config_history", limit=_PAGE)
    yield from page["entries"]
    while page["earlier"] is not None:
        page = client.call("config_history", limit=_PAGE, before=page["earlier"])
        yield from page["entries"]


def document(client: gpulock.Client, limit: int) -> Any:
    """The last `limit` entries, as one `gpulock.configuration.ConfigHistoryDocument`."""
    whole = client.call("config_history", limit=min(limit, _PAGE))
    while len(whole["entries"]) < limit and whole["earlier"] is not None:
        wanted = min(limit - len(whole["entries"]), _PAGE)
        page = client.call("config_history", limit=wanted, before=whole["earlier"])
        whole = {**page, "entries": [*whole["entries"], *page["entries"]]}
    return whole
