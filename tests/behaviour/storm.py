"""Workers that take locks and give them back while their daemon is stopped and killed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.support.waiting import PATIENCE, wait_until


class Storm:
    """Threads that are at work for as long as it lasts."""

    def __init__(self, works: list[Callable[[], object]]) -> None:
        """Each of `works` goes on until it is `over`."""
        self.over = threading.Event()
        self.grants = 0
        self.mutex = threading.Lock()
        self._holders: dict[int, object] = {}
        self._pool = ThreadPoolExecutor(len(works))
        self._ends = [self._pool.submit(work) for work in works]

    @contextmanager
    def holding(self, gpu: int, holder: object) -> Iterator[None]:
        """The GPU was granted to `holder`, who lets go of it with the end of the block."""
        with self.mutex:
            assert gpu not in self._holders, f"{holder} was granted GPU {gpu}, which {self._holders[gpu]} has"
            self._holders[gpu] = holder
            self.grants += 1
        yield
        with self.mutex:
            del self._holders[gpu]

    def go_on(self, grants: int) -> None:
        """Lets so many locks be granted."""
        before = self.grants
        wait_until(lambda: self.grants >= before + grants or any(end.done() for end in self._ends), "locks are granted")

    def end(self) -> None:
        """Raises what went wrong for any of them, or that one waits still."""
        self.over.set()
        for end in self._ends:
            end.result(PATIENCE)
        self._pool.shutdown()
