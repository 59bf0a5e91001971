"""`CUDA_VISIBLE_DEVICES` and its kin in this process's own environment, for as long as a lock is held."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

Saved = dict[str, "str | None"]


def put(variables: Mapping[str, str]) -> Saved:
    """Sets them, and returns what they were."""
    saved: Saved = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    return saved


def restore(saved: Saved) -> None:
    for name, value in saved.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
