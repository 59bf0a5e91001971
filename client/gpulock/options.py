"""The command line of `gpulock`. Parsed by hand: `argparse` would take as long to import as all the rest."""

from __future__ import annotations

from .durations import format_duration, parse_duration
from .errors import InvalidRequest
from .lean import signal
from .record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

USAGE = "usage: gpulock [-n] [-w TIME] [-E CODE] [-g N] [--gpu SEL] [--task T] [--max-hold TIME] [...] -- CMD ..."

HELP = f"""\
{USAGE}

Runs CMD while this host's gpulockd has given it a GPU, as flock(1) does with a file. CMD finds its GPUs in
CUDA_VISIBLE_DEVICES. The lock is given back when CMD's whole process group has ended; if the lock is lost,
the group is ended.

  -n, --no-wait            fail at once if the GPU is taken
  -w, --wait TIME          wait no longer than that: 30s, 5m, 2h, or seconds (default: the daemon's max_wait_time)
  -E, --conflict-exit-code CODE
                           exit with CODE instead of 75 and 124
  -g, --gpus N             how many GPUs (default: 1)
      --gpu SEL            this GPU: its index, its UUID or the beginning of it; may be given several times
      --task T             what it is for, for people who look at the queue
      --max-hold TIME      have the lock taken back after that time (default: the daemon's lock_timeout)
      --signal SIG[@TIME]  send SIG to CMD's process group TIME before the lock is taken back; without TIME when the
                           daemon asks the task to finish (its soft_timeout)
      --priority P         -10 to 10, higher goes first (default: 0)
      --profile NAME       the daemon's settings for that kind of task: how long to wait and to hold, unless given here
      --label K=V          a label; may be given several times
      --socket PATH        the daemon's socket (default: $GPULOCK_SOCKET, else /run/gpulockd/gpulockd.sock)
  -q, --quiet              say nothing while waiting
  -h, --help; -V, --version

Exit status: CMD's own; 128+N if it was ended by signal N; 2 usage; 69 no daemon; 75 taken, with -n; 76 lock lost;
77 not permitted; 124 not granted within -w; 126 CMD cannot be run; 127 CMD not found.
"""


class UsageError(Exception):
    """The command line is wrong: in which way."""


class Reminder(NamedTuple):
    """The signal that tells a command that its lock comes to its end."""

    number: int
    before: float | None = None
    """Seconds before that end; None: when the daemon asks the task to finish."""

    def after(self, max_hold: float | None) -> float | None:
        """When it is due under a lock that ends `max_hold` seconds from now, in seconds from now; None: not by the
        clock. Raises `UsageError` where that is past."""
        if self.before is None or max_hold is None:
            return None
        if self.before >= max_hold:
            before, lasts = format_duration(self.before), format_duration(max_hold)
            raise UsageError(f"--signal cannot come {before} before the end of a lock that lasts for {lasts}")
        return max_hold - self.before


class Options(NamedTuple):
    command: tuple[str, ...]
    gpus: int | tuple[str, ...] = 1
    wait_timeout: float | None = None
    conflict_exit_code: int | None = None
    task: str = ""
    max_hold: float | None = None
    reminder: Reminder | None = None
    priority: int = 0
    profile: str = ""
    labels: Mapping[str, str] = {}
    socket: str | None = None
    quiet: bool = False
    show: str | None = None
    """`help` or `version`: to be shown instead of doing anything."""


def parse(arguments: Sequence[str]) -> Options:
    """Raises `UsageError`."""
    found: dict[str, Any] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        for option, value in _split(word, rest):
            _OPTIONS[option](found, option, value)
    if "gpu" in found and "gpus" in found:
        raise UsageError("-g says how many GPUs, --gpu says which: give one of the two")
    if "gpu" in found:
        found["gpus"] = found.pop("gpu")
    if not rest and "show" not in found:
        raise UsageError("no command is given")
    if "reminder" in found:
        found["reminder"].after(found.get("max_hold"))
    return Options(tuple(rest), **found)


def spellings() -> dict[str, bool]:
    """Every spelling of an option, and whether a value follows it."""
    return {option: option not in _FLAGS for option in _OPTIONS}


