"""A configuration that nobody changes, for servers that have no daemon around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Unchanging:
    """`server.context.Changes` that answers every wish with `answer`, and keeps what was wished for in `asked`."""

    def __init__(self, answer: Mapping[str, object] | None = None) -> None:
        self.answer: Mapping[str, object] = answer or {}
        self.asked: list[tuple[Any, ...]] = []

    async def reload(self, *wish: Any, **options: Any) -> Mapping[str, object]:
        return self._note("reload", *wish, options)

    async def apply(self, *wish: Any, **options: Any) -> Mapping[str, object]:
        return self._note("apply", *wish, options)

    async def rollback(self, *wish: Any, **options: Any) -> Mapping[str, object]:
        return self._note("rollback", *wish, options)

    async def in_force(self) -> Mapping[str, object]:
        return self._note("in force")

    async def history(self, limit: int, before: int | None = None) -> Mapping[str, object]:
        return self._note("history", limit, before)

    async def version(self, number: int | None) -> Mapping[str, object]:
        return self._note("version", number)

    # And `server.context.Canary`.

    def status(self) -> Mapping[str, object]:
        return self._note("status")

    async def start(self, *wish: Any) -> Mapping[str, object]:
        return self._note("start", *wish)

    async def stage(self, *wish: Any) -> Mapping[str, object]:
        return self._note("stage", *wish)

    async def promote(self, *wish: Any) -> Mapping[str, object]:
        return self._note("promote", *wish)

    async def abort(self, *wish: Any) -> Mapping[str, object]:
        return self._note("abort", *wish)

    def turned_away(self, variant: str) -> None:
        self._note("turned away", variant)

    def _note(self, *wish: Any) -> Mapping[str, object]:
        self.asked.append(wish)
        return self.answer
