"""What a caller asks for, as the message that says so."""

from __future__ import annotations

from .nesting import within
from .wire import NOTIFICATIONS, Acquire, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


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
    asked: dict[object, object] = {
        "gpus": [gpus] if isinstance(gpus, str) else gpus,
        "wait_timeout": wait_timeout,
        "max_hold": max_hold,
        "priority": priority,
        "task": task,
        "profile": profile,
        "labels": labels or _DEFAULTS["labels"],
        "within": within() if nested else None,
        "notify": NOTIFICATIONS if queued else NOTIFICATIONS[1:],
    }
    # A default needs no check, and most of a wish are defaults. What only equals one, as True does 1, does need it.
    return read(Acquire, {name: value for name, value in asked.items() if value is not _DEFAULTS[name]})


_DEFAULTS: Mapping[Any, Any] = Acquire._field_defaults