def _split(word: str, rest: list[str]) -> list[tuple[str, str]]:
    """The options in one word, each with its value; one that is missing there is taken from `rest`."""
    if word.startswith("--"):
        name, given, value = word.partition("=")
        if name not in _OPTIONS:
            raise UsageError(f"unknown option {name}")
        if name in _FLAGS:
            if given:
                raise UsageError(f"{name} takes no value")
            return [(name, "")]
        return [(name, value if given else _next(name, rest))]
    found = []
    letters = word[1:]
    while letters:
        name, letters = "-" + letters[0], letters[1:]
        if name not in _OPTIONS:
            raise UsageError(f"unknown option {name}")
        if name in _FLAGS:
            found.append((name, ""))
        else:
            found.append((name, letters or _next(name, rest)))
            letters = ""
    return found


def _next(name: str, rest: list[str]) -> str:
    if not rest:
        raise UsageError(f"{name} wants a value")
    return rest.pop(0)


def _integer(option: str, text: str, low: int, high: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"{option} wants a whole number, not {text!r}") from None
    if not low <= number <= high:
        raise UsageError(f"{option} wants a number from {low} to {high}, not {number}")
    return number


def _duration(option: str, text: str) -> float:
    try:
        return parse_duration(text)
    except InvalidRequest as error:
        raise UsageError(f"{option}: {error}") from None


def _reminder(option: str, text: str) -> Reminder:
    name, given, time = text.partition("@")
    word = name.upper().removeprefix("SIG")
    number = int(word) if word.isdecimal() else getattr(signal, f"SIG{word}", None) if word.isalnum() else None
    if number not in signal.valid_signals():
        raise UsageError(f"{option} wants the name or number of a signal, such as USR1 or TERM, not {name!r}")
    before = _duration(option, time) if given else None
    if before == 0:
        raise UsageError(f"{option} wants a time before the end of the lock: at its end SIGTERM comes by itself")
    return Reminder(int(number), before)


Store: TypeAlias = "Callable[[dict[str, Any], str, str], None]"


def _store(key: str, convert: Callable[[str, str], Any]) -> Store:
    def store(found: dict[str, Any], option: str, text: str) -> None:
        found[key] = convert(option, text)

    return store


def _add_gpu(found: dict[str, Any], option: str, text: str) -> None:
    selectors = tuple(selector for selector in text.split(",") if selector)
    if not selectors:
        raise UsageError(f"{option} wants an index, a UUID, or the beginning of one")
    found["gpu"] = found.get("gpu", ()) + selectors


def _add_label(found: dict[str, Any], option: str, text: str) -> None:
    key, given, value = text.partition("=")
    if not key or not given:
        raise UsageError(f"{option} wants KEY=VALUE, not {text!r}")
    found.setdefault("labels", {})[key] = value


_SPELLINGS: Mapping[tuple[str, ...], Store] = {
    ("-n", "--no-wait"): _store("wait_timeout", lambda _option, _text: 0.0),
    ("-w", "--wait"): _store("wait_timeout", _duration),
    ("-E", "--conflict-exit-code"): _store("conflict_exit_code", lambda option, text: _integer(option, text, 0, 255)),
    ("-g", "--gpus"): _store("gpus", lambda option, text: _integer(option, text, 1, 1024)),
    ("--gpu",): _add_gpu,
    ("--task",): _store("task", lambda _option, text: text),
    ("--max-hold",): _store("max_hold", _duration),
    ("--signal",): _store("reminder", _reminder),
    ("--priority",): _store("priority", lambda option, text: _integer(option, text, -10, 10)),
    ("--profile",): _store("profile", lambda _option, text: text),
    ("--label",): _add_label,
    ("--socket",): _store("socket", lambda _option, text: text),
    ("-q", "--quiet"): _store("quiet", lambda _option, _text: True),
    ("-h", "--help"): _store("show", lambda _option, _text: "help"),
    ("-V", "--version"): _store("show", lambda _option, _text: "version"),
}
_OPTIONS = {spelling: store for spellings, store in _SPELLINGS.items() for spelling in spellings}
_FLAGS = frozenset(("-n", "--no-wait", "-q", "--quiet", "-h", "--help", "-V", "--version"))
