"""A journal in a directory of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from gpulockd.journal import Bounds, SqliteJournal
from tests.support.clock import SetClock

from .samples import EPOCH

OpenJournal = Callable[..., SqliteJournal]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def open_journal(state_dir: Path, clock: SetClock) -> Iterator[OpenJournal]:
    """Opens the journal of this test's state directory, as each start of a daemon does; close it before the next."""
    with ExitStack() as opened:

        def open_it(*bounds: Bounds) -> SqliteJournal:
            return opened.enter_context(closing(SqliteJournal(state_dir, clock, *bounds)))

        yield open_it


@pytest.fixture
def journal(open_journal: OpenJournal) -> SqliteJournal:
    opened = open_journal()
    opened.raise_epoch(EPOCH)
    return opened
