"""Profiles from a file to a lock: a real daemon, real clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gpulock
from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

FILE = """\
profiles:
  film:
    max_hold: 6h
    timeout_levels: {soft_timeout: 6h, hard_timeout: 8h}
  short:
    timeout_levels: {warning: 0.1, soft_timeout: 0.3}
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("d")
    (directory / "config.yml").write_text(FILE)
    with Daemon(directory, arguments=("--config", str(directory / "config.yml"))) as daemon:
        yield daemon


def test_a_lock_has_the_numbers_of_its_profile(daemon: Daemon) -> None:
    with gpulock.acquire(socket=daemon.socket, profile="film") as lock:
        assert lock.max_hold == pytest.approx(6 * 3600, abs=1)
        assert lock.extend("1d") == pytest.approx(8 * 3600, abs=60)
    with gpulock.acquire(socket=daemon.socket) as lock:
        assert lock.max_hold == pytest.approx(3600, abs=1)


def test_and_its_levels(daemon: Daemon) -> None:
    with gpulock.acquire(socket=daemon.socket, profile="short", soft_timeout="raise") as lock:
        with pytest.raises(gpulock.SoftTimeout):
            wait_until(lock.check, "the task is asked to finish")
        with gpulock.acquire(socket=daemon.socket, nested=False) as other:
            other.check()


def test_one_that_there_is_not_is_refused(daemon: Daemon) -> None:
    with pytest.raises(gpulock.InvalidRequest, match=r"there is no profile 'ocr' here.*film, short"):
        gpulock.acquire(socket=daemon.socket, profile="ocr")
    command = [sys.executable, "-m", "gpulock", "--profile", "ocr", "--", "true"]
    with processes.start(command, environment={"GPULOCK_SOCKET": daemon.socket}, stdout=subprocess.PIPE) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "there is no profile 'ocr' here" in errors


def test_people_see_them(daemon: Daemon) -> None:
    shown = {each["key"]: each for each in daemon.call("config")["settings"]}
    assert shown["profiles.film.max_hold"]["value"] == 6 * 3600
    assert Path(shown["profiles.film.max_hold"]["source"]).name == "config.yml:3:15"
    assert shown["profiles.short.max_hold"] == {"key": "profiles.short.max_hold", "value": 3600, "source": "default"}
