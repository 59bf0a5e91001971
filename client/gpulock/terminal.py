"""The controlling terminal, and which process group has it."""

from __future__ import annotations

import os


class Terminal:
    """Whoever has it in the foreground gets its keys: Ctrl-C, Ctrl-Z and all input."""

    def __init__(self) -> None:
        try:
            self._fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # started without one: by cron, by systemd, by a worker
            self._fd = -1

    def __bool__(self) -> bool:
        return self._fd >= 0

    def is_ours(self) -> bool:
        """Whether this process group has it."""
        return self._foreground() == os.getpgrp()

    def give(self, group: int) -> None:
        """Puts `group` into the foreground. SIGTTOU must be ignored, here and for `take_back`."""
        if self._fd >= 0:
            try:
                os.tcsetpgrp(self._fd, group)
            except OSError:
                return  # the group has ended, or the terminal was hung up: then nobody wants it

    def take_back(self, group: int) -> None:
        """Takes it from `group`, if that has it."""
        if self._foreground() == group:
            self.give(os.getpgrp())

    def _foreground(self) -> int:
        try:
            return os.tcgetpgrp(self._fd) if self._fd >= 0 else -1
        except OSError:
            return -1
