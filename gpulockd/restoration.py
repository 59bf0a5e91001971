"""What the journal has kept, held against what the kernel says of the processes in it."""

from __future__ import annotations

from collections.abc import Callable

from .core.events import Restored
from .core.model import Process
from .ports import Saved


def restored(saved: Saved, alive: Callable[[Process], bool], ended: frozenset[int]) -> Restored:
    """What the core begins with. `ended` are the sessions whose connections have ended for certain.

    Raises what `alive` does: `OSError`, where no descriptor is left to ask the kernel with.
    """
    owners = {lock.owner.process for lock in saved.locks} | {request.owner.process for request in saved.requests}
    return Restored(
        saved.locks,
        saved.quarantines,
        saved.drains,
        saved.highest_token,
        frozenset(filter(alive, owners)),
        saved.requests,
        ended,
        {gpu: frozenset(each.pid for each in filter(alive, there)) for gpu, there in saved.tenants.items()},
    )
