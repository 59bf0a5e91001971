"""Going on with a connection of which a killed daemon may have read something that nobody knows.

Its client is told so, and says `hello` and everything else that it has had no answer to once more, after a marker. What
comes before the marker was meant for the daemon before, and may begin in the middle of a frame: it is passed over.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from gpulock import rpc, wire


class PassingOver(rpc.Decoder):
    """Decodes what comes after the marker that `asking` is to bring back."""

    __slots__ = ("_marker", "_seen", "asking")

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        marker = secrets.token_hex(16)
        self.asking = rpc.notification(wire.RESUME, {"marker": marker})
        """What the client is to be told."""
        self._marker: bytes | None = marker.encode()
        self._seen = b""
        """The end of what has come: the marker may have begun."""

    def feed(self, data: bytes) -> Iterable[rpc.Incoming]:
        if self._marker is not None:
            self._seen += data
            end = self._seen.find(self._marker) + len(self._marker)
            if end < len(self._marker):
                self._seen = self._seen[1 - len(self._marker) :]
                return ()
            data, self._seen, self._marker = self._seen[end:], b"", None
        return super().feed(data)

    @property
    def waiting(self) -> bool:
        """Whether the marker has not come yet."""
        return self._marker is not None

    @property
    def pending(self) -> int:
        """While it is waiting, something is always to come."""
        return super().pending if self._marker is None else len(self._marker)
