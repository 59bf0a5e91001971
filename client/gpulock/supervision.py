"""Keeps a command and its lock together: one ends with the other."""

from __future__ import annotations

import os
import select

from .clock import now
from .lean import signal
from .notices import Hastened, Loss, Warned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connection import Connection
    from .group import Group
    from .options import Reminder
    from .signals import Mailbox
    from .terminal import Terminal

LET_GO_WITHIN = 10.0
"""Seconds between SIGTERM and SIGKILL where the daemon set no deadline."""
STRAGGLERS = 0.25
"""Seconds between looks at a group whose command has ended: no signal tells when its last member has left it for
another group, as daemons do."""
LONGEST_SLEEP = 86400.0
"""Seconds; poll(2) takes less than 25 days."""
_STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class Supervision:
    """The loop of `gpulock` while its command runs."""

    def __init__(
        self,
        group: Group,
        connection: Connection,
        mailbox: Mailbox,
        terminal: Terminal,
        reminder: Reminder | None,
        remind_at: float | None,
    ) -> None:
        self._group = group
        self._connection = connection
        self._mailbox = mailbox
        self._terminal = terminal
        self._reminder = reminder
        """None: there is none to send, or none any more."""
        self._remind_at = remind_at
        self._loss: Loss | None = None
        self._kill_at: float | None = None

    def run(self) -> Loss | None:
        """Returns when the group has ended: why the lock was lost, or None."""
        while True:
            stopped = self._group.reap()
            if not self._group.lives():
                return self._loss
            if stopped in _STOPS and self._terminal:
                self._stop(stopped)
            self._wait()
            for number in self._mailbox.take():
                if number != signal.SIGCHLD:
                    self._pass_on(number)
            self._attend()
            if self._remind_at is not None and now() >= self._remind_at:
                self._remind()
            if self._kill_at is not None and now() >= self._kill_at:
                self._kill_at = None
                self._group.send(signal.SIGKILL)

    def _wait(self) -> None:
        """Until there is something to do."""
        poll = select.poll()
        poll.register(self._mailbox.fileno(), select.POLLIN)
        if (fd := self._connection.fileno()) >= 0:
            poll.register(fd, select.POLLIN)
        planned = (self._connection.retry_at, self._remind_at, self._kill_at)
        moments = [moment for moment in planned if moment is not None]
        if self._group.status is not None:
            moments.append(now() + STRAGGLERS)
        poll.poll(min(max(0.0, min(moments) - now()), LONGEST_SLEEP) * 1000 + 1 if moments else None)

    def _attend(self) -> None:
        connection = self._connection
        if connection.session.phase != "held":
            return
        if connection.retry_at is None or connection.link is not None or now() >= connection.retry_at:
            connection.attend()
        for notice in connection.take_notices():
            if isinstance(notice, Loss):
                self._end(notice)
            elif isinstance(notice, Warned) and notice.level == "soft":
                if self._reminder is not None and self._reminder.before is None:
                    self._remind()
            elif isinstance(notice, Hastened) and self._kill_at is not None:
                self._kill_at = min(self._kill_at, _last_moment(notice.deadline))

    def _remind(self) -> None:
        """Tells the group, once, that the lock comes to its end; a daemon that was restarted asks again."""
        if self._reminder is not None:
            self._group.send(self._reminder.number)
        self._reminder = self._remind_at = None

    def _end(self, loss: Loss) -> None:
        """The lock is lost: asks the group to end, and sees to it before the daemon does."""
        self._loss = loss
        self._reminder = self._remind_at = None
        if self._connection.session.phase == "lost":
            self._connection.close()
        self._kill_at = _last_moment(loss.deadline)
        self._group.send(signal.SIGTERM)
        self._group.send(signal.SIGCONT)  # one that is stopped could not hear the other

    def _pass_on(self, number: int) -> None:
        if number == signal.SIGCONT and self._terminal.is_ours():
            self._terminal.give(self._group.pid)
        self._group.send(number)

    def _stop(self, number: int) -> None:
        """Ctrl-Z: whoever started `gpulock` has the terminal again, and sees it stopped like the command.

        What follows happens when that shell says `fg` or `bg`, or at once where there is no such shell. So it does
        where the command was stopped for using a terminal that is ours to give: a shell that brings a running job
        to the foreground does not say so.
        """
        if number == signal.SIGTSTP or not self._terminal.is_ours():
            self._terminal.take_back(self._group.pid)
            os.killpg(os.getpgrp(), signal.SIGTSTP)
        self._pass_on(signal.SIGCONT)


def _last_moment(deadline: float | None) -> float:
    """When to kill what has to be over `deadline` seconds from now, and a little before."""
    time_left = LET_GO_WITHIN if deadline is None else deadline
    return now() + max(time_left - 1.0, time_left / 2)
