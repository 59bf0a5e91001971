"""Signals for `gpulock`: they interrupt the wait, and are passed on to the command once it runs."""

from __future__ import annotations

import os

from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
PASSED_ON = (*ENDING, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGWINCH)


class Interrupted(BaseException):
    """A signal that ends the wait."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def interrupt_on_signals() -> None:
    """From here on each of `ENDING` raises `Interrupted`, but for those that this process was told to ignore."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


class Mailbox:
    """From here on signals lie in a pipe until they are taken: the loop that polls it does what they ask for."""

    def __init__(self) -> None:
        self._taken, self._put = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._put, warn_on_full_buffer=False)
        for number in (*PASSED_ON, signal.SIGCHLD):
            if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGCHLD:
                signal.signal(number, _take_note)

    def fileno(self) -> int:
        return self._taken

    def take(self) -> list[int]:
        """The signals that have come, in order."""
        try:
            return list(os.read(self._taken, 4096))
        except BlockingIOError:
            return []


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


def _take_note(_number: int, _frame: FrameType | None) -> None:
    """The wakeup descriptor has the number already; but without a handler it would not be written to."""
