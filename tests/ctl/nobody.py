"""Questions asked by an ordinary user: for tests that run as root."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import TypeVar

NOBODY = 65534
Result = TypeVar("Result")


def as_nobody(question: Callable[[], Result], groups: tuple[int, ...] = ()) -> Result:
    """What `question` answers in a process of an ordinary user."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.setgroups(groups)
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        with os.fdopen(write, "wb") as answer:
            pickle.dump(question(), answer)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        result: Result = pickle.load(answer)
    assert os.waitpid(child, 0)[1] == 0
    return result
