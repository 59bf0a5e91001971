"""Why a change of the configuration is refused, as the errors that clients hear."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from gpulock.errors import BadConfiguration, ConfigurationRefused, ConfigurationUnwritable, RestartNeeded

from ..config import CANARY_SETTINGS, Change, ConfigError, Problem, change_views
from .files import Unwritable

RESTART = "systemctl restart gpulockd, which keeps every lock, place in the queue and connection"
"""What takes over the rest."""


def bad(error: ConfigError) -> BadConfiguration:
    """A file that cannot be used: where it is bad, and in what."""
    first, more = error.problems[0], len(error.problems) - 1
    return BadConfiguration(
        f"{first}{f'; and {more} more' if more else ''}",
        hint="nothing was changed; correct it, and try again",
        data={"problems": [dataclasses.asdict(each) for each in error.problems]},
    )


def needs_restart(problems: Sequence[Problem], changed: Sequence[Change], way_out: str) -> RestartNeeded:
    """`way_out` is what somebody does who wants it all the same."""
    return RestartNeeded(
        "; ".join(str(each) for each in problems),
        hint=f"nothing was changed; {way_out}; or take this out of the file",
        data={
            "problems": [dataclasses.asdict(each) for each in problems],
            "changes": [dict(each) for each in change_views(changed)],
        },
    )


def not_for_a_canary(keys: Sequence[str]) -> ConfigurationRefused:
    return ConfigurationRefused(
        f"a canary can try only what acts on single requests, and the candidate changes {', '.join(keys)}",
        hint=f"it may change {', '.join(CANARY_SETTINGS)} and profiles",
        data={"settings": list(keys)},
    )


def unkept(error: OSError) -> ConfigurationUnwritable:
    return ConfigurationUnwritable(
        f"the state directory cannot be written: {error.strerror or error}",
        hint="make room in daemon.state_dir; nothing was changed",
    )


def unreadable(error: OSError) -> ConfigurationRefused:
    return ConfigurationRefused(
        f"the history of configurations cannot be read: {error.strerror or error}",
        hint="look at daemon.state_dir: df, dmesg",
    )


def unwritable(error: Unwritable, path: Path) -> ConfigurationUnwritable:
    return ConfigurationUnwritable(str(error), hint=error.hint, data={"file": str(path)})
