"""What happened, as fields of the systemd journal: `journalctl LOCK_ID=L3-17`, `journalctl GPU_INDEX=0`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

from ..core.actions import Announce

NAMES = {
    "lock": "LOCK_ID",
    "request": "REQUEST_ID",
    "gpu": "GPU_UUID",
    "gpus": "GPU_UUID",
    "pid": "OBJECT_PID",
    "pids": "CULPRIT_PID",
}
"""What an announcement calls it, and the journal. Everything else has its own name, in capitals."""
KINDS = uuid.UUID("8b0a6d0e-3c9f-5f57-9a4b-2f6f1d6f9a51")
"""The namespace of the ids of messages, which are never to change."""

IndexOf = Callable[[str], int | None]


def message_id(kind: str) -> str:
    """The journal's MESSAGE_ID of all events of a kind."""
    return uuid.uuid5(KINDS, kind).hex


def fields_of(announce: Announce, index_of: IndexOf) -> Iterator[tuple[str, str]]:
    """`index_of` tells a GPU's index by its UUID; people know it by that."""
    yield "EVENT", announce.kind
    yield "MESSAGE_ID", message_id(announce.kind)
    for key, value in announce.data.items():
        name = NAMES.get(key, key.upper().replace("-", "_"))
        for each in value if isinstance(value, list | tuple) else (value,):
            if each is None or each == "":
                continue
            yield name, f"{each:.3f}" if isinstance(each, float) else str(each)
            if name == "GPU_UUID" and (index := index_of(str(each))) is not None:
                yield "GPU_INDEX", str(index)
