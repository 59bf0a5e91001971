"""Servers of a benchmark: ready, or ended with their last words told."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from gpulockd.evidence.bench import processes
from gpulockd.evidence.bench.processes import Server, ServerFailed

SERVES = [sys.executable, "-c", "import pathlib, time; pathlib.Path('ready').touch(); time.sleep(600)"]


def test_a_server_is_ready_once_it_is_made_and_ended_once_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = Server("a server", SERVES, tmp_path / "log", (tmp_path / "ready").exists)
    assert psutil.Process(server.pid).is_running()
    server.stop()
    assert not psutil.pid_exists(server.pid)


@pytest.mark.parametrize(
    ("code", "story"), [("raise SystemExit('no room')", "no room"), ("raise SystemExit(1)", "it said nothing")]
)
def test_one_that_ends_is_told_of_with_its_last_words(tmp_path: Path, code: str, story: str) -> None:
    with pytest.raises(ServerFailed, match=f"a server did not start: {story}"):
        Server("a server", [sys.executable, "-c", code], tmp_path / "log", lambda: False)


def test_one_that_is_never_ready_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STARTS_WITHIN", 0.0)
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(ServerFailed, match="did not start"):
        Server("a server", ["sleep", "600"], tmp_path / "log", lambda: False)
    assert {child.pid for child in psutil.Process().children()} <= before
