"""What a caller asks for, as the message that says so."""

from __future__ import annotations

from .nesting import within
from .wire import NOTIFICATIONS, Acquire, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def make(
    gpus: int | str | Sequence[int | str],
    wait_timeout: float | str | None,
    max_hold: float | str | None,
    priority: int,
    task: str,
    profile: str,
    labels: Mapping[str, str] | None,
    nested: bool,
    queued: bool,
) -> Acquire:
    """Raises `InvalidRequest` for what the daemon would refuse for its form."""
    params: dict[object, object] = {
        "gpus": [gpus] if isinstance(gpus, str) else gpus,
        "wait_timeout": wait_timeout,
        "max_hold": max_hold,
        "priority": priority,
        "task": task,
        "profile": profile,
        "labels": labels or {},
        "within": within() if nested else None,
        "notify": NOTIFICATIONS if queued else NOTIFICATIONS[1:],
    }
    return read(Acquire, params)
