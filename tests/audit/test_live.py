"""`gpulockctl audit --live` against a real daemon, and what a terminal shows meanwhile."""

from __future__ import annotations

import json
import os
import pty
import resource
import sys
from pathlib import Path

import pytest

from gpulockd.ctl.__main__ import main
from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE

from .marked import Workshop
from .test_documents import OTHERS, OURS, ROOT, clean

CTL = (sys.executable, "-m", "gpulockd.ctl", "audit")


@pytest.mark.system
def test_the_running_daemon_is_asked(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    workshop.write("config.yml", "gpu_lock:\n  max_wait_time: 1800\n  lock_timeout: forever\n")
    guide = workshop.write("guide.md", "`gpu_lock_held`\n")
    with Daemon(workshop.root / "d", settings={"gpu_lock.max_wait_time": "10m"}) as daemon:
        arguments = ["--config", str(workshop.root / "config.yml"), "--docs", str(guide), "--root", str(workshop.root)]
        assert main(["audit", "--live", "--json", "--socket", daemon.socket, *arguments]) == 1
        findings = json.loads(capsys.readouterr().out)["findings"]
    told = {each["says"]: (each["rule"], each["line"], each["truth"], each["origin"]) for each in findings}
    assert told["gpu_lock.max_wait_time is 1800 here"] == (
        "live-differs",
        2,
        "the running daemon has 600",
        "from environment GPULOCKD__GPU_LOCK__MAX_WAIT_TIME",
    )
    assert "the running daemon has 3600" in told["gpu_lock.lock_timeout is forever here"]
    assert main(["audit", "--live", "--socket", daemon.socket, *arguments]) == 69


@pytest.mark.system
def test_the_metrics_of_the_running_daemon_are_those_of_the_documents(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    """This project's own documents, with its own daemon: only what the daemon was given for this test differs."""
    given: dict[str, object] = {"http.port": free_port(), "gpu_lock.poll_interval": 5}
    with Daemon(workshop.root / "d", settings=given) as daemon:
        arguments = ["--rules", str(ROOT / "audit.yml"), "--root", str(ROOT), "--socket", daemon.socket, "--json"]
        assert main(["audit", "--live", *arguments]) == 1
    out, err = capsys.readouterr()
    findings = json.loads(out)["findings"]
    assert err == ""
    assert {each["rule"] for each in findings} == {"live-differs"}
    keys = {"daemon.socket", "daemon.state_dir", "inventory.simulate", *given}
    assert {each["says"].split()[0] for each in findings} == keys


@pytest.mark.slow
def test_a_hundred_files_of_a_thousand_lines(workshop: Workshop, tmp_path: Path) -> None:
    """A terminal shows how far it is. Processor time is counted, since others use the cores too."""
    ours = [path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))]
    lines = "\n".join([*ours, *(clean(name) for name in (*OURS, *OTHERS))]).splitlines()
    for number in range(100):
        begin = number * 10 % len(lines)
        workshop.write(f"docs/{number}.md", "\n".join((lines[begin:] + lines)[:1000]))
    terminal, theirs = pty.openpty()
    before = _spent()
    command = [*CTL, "--config", "config.yml", "--docs", "docs"]
    with (tmp_path / "out").open("w") as out:
        process = processes.start(command, stdout=out, stderr=theirs, cwd=workshop.root)
        os.close(theirs)
        shown = b""
        while chunk := _read(terminal):
            shown += chunk
        process.wait(PATIENCE)
    os.close(terminal)
    processes.end(process)
    spent = _spent() - before
    print(f"{spent:.1f} s of processor time")
    assert b"\r50 of 100 files " in shown
    assert shown.endswith(b"\r\x1b[K")
    assert "in 100 files" in (tmp_path / "out").read_text()
    assert spent < 10


def _spent() -> float:
    """Seconds of processor time, of the user and of the system, of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end is closed
        return b""
