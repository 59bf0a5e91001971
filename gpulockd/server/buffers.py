"""What the daemon keeps in memory for each user: frames that came in part, and what nobody reads.

Each connection has bounds of its own; one user may have thousands of connections. So they share one account.
"""

from __future__ import annotations

from collections import Counter


class Buffers:
    """Bytes that are kept for each uid, of at most `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: Counter[int] = Counter()

    def kept(self, uid: int) -> int:
        return self._kept[uid]

    def change(self, uid: int, before: int, after: int) -> bool:
        """A connection of `uid` that kept `before` bytes keeps `after`. Whether its user may have that many."""
        total = self._kept[uid] + after - before
        if total:
            self._kept[uid] = total
        else:
            del self._kept[uid]
        return after <= before or total <= self.limit
