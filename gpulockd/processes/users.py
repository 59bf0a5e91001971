"""Names of users, remembered for a while: a lookup may ask a directory server."""

from __future__ import annotations

import pwd

from ..ports import Clock

FOUND_SECONDS = 600.0
MISSED_SECONDS = 30.0


class Users:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._names: dict[int, tuple[str, float]] = {}

    def name(self, uid: int) -> str:
        """The number itself where nobody has it."""
        now = self._clock.now()
        known = self._names.get(uid)
        if known is not None and now < known[1]:
            return known[0]
        try:
            name, until = pwd.getpwuid(uid).pw_name, now + FOUND_SECONDS
        except KeyError:
            name, until = str(uid), now + MISSED_SECONDS
        self._names[uid] = (name, until)
        return name
