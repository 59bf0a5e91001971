"""The configuration of a real daemon changes under it: by a signal, by its socket, and by two people at once."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.system

FIRST = "# as it began\ngpu_lock: {max_wait_time: 30m, lock_timeout: 30m}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.yml"
    file.write_text(FIRST)
    return file


@pytest.fixture
def daemon(tmp_path: Path, file: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, simulate=2, arguments=("--config", str(file))) as running:
        yield running


def setting(daemon: Daemon, key: str) -> Any:
    return next(each["value"] for each in daemon.call("config")["settings"] if each["key"] == key)


def story(daemon: Daemon) -> list[tuple[Any, ...]]:
    entries = daemon.call("config_history")["entries"]
    return [(each["version"], each["how"], each["outcome"]) for each in reversed(entries)]


def levels_of(daemon: Daemon) -> list[str]:
    return [lock["level"] for lock in daemon.status()["locks"]]


def in_force(daemon: Daemon) -> str:
    return str(daemon.call("config_version")["content"])


def test_new_locks_have_the_new_values_and_running_ones_their_own_over_a_kill_too(daemon: Daemon, file: Path) -> None:
    levels = "gpu_lock_monitor: {timeout_levels: {warning: 1s, soft_timeout: 30m, hard_timeout: 40m}}\n"
    with Frames(daemon.socket) as old, Frames(daemon.socket) as new:
        old.call("hello", reattach="the old one's key")
        held = old.call("acquire")
        file.write_text("gpu_lock: {lock_timeout: 10m}\n" + levels)
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda: setting(daemon, "gpu_lock.lock_timeout") == 600, "the signal acts")
        assert 595 < new.call("acquire")["max_hold"] < 600.1
        wait_until(lambda: "warning" in levels_of(daemon), "the new lock reaches its own level")
        assert next(lock for lock in daemon.status()["locks"] if lock["id"] == held["lock"])["level"] == ""
        daemon.restart()
        with Frames(daemon.socket) as back:
            (again,) = back.call("hello", reattach="the old one's key")["locks"]
            assert again["lock"] == held["lock"]
            assert 1700 < again["max_hold"] < 1800.1
            with pytest.raises(WireError, match="longer than any lock"):
                back.call("acquire", max_hold="50m")
            assert back.call("extend", max_hold="90m")["max_hold"] > 5000  # the hard timeout is still its old one
            (lock,) = [each for each in daemon.status()["locks"] if each["id"] == held["lock"]]
            assert lock["level"] == ""


def test_each_of_many_mishaps_ends_in_one_known_version(daemon: Daemon, file: Path) -> None:
    # A bad file.
    file.write_text("gpu_lock:\n  max_wait_time: soon\n")
    with pytest.raises(WireError) as caught:
        daemon.call("reload", reason="typo")
    assert caught.value.code == "bad-configuration"
    (problem,) = caught.value.fault["data"]["problems"]
    assert (problem["line"], problem["column"], problem["key"]) == (2, 18, "gpu_lock.max_wait_time")
    assert in_force(daemon) == FIRST
    # A file that is gone.
    file.unlink()
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: story(daemon)[1:] == [(None, "reload", "refused")] * 2, lambda: str(story(daemon)))
    assert in_force(daemon) == FIRST
    # Two people apply at once, many times.
    with Frames(daemon.socket) as anna, Frames(daemon.socket) as bert:
        for number in range(1, 11):
            for who, wait in ((anna, number), (bert, 100 + number)):
                who.send("config_apply", content=f"gpu_lock: {{max_wait_time: {wait}}}\n", reason=f"{wait}")
        wait_until(lambda: len(story(daemon)) == 3 + 20, lambda: str(story(daemon)))
    wait_until(lambda: all(outcome != "begun" for *_, outcome in story(daemon)), "all of them are through")
    assert [version for version, _, outcome in story(daemon) if outcome == "applied"] == list(range(1, 22))
    assert in_force(daemon) == file.read_text()
    assert f"max_wait_time: {setting(daemon, 'gpu_lock.max_wait_time')}" in file.read_text()
    # A rollback, and its rollback, and so on.
    last = in_force(daemon)
    took = []
    for _ in range(8):
        began = time.monotonic()
        daemon.call("config_rollback")
        took.append(time.monotonic() - began)
    assert in_force(daemon) == file.read_text() == last
    assert min(took) < 1, "a machine that has nothing else to do needs less"
    before = story(daemon)
    daemon.restart()
    assert story(daemon) == before
    assert in_force(daemon) == last


def test_a_file_that_needs_a_restart_is_in_force_as_a_whole_or_not_at_all(daemon: Daemon, file: Path) -> None:
    wanted = "gpu_lock: {max_wait_time: 20m}\ndaemon: {host: another-name}\n"
    place = f"{file}:2:16: daemon.host:"
    with Frames(daemon.socket) as client:
        client.call("hello", reattach="its key")
        held = client.call("acquire")["lock"]
        file.write_text(wanted)
        for dry_run in (True, False):
            with pytest.raises(WireError) as caught:
                daemon.call("reload", dry_run=dry_run)
            assert caught.value.code == "restart-needed"
            assert place in caught.value.fault["message"]
        with Frames(daemon.socket) as onlooker:
            onlooker.call("watch")
            os.kill(daemon.pid, signal.SIGHUP)
            event = onlooker.notified("event")
            assert event["kind"] == "config.reload-failed"
            assert place in event["message"]
        assert in_force(daemon) == FIRST
        assert setting(daemon, "gpu_lock.max_wait_time") == 1800
        assert daemon.call("config")["edited"]
        daemon.restart()
        with Frames(daemon.socket) as back:
            assert [lock["lock"] for lock in back.call("hello", reattach="its key")["locks"]] == [held]
    assert in_force(daemon) == wanted
    assert (setting(daemon, "gpu_lock.max_wait_time"), setting(daemon, "daemon.host")) == (1200, "another-name")
    assert not daemon.call("config")["edited"]
    assert story(daemon) == [
        (1, "start", "applied"),
        (None, "reload", "refused"),
        (None, "reload", "refused"),
        (2, "start", "applied"),
    ]


def test_a_file_that_comes_and_goes_while_it_is_read_leaves_one_known_version(daemon: Daemon, file: Path) -> None:
    """Nobody knows what each reload meets; each meets something whole, or nothing."""
    texts = [f"{'# long' * 20_000}\ngpu_lock: {{max_wait_time: {wait}}}\n" for wait in (101, 102, 103)]
    over = threading.Event()

    def come_and_go() -> None:
        for text in itertools.cycle(texts):
            file.write_text(text)  # in its place: it may be read half written
            new = file.with_name("new.yml")
            new.write_text(text)
            new.replace(file)
            file.unlink()
            if over.is_set():
                file.write_text(texts[0])
                return

    restless = threading.Thread(target=come_and_go)
    restless.start()
    try:
        met = set()
        for _ in range(60):
            try:
                met.add(daemon.call("reload")["outcome"])
            except WireError as error:
                met.add(error.code)
    finally:
        over.set()
        restless.join(30)
    assert met <= {"applied", "unchanged", "bad-configuration"}, met
    assert in_force(daemon) in (FIRST, *texts)
    assert f"max_wait_time: {setting(daemon, 'gpu_lock.max_wait_time')}" in in_force(daemon).replace("30m", "1800")
    daemon.call("reload")
    assert in_force(daemon) == file.read_text() == texts[0]
    applied = [version for version, _, outcome in story(daemon) if outcome == "applied"]
    assert applied == list(range(1, len(applied) + 1))
    for version in applied:
        assert daemon.call("config_version", version=version)["content"] in (FIRST, *texts)


def test_a_kill_in_the_middle_of_changes_leaves_one_known_version(daemon: Daemon, file: Path) -> None:
    for wait in range(1, 6):
        with Frames(daemon.socket) as client:
            for each in range(40):
                client.send("config_apply", content=f"gpu_lock: {{max_wait_time: {1000 * wait + each}}}\n")
            wait_until(lambda: file.read_text() != FIRST, "the first is written")
        daemon.restart()
        assert in_force(daemon) == file.read_text()
        assert all(outcome != "begun" for *_, outcome in story(daemon))
        assert f"max_wait_time: {setting(daemon, 'gpu_lock.max_wait_time')}" in file.read_text()


def test_systemd_is_told_while_the_configuration_is_read(tmp_path: Path, file: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        daemon = Daemon(tmp_path, arguments=("--config", str(file)))
        environment = {**daemon.environment, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with processes.start(
            [sys.executable, "-m", "gpulockd", *daemon.arguments], environment=environment, stderr=subprocess.DEVNULL
        ) as started:
            try:
                assert manager.recv(4096).startswith(b"READY=1")
                before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                started.send_signal(signal.SIGHUP)
                reloading = dict(line.split("=") for line in manager.recv(4096).decode().splitlines())
                assert reloading["RELOADING"] == "1"
                assert int(reloading["MONOTONIC_USEC"]) >= before
                assert manager.recv(4096) == b"READY=1"
            finally:
                processes.end(started)
