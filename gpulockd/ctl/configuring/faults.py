"""What keeps a configuration from being in force, told by file, line and column."""

from __future__ import annotations

import sys

from gpulock.errors import BadConfiguration, RestartNeeded

from ..exits import exit_code
from ..render.text import printable

Faulty = (BadConfiguration, RestartNeeded)


def told(error: BadConfiguration | RestartNeeded, file: str = "") -> int:
    """Prints every problem in the words of `gpulockd --check`, and returns the exit code. `file` is what its own file
    is called by whoever asks."""
    for problem in error.data.get("problems", []):
        place = ":".join(str(part) for part in (file or problem["file"], problem["line"], problem["column"]) if part)
        key = f"{problem['key']}: " if problem["key"] else ""
        hint = f" ({problem['hint']})" if problem["hint"] else ""
        print(printable(f"{place}: {key}{problem['message']}{hint}"), file=sys.stderr)
    print(f"gpulockctl: the configuration stays as it is\n  {printable(error.hint or '')}", file=sys.stderr)
    return exit_code(error)
