"""A store that several hosts share, in memory: the promises of `ports.SharedCanary`, and faults at will."""

from __future__ import annotations

from gpulockd.ports import Standing, Unavailable


class Shared:
    """What stands in it is the same for everybody who has it."""

    def __init__(self) -> None:
        self.stands: tuple[int, str, bytes, float] | None = None
        self.away = False

    async def put(self, change: str, based_on: int, document: bytes, lasts: float, endless: bool) -> Standing:
        self._reach()
        if self.stands is not None and (self.stands[1] == change or self.stands[0] > based_on):
            revision, stored, kept, left = self.stands
            return Standing(kept, revision, left, ours=stored == change)
        revision = max(self.stands[0] if self.stands else 0, based_on) + 1
        self.stands = (revision, change, document, float("inf") if endless else lasts)
        return Standing(document, revision, self.stands[3], ours=True)

    async def standing(self) -> Standing | None:
        self._reach()
        if self.stands is None:
            return None
        revision, _, document, left = self.stands
        return Standing(document, revision, left)

    @property
    def revision(self) -> int:
        """What a heartbeat would tell."""
        return self.stands[0] if self.stands else 0

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("nobody answers", "timeout")
