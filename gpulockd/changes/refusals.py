"""Why a change of the configuration is refused, as the errors that clients hear."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpulock.errors import BadConfiguration, ConfigurationRefused, ConfigurationUnwritable, RestartNeeded

from ..config import CANARY_SETTINGS, NEEDS_RESTART, Change, ConfigError, change_views
from .files import Unwritable


def bad(error: ConfigError) -> BadConfiguration:
    """A file that cannot be used: where it is bad, and in what."""
    problems = [
        {
            "file": each.file,
            "line": each.line,
            "column": each.column,
            "key": each.key,
            "message": each.message,
            "hint": each.hint,
        }
        for each in error.problems
    ]
    first, more = error.problems[0], len(error.problems) - 1
    return BadConfiguration(
        f"{first}{f'; and {more} more' if more else ''}",
        hint="nothing was changed; correct it, and try again",
        data={"problems": problems},
    )


def needs_restart(changed: Sequence[Change]) -> RestartNeeded:
    waiting = [each for each in changed if each.needs_restart]
    reasons = "; ".join(f"{each.key}: {NEEDS_RESTART[each.key]}" for each in waiting)
    return RestartNeeded(
        f"a running daemon cannot take over {', '.join(each.key for each in waiting)} ({reasons})",
        hint="--restart-later applies the rest now, and these with the next start",
        data={"changes": [dict(each) for each in change_views(changed)]},
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


def unwritable(error: Unwritable, path: Path) -> ConfigurationUnwritable:
    return ConfigurationUnwritable(str(error), hint=error.hint, data={"file": str(path)})
