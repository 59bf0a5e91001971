"""`gpulock` as a program, and `python -m gpulock`."""

from __future__ import annotations

import gc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def start() -> NoReturn:
    """Runs it. Looking for garbage among what is being imported takes 2 ms of the 25 that `gpulock -- true` has."""
    gc.disable()
    from .command import run

    gc.freeze()
    gc.enable()
    run()


if __name__ == "__main__":
    start()
