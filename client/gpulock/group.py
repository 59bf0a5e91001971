"""The process group of a command: started under a lock, and over when its last member has ended."""

from __future__ import annotations

import os

from . import kernel
from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .terminal import Terminal

# What Python changes at its start, and a command must not inherit; and what the supervisor ignores itself.
_DEFAULT_AGAIN = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTOU)


class CannotRun(Exception):
    """The command cannot be run: why, and the exit status that shells give that."""

    def __init__(self, command: str, error: OSError) -> None:
        super().__init__(f"{command}: {error.strerror}")
        self.status = 127 if isinstance(error, (FileNotFoundError, NotADirectoryError)) else 126


def find(command: str, environ: Mapping[str, str]) -> str:
    """The program file that `command` names, looked for in `$PATH` as exec does. Raises `CannotRun`."""
    candidates = [command] if "/" in command else [os.path.join(d, command) for d in os.get_exec_path(dict(environ))]
    there = [path for path in candidates if os.path.isfile(path)]
    for path in there:
        if os.access(path, os.X_OK):
            return path
    missing = PermissionError(0, "it is not executable") if there else FileNotFoundError(0, "command not found")
    raise CannotRun(command, missing)


class Group:
    """A running command, and what it has started in its process group.

    Only what stays in the group counts: a daemon that the command puts into a session of its own does not.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        """The command's exit status as a shell tells it; None while it runs."""

    @classmethod
    def start(cls, path: str, command: tuple[str, ...], environ: Mapping[str, str], terminal: Terminal) -> Group:
        """Runs the command in a process group of its own, in the terminal's foreground if this one was there.

        Raises `CannotRun`. SIGKILL for this process is SIGKILL for the command.
        """
        kernel.adopt_orphans()
        foreground = terminal.is_ours()
        told, tell = os.pipe()  # closed by a successful exec, or told the error of one that failed
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                os.setpgid(0, 0)
                if foreground:
                    terminal.give(os.getpid())
                _reset_signals()
                kernel.die_with_parent(parent)
                os.execve(path, command, environ)
            except OSError as error:
                os.write(tell, str(error.errno).encode())
            finally:
                os._exit(127)  # exec has not returned, so this is no success
        os.close(tell)
        with open(told, "rb") as answer:
            failure = answer.read()
        if failure:
            os.waitpid(pid, 0)
            terminal.take_back(pid)
            number = int(failure)
            raise CannotRun(command[0], OSError(number, os.strerror(number)))
        return cls(pid)

    def send(self, number: int) -> None:
        """A signal for every member."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # none is left, or none that may be signalled: one that changed its user

    def reap(self) -> int | None:
        """Takes note of children that ended. Returns the signal by which the command was stopped, if it was."""
        stopped = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return stopped
            if pid == 0:
                return stopped
            if os.WIFSTOPPED(status):
                stopped = os.WSTOPSIG(status) if pid == self.pid else stopped
            elif pid == self.pid:
                code = os.waitstatus_to_exitcode(status)
                self.status = 128 - code if code < 0 else code

    def lives(self) -> bool:
        """Whether any member is left."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)  # the pipe behind it is the parent's
    for number in _DEFAULT_AGAIN:
        signal.signal(number, signal.SIG_DFL)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
