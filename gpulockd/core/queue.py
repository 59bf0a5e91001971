"""Who waits, and in what order.

The order is fixed when a request arrives: its rank is its arrival, moved earlier by a head start for each step of
priority. A request of lower priority that has waited longer than that head start goes first, so priorities age
without anything ever being sorted again, and within one priority the order is strictly first come, first served.

Requests that could be granted from the same GPUs and want as many of them form one lane: while the first of a lane
cannot be granted, none behind it can. Looking for the next grant therefore looks at the heads of the lanes, of
which there are as many as different wishes, not as many as waiters.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator

from .model import Request

Rank = tuple[float, int]


def rank(arrived: float, priority: int, head_start: float, number: int) -> Rank:
    """A request's place; smaller goes first. `number` breaks ties in the order of arrival."""
    return (arrived - priority * head_start, number)


class Lane:
    """Requests with one and the same wish, best rank first; entries of those that left are dropped lazily."""

    __slots__ = ("_heap", "_waiting")

    def __init__(self) -> None:
        self._heap: list[tuple[Rank, str]] = []
        self._waiting: set[str] = set()

    def add(self, request: Request) -> None:
        self._waiting.add(request.id)
        heapq.heappush(self._heap, (request.rank, request.id))

    def remove(self, request: Request) -> None:
        self._waiting.remove(request.id)
        if len(self._heap) > 64 + 2 * len(self._waiting):
            self._heap = [entry for entry in self._heap if entry[1] in self._waiting]
            heapq.heapify(self._heap)

    def first(self) -> tuple[Rank, str] | None:
        while self._heap and self._heap[0][1] not in self._waiting:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None

    def __len__(self) -> int:
        return len(self._waiting)


class Queue:
    """Waiting requests by lane. Adding, removing and taking the first are logarithmic, amortised."""

    __slots__ = ("_lanes", "_requests", "of_user")

    def __init__(self, requests: dict[str, Request]) -> None:
        self._requests = requests
        self.of_user: Counter[int] = Counter()
        """How many wait for each uid."""
        self._lanes: dict[tuple[frozenset[str], int], Lane] = {}

    def add(self, request: Request) -> None:
        self._requests[request.id] = request
        self.of_user[request.owner.uid] += 1
        key = (request.candidates, request.wish.count)
        if (lane := self._lanes.get(key)) is None:
            lane = self._lanes[key] = Lane()
        lane.add(request)

    def remove(self, request: Request) -> None:
        del self._requests[request.id]
        uid = request.owner.uid
        self.of_user[uid] -= 1
        if not self.of_user[uid]:
            del self.of_user[uid]
        key = (request.candidates, request.wish.count)
        lane = self._lanes[key]
        lane.remove(request)
        if not lane:
            del self._lanes[key]

    def heads(self) -> Iterator[Request]:
        """The first of each lane, best rank first. Whoever looks may remove requests on the way: the next of a
        lane whose head was removed takes its turn among the others."""
        heap = [(*first, key) for key, lane in self._lanes.items() if (first := lane.first())]
        heapq.heapify(heap)
        while heap:
            _, _, key = entry = heapq.heappop(heap)
            if (request := self._requests.get(entry[1])) is not None:
                yield request
            lane = self._lanes.get(key)
            first = lane.first() if lane is not None else None
            if first is not None and first[1] != entry[1]:
                heapq.heappush(heap, (*first, key))

    def __len__(self) -> int:
        return len(self._requests)
