"""What the laws ask of a commit, held against what was committed before: in memory, for it is asked every time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..core.model import COUNTER_BITS
from ..core.value import value
from .entries import CHANGED, ENDED, GRANTED, Entry


@value
class Ledger:
    """Who holds which GPU, and which tokens were given out. Never changed: a commit leads to another one."""

    epoch: int
    """The highest one whose tokens may be given out."""
    highest: int
    """The last token."""
    gpus_of: Mapping[int, tuple[str, ...]]
    """Those of each live lock, by its token."""
    holder_of: Mapping[str, int]
    """The same by GPU, so that nobody has to look for it."""

    @classmethod
    def of(cls, epoch: int, highest: int, gpus_of: Mapping[int, tuple[str, ...]]) -> Ledger:
        return cls(epoch, highest, gpus_of, {gpu: token for token, gpus in gpus_of.items() for gpu in gpus})

    def with_epoch(self, epoch: int) -> Ledger:
        return replace(self, epoch=max(self.epoch, epoch))

    def after(self, entries: Sequence[Entry], ended_before: Callable[[int], bool]) -> tuple[Ledger, list[Entry]]:
        """The next ledger, and those of the entries that say something new: records may be given twice.

        `ended_before` tells whether a lock of that token has ended.

        Raises `sqlite3.IntegrityError` for a second lock on a GPU, and for a token that is not above every earlier one
        or of an epoch that was not raised before.
        """
        gpus_of, holder_of, highest = dict(self.gpus_of), dict(self.holder_of), self.highest
        news: list[Entry] = []
        for entry in entries:
            kind = entry[0]
            if kind == GRANTED:
                _, token, gpus, _ = entry
                if token in gpus_of or (token <= highest and ended_before(token)):
                    continue
                self._judge(token, highest)
                for gpu in gpus:
                    if holder_of.setdefault(gpu, token) != token:
                        raise sqlite3.IntegrityError(f"a second lock on GPU {gpu}: lock_gpus.gpu is unique")
                gpus_of[token], highest = gpus, token
            elif kind == ENDED:
                if (held := gpus_of.pop(entry[1], None)) is None:
                    continue
                for gpu in held:
                    del holder_of[gpu]
            elif kind == CHANGED and entry[1] not in gpus_of:
                continue
            news.append(entry)
        return Ledger(self.epoch, highest, gpus_of, holder_of), news

    def _judge(self, token: int, highest: int) -> None:
        if token <= highest:
            raise sqlite3.IntegrityError("the token is not above every earlier one")
        if token >> COUNTER_BITS > self.epoch:
            raise sqlite3.IntegrityError("the epoch of the token was not raised before")
