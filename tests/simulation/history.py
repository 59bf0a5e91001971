"""Judges a world's history at its end: who held what and when, by what the workers know, and who waited for whom.

Overlaps and tokens are judged by `demo.history`, which judges the histories of real processes too. What only a
simulated world can know for certain is judged here: the order in which requests reached the core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from demo.history import Hold, overlaps, tokens_given_twice, tokens_that_fell

Wish = tuple[int, tuple[str, ...]]
"""How many GPUs, and of which."""
Key = tuple[int, int]
"""A session and a message id."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request reached the core."""

    at: float
    tie: int
    """The smaller came first, of two at one moment."""
    daemon: str
    key: Key
    count: int
    candidates: tuple[str, ...]
    priority: int


@dataclass(frozen=True, slots=True)
class Granted:
    at: float
    daemon: str
    key: Key
    gpus: tuple[str, ...]
    in_service: tuple[str, ...]
    """The GPUs of which nothing but time kept anybody."""


@dataclass(frozen=True, slots=True)
class Left:
    """A request was answered, or its session has ended."""

    at: float
    daemon: str
    key: Key


@dataclass(slots=True)
class _Waiting:
    asked: Asked
    place: tuple[float, int]
    overtaken: int = 0

    @property
    def wish(self) -> Wish:
        return self.asked.count, self.asked.candidates


def out_of_turn(history: Sequence[Asked | Granted | Left], head_start: float, max_overtakes: int) -> Iterator[str]:
    """Law 8. Among equal wishes the better place goes first, always: the earlier, with `head_start` seconds for each
    step of priority. Among different ones the first of its equals is overtaken `max_overtakes` times, while waiting can
    help it."""
    waiting: dict[str, dict[Key, _Waiting]] = {}
    for entry in history:
        queue = waiting.setdefault(entry.daemon, {})
        match entry:
            case Asked():
                queue[entry.key] = _Waiting(entry, (entry.at - entry.priority * head_start, entry.tie))
            case Left():
                queue.pop(entry.key, None)
            case Granted():
                if (granted := queue.pop(entry.key, None)) is not None:
                    firsts: dict[Wish, _Waiting] = {}
                    for other in queue.values():
                        first = firsts.setdefault(other.wish, other)
                        if other.place < first.place:
                            firsts[other.wish] = other
                    for first in firsts.values():
                        if first.place < granted.place:
                            yield from _overtaken(first, granted, entry, max_overtakes)


def _overtaken(other: _Waiting, granted: _Waiting, grant: Granted, max_overtakes: int) -> Iterator[str]:
    asked = other.asked
    if other.wish == granted.wish:
        yield (
            f"{grant.daemon} granted request {grant.key} at {grant.at:.3f} before the equal one {asked.key}, which "
            f"came at {asked.at:.3f} and had the better place"
        )
    if set(asked.candidates).isdisjoint(grant.gpus):
        return
    if len(set(asked.candidates) & set(grant.in_service)) < asked.count:
        return  # mere waiting would not have helped it
    other.overtaken += 1
    # One pass over the queue may grant every GPU past a request before it is overtaken once too often.
    if other.overtaken > max_overtakes + len(asked.candidates):
        yield (
            f"{grant.daemon} let request {asked.key}, which waits since {asked.at:.3f}, be overtaken "
            f"{other.overtaken} times"
        )


def misheld(holds: Sequence[Hold], host: str) -> Iterator[str]:
    """What must not be among the locks of one host, by what its workers know."""

    def when(at: float) -> str:
        return f"{at:.3f} s on {host}"

    in_order = sorted(holds, key=lambda hold: hold.start)
    yield from overlaps(in_order, when)
    yield from tokens_that_fell(in_order, when)
    yield from tokens_given_twice(in_order, when)
