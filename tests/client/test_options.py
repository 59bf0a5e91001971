"""The command line of `gpulock`."""

from __future__ import annotations

import signal

import pytest

from gpulock.options import _SPELLINGS, HELP, Options, Reminder, UsageError, parse


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("-- true", Options(("true",))),
        ("true", Options(("true",))),
        ("-- ls -l --all", Options(("ls", "-l", "--all"))),
        ("ls -l", Options(("ls", "-l"))),
        ("-n -- true", Options(("true",), wait_timeout=0.0)),
        ("-w 5m -- true", Options(("true",), wait_timeout=300.0)),
        ("-w5m true", Options(("true",), wait_timeout=300.0)),
        ("--wait=5m true", Options(("true",), wait_timeout=300.0)),
        ("--wait 1h30m true", Options(("true",), wait_timeout=5400.0)),
        ("-E 3 -n true", Options(("true",), wait_timeout=0.0, conflict_exit_code=3)),
        ("-nE3 true", Options(("true",), wait_timeout=0.0, conflict_exit_code=3)),
        ("-g 2 true", Options(("true",), gpus=2)),
        ("--gpus=4 true", Options(("true",), gpus=4)),
        ("--gpu 1 true", Options(("true",), gpus=("1",))),
        ("--gpu 0,1 --gpu GPU-7a true", Options(("true",), gpus=("0", "1", "GPU-7a"))),
        ("--task ocr --max-hold 2h true", Options(("true",), task="ocr", max_hold=7200.0)),
        ("--priority -3 true", Options(("true",), priority=-3)),
        ("--label a=b --label c=d=e true", Options(("true",), labels={"a": "b", "c": "d=e"})),
        ("--socket /a/b.sock -q true", Options(("true",), socket="/a/b.sock", quiet=True)),
        ("--profile ocr true", Options(("true",), profile="ocr")),
        ("--signal USR1@1m true", Options(("true",), reminder=Reminder(signal.SIGUSR1, 60.0))),
        ("--signal=sigterm@90 true", Options(("true",), reminder=Reminder(signal.SIGTERM, 90.0))),
        ("--signal 10 true", Options(("true",), reminder=Reminder(10))),
        ("-h", Options((), show="help")),
        ("--version", Options((), show="version")),
        ("-- -n", Options(("-n",))),
    ],
)
def test_understood(line: str, options: Options) -> None:
    assert parse(line.split()) == options


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "no command"),
        ("-n", "no command"),
        ("--", "no command"),
        ("-x true", "unknown option -x"),
        ("--bogus true", "unknown option --bogus"),
        ("-nx true", "unknown option -x"),
        ("-w", "-w wants a value"),
        ("-w soon true", "-w: 'soon' is not a duration"),
        ("-g many true", "-g wants a whole number"),
        ("-g 0 true", "-g wants a number from 1"),
        ("-E 256 -- true", "from 0 to 255"),
        ("--priority 11 true", "--priority wants a number from -10 to 10"),
        ("--label x true", "KEY=VALUE"),
        ("--gpu , true", "--gpu wants"),
        ("-g 2 --gpu 0 true", "give one of the two"),
        ("--no-wait=yes true", "--no-wait takes no value"),
        ("--signal USR3 true", "--signal wants the name or number of a signal, such as USR1 or TERM, not 'USR3'"),
        ("--signal _IGN true", "not '_IGN'"),
        ("--signal 0 true", "not '0'"),
        ("--signal @5 true", "not ''"),
        ("--signal USR1@ true", "--signal: '' is not a duration"),
        ("--signal USR1@0 true", "before the end of the lock"),
        ("--signal USR1@10m --max-hold 5m true", "cannot come 10m 00s before the end of a lock that lasts for 5m 00s"),
    ],
)
def test_not_understood(line: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse(line.split())


def test_every_option_is_in_the_help() -> None:
    for spellings in _SPELLINGS:
        assert ", ".join(spellings) in HELP or spellings[-1] in HELP


def test_the_help_fits_a_terminal() -> None:
    assert max(map(len, HELP.splitlines())) <= 120
