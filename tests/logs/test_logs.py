"""What is logged of what happens: fields for the journal, lines for people."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpulockd import logs
from gpulockd.core.actions import Announce, Severity
from gpulockd.logs.fields import message_id
from gpulockd.logs.journald import Journald, encode, takes_standard_error

from .journal import FakeJournal, parsed

SIGNALLED = Announce(
    "lock.signalled",
    "SIGTERM to anna (pid 4242), which has not given L3-17 back",
    Severity.WARNING,
    {"lock": "L3-17", "gpus": ["GPU-a", "GPU-b"], "pid": 4242, "signal": "SIGTERM", "by": "", "held": 61.23456},
)
LOG = logs.Log({"GPU-a": 0, "GPU-b": 1}.get)


def begin(level: str, journald: Journald | None = None) -> None:
    """Configures the log as if nobody had before, pytest included."""
    logging.getLogger().handlers[:] = []
    logs.configure(level, journald)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[FakeJournal]:
    with FakeJournal(tmp_path / "socket") as journal:
        yield journal


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """The root logger is given back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_entry_has_what_it_is_about_in_fields(journal: FakeJournal) -> None:
    begin("info", Journald(journal.path))
    LOG.observe(SIGNALLED)
    assert journal.next() == {
        "MESSAGE": ["lock.signalled: SIGTERM to anna (pid 4242), which has not given L3-17 back"],
        "PRIORITY": ["4"],
        "SYSLOG_IDENTIFIER": ["gpulockd"],
        "LOGGER": ["gpulockd"],
        "EVENT": ["lock.signalled"],
        "MESSAGE_ID": [message_id("lock.signalled")],
        "LOCK_ID": ["L3-17"],
        "GPU_UUID": ["GPU-a", "GPU-b"],
        "GPU_INDEX": ["0", "1"],
        "OBJECT_PID": ["4242"],
        "SIGNAL": ["SIGTERM"],
        "HELD": ["61.235"],
    }


def test_a_gpu_that_is_gone_has_no_index(journal: FakeJournal) -> None:
    begin("info", Journald(journal.path))
    LOG.observe(Announce("gpu.sick", "GPU 7 is not granted", Severity.ERROR, {"gpu": "GPU-z", "fault": "lost"}))
    entry = journal.next()
    assert (entry["GPU_UUID"], entry["PRIORITY"], entry["FAULT"]) == (["GPU-z"], ["3"], ["lost"])
    assert "GPU_INDEX" not in entry


def test_what_is_below_the_level_is_not_sent(journal: FakeJournal) -> None:
    begin("info", Journald(journal.path))
    LOG.observe(Announce("lock.granted", "L3-18 granted", Severity.DEBUG, {"lock": "L3-18"}))
    logs.log.info("next")
    assert journal.next()["MESSAGE"] == ["next"]


def test_an_exception_is_one_entry_with_its_traceback(journal: FakeJournal) -> None:
    begin("info", Journald(journal.path))
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("gpulockd.somewhere").exception("it failed")
    entry = journal.next()
    assert entry["LOGGER"] == ["gpulockd.somewhere"]
    assert entry["MESSAGE"][0].startswith("it failed\nTraceback")
    assert entry["MESSAGE"][0].endswith("ZeroDivisionError: division by zero")


def test_an_entry_that_is_too_long_for_a_datagram_comes_as_a_file(journal: FakeJournal) -> None:
    begin("info", Journald(journal.path))
    long = "x" * 4_000_000
    LOG.observe(Announce("gpu.sick", "why", Severity.ERROR, {"gpu": "GPU-a", "fault": long}))
    assert journal.next()["FAULT"] == [long]
    assert journal.files == 1


def test_a_journal_that_does_not_keep_up_loses_entries_and_hears_how_many(journal: FakeJournal) -> None:
    """And nobody waits: this very thread would for ever."""
    begin("info", Journald(journal.path))
    for number in range(5000):
        logs.log.info("entry %d", number)
    got = [journal.next()["MESSAGE"][0] for _ in range(5)]
    assert got == [f"entry {number}" for number in range(5)]
    logs.log.info("the last")
    kept = 5
    while not (lost := re.match(r"(\d+) entries were lost here", journal.next()["MESSAGE"][0])):
        kept += 1
    assert int(lost[1]) == 5000 - kept
    assert journal.next()["MESSAGE"] == ["the last"]


def test_without_a_journal_the_line_still_goes_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin("info", Journald(tmp_path / "nobody"))
    logs.log.warning("a full disk")
    assert capsys.readouterr().err.startswith("<4>a full disk (without fields: ")


def test_the_journal_may_be_restarted(journal: FakeJournal, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin("info", Journald(journal.path))
    journal.__exit__(None, None, None)
    journal.path.unlink()
    logs.log.info("in between")
    with FakeJournal(journal.path) as again:
        logs.log.info("afterwards")
        assert again.next()["MESSAGE"] == ["1 entries were lost here: the journal did not keep up"]
        assert again.next()["MESSAGE"] == ["afterwards"]
    assert "in between" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["plain", "two\nlines", "a=b", "", "größe", "\x1b[2J", "\udc80"])
def test_any_value_is_read_as_it_was_written(value: str) -> None:
    expected = value.encode(errors="backslashreplace").decode()
    assert parsed(encode([("FIELD", value), ("NEXT", "one")])) == {"FIELD": [expected], "NEXT": ["one"]}


def test_the_ids_of_messages_never_change() -> None:
    """They may be in somebody's filters and catalogues."""
    assert message_id("lock.recalled") == "f58e03ae288b5d47b2ce845c88189daf"
    assert message_id("gpu.sick") == "ac2a7ce21f1e5f749dbb8e56e026cbfa"


def test_the_journal_is_chosen_where_standard_error_is_connected_to_it() -> None:
    found = os.fstat(2)
    assert takes_standard_error({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
    assert not takes_standard_error({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}), "it was inherited"
    assert not takes_standard_error({"JOURNAL_STREAM": ""})
    assert not takes_standard_error({})


def test_people_read_lines_with_the_lock_in_each(capsys: pytest.CaptureFixture[str]) -> None:
    begin("info")
    LOG.observe(SIGNALLED)
    LOG.observe(Announce("gpu.cleared", "GPU 0 is clear again after 1.0 s", Severity.INFO, {"lock": "L3-17"}))
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("WARNING lock.signalled: SIGTERM to anna (pid 4242), which has not given L3-17 back")
    assert second.endswith("INFO    gpu.cleared: GPU 0 is clear again after 1.0 s (L3-17)")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING ", first)
