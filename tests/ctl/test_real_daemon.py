"""gpulockctl and the daemon itself: what the documents of a real host look like, and who may do what."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpulockd.ctl.__main__ import main
from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.pseudo_terminal import PseudoTerminal
from tests.support.waiting import PATIENCE, wait_until

from .nobody import as_nobody

pytestmark = pytest.mark.system

HOLD = """
import sys, gpulock
with gpulock.acquire(gpus=int(sys.argv[1]), task=sys.argv[2], socket=sys.argv[3]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def daemon(place: Path) -> Iterator[Daemon]:
    with Daemon(place, simulate=2) as running:
        yield running


def ctl(daemon: Daemon, *arguments: str) -> tuple[int, str, str]:
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*arguments, "--socket", daemon.socket])
    out.seek(0)
    return code, out.read(), err.getvalue()


def shown(daemon: Daemon, *arguments: str) -> str:
    code, out, err = ctl(daemon, *arguments)
    assert (code, err) == (0, "")
    return out


def document(daemon: Daemon, *arguments: str) -> Any:
    whole = json.loads(shown(daemon, *arguments, "--json"))
    assert whole["schema_version"] == 1
    return whole


@contextlib.contextmanager
def worker(daemon: Daemon, gpus: int, task: str, *, holds: bool = True) -> Iterator[subprocess.Popen[str]]:
    """A process that asks for GPUs and, unless it is to wait, has them."""
    process = processes.start([sys.executable, "-c", HOLD, str(gpus), task, daemon.socket], stdin=subprocess.PIPE)
    try:
        if holds:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
        else:
            wait_until(lambda: task in [each["task"] for each in daemon.status()["queue"]], f"{task} waits")
        yield process
    finally:
        processes.end(process)


def test_an_idle_host_says_that_it_is_simulated(daemon: Daemon) -> None:
    picture = shown(daemon, "status")
    assert "2 × Simulated GPU" in picture
    assert "SIMULATED" in picture
    assert "2 free · nobody waits" in picture
    assert document(daemon, "status")["daemon"]["pid"] == daemon.pid


def test_holder_and_waiter_are_seen_from_every_side(daemon: Daemon) -> None:
    with worker(daemon, 2, "ocr") as holder, worker(daemon, 1, "eval", holds=False) as waiter:
        picture = shown(daemon, "status")
        assert "2 held · 1 waiting" in picture
        assert "with GPU 0" in picture
        assert f"{holder.pid}  ocr" in picture
        assert f"{waiter.pid}  eval" in picture

        assert str(waiter.pid) in shown(daemon, "queue")
        (request,) = document(daemon, "queue")["queue"]
        (lock,) = document(daemon, "status")["locks"]
        assert f"pid {holder.pid} for ocr" in shown(daemon, "why", "0")
        assert "gpulockctl describe" in shown(daemon, "why", f"pid:{waiter.pid}")
        assert f"pid {waiter.pid}" in shown(daemon, "describe", request["id"])
        assert lock["id"] in shown(daemon, "describe", "1")
        assert document(daemon, "describe", lock["id"])["lock"]["owner"]["pid"] == holder.pid


def test_revoke_ends_the_holder_and_history_keeps_who_did_it(daemon: Daemon) -> None:
    with worker(daemon, 1, "stuck") as holder:
        said = shown(daemon, "revoke", "0", "--reason", "maintenance", "--grace", "0")
        assert f"pid {holder.pid}" in said
        holder.wait(PATIENCE)
        ended = wait_until(lambda: document(daemon, "history", "--task", "stuck")["locks"], "it is in the history")
        assert ended[0]["how"] == "revoked"
        assert "root" in ended[0]["by"] or "uid" in ended[0]["by"]
        assert "revoked by" in shown(daemon, "history")


def test_history_is_narrowed_and_added_up(daemon: Daemon) -> None:
    with worker(daemon, 1, "ocr"), worker(daemon, 1, "eval"):
        assert subprocess.run(
            [sys.executable, "-m", "gpulock", "--socket", daemon.socket, "--task", "late", "-w", "0.1", "--", "true"],
            check=False,
            timeout=PATIENCE,
        ).returncode
    wait_until(lambda: len(document(daemon, "history")["locks"]) == 2, "both have ended")
    (lock,) = document(daemon, "history", "--gpu", "0")["locks"]
    uuid = daemon.status()["gpus"][0]["uuid"]
    assert lock["gpus"] == [uuid]
    assert document(daemon, "history", "--gpu", uuid)["locks"] == [lock]
    assert document(daemon, "history", "--gpu", "GPU-of-the-past")["locks"] == []
    assert document(daemon, "history", "--how", lock["how"], "--task", lock["task"])["locks"] == [lock]
    assert document(daemon, "history", "--until", "1h")["locks"] == []
    unmet = document(daemon, "history", "--how", "timeout", "--since", "1h")
    assert (unmet["locks"], [each["task"] for each in unmet["requests"]]) == ([], ["late"])
    assert "timeout" in shown(daemon, "history", "--requests")
    totals = {each["task"]: each for each in document(daemon, "history", "--totals")["totals"]}
    assert (totals["ocr"]["locks"], totals["eval"]["locks"], totals["late"]["timeouts"]) == (1, 1, 1)
    assert "late" in shown(daemon, "history", "--totals")


def test_top_shows_what_ends_while_one_looks(daemon: Daemon) -> None:
    command = [sys.executable, "-m", "gpulockd.ctl", "top", "--socket", daemon.socket]
    with PseudoTerminal(command, environment={"NO_COLOR": "1"}, columns=120, rows=40) as terminal:
        terminal.wait_for("2 free")
        with worker(daemon, 1, "ocr") as holder:
            terminal.wait_for(f"{holder.pid} .*ocr")
        terminal.wait_for(f"ENDED(.|\n)*{holder.pid} .*ocr")
        terminal.enter("q")
        assert terminal.end() == 0


def test_drain_keeps_a_gpu_free_until_undrain(daemon: Daemon) -> None:
    assert "Undo: gpulockctl undrain 1" in shown(daemon, "drain", "1", "--reason", "new fan")
    picture = shown(daemon, "status")
    assert "1 free, 1 drained" in picture
    assert "new fan" in picture
    assert "new fan" in shown(daemon, "why", "1")
    assert shown(daemon, "undrain", "1") == "GPU 1 back in service\n"
    assert "2 free" in shown(daemon, "status")


def test_events_follow_what_is_done(daemon: Daemon) -> None:
    command = [sys.executable, "-m", "gpulockd.ctl", "events", "--json", "--kind", "gpu.*", "--count", "1"]
    with processes.start([*command, "--socket", daemon.socket]) as following:
        while following.poll() is None:  # until the one drain that comes after it began to watch
            shown(daemon, "drain", "0")
            shown(daemon, "undrain", "0")
            with contextlib.suppress(subprocess.TimeoutExpired):
                following.wait(0.05)
        out, err = following.communicate()
    assert err == ""
    assert json.loads(out)["kind"] in ("gpu.drained", "gpu.undrained")


def test_config_shows_where_a_value_came_from(daemon: Daemon) -> None:
    settings = {each["key"]: each for each in document(daemon, "config", "show")["settings"]}
    assert settings["daemon.socket"]["value"] == daemon.socket
    assert settings["daemon.socket"]["source"] == "environment GPULOCKD__DAEMON__SOCKET"
    assert settings["gpu_lock.max_wait_time"]["source"] == "default"
    assert "environment GPULOCKD__DAEMON__SOCKET" in shown(daemon, "config", "show")


def test_doctor_finds_a_sound_daemon_and_misses_a_dead_one(daemon: Daemon) -> None:
    checks = {each["check"]: each["state"] for each in document(daemon, "doctor")["checks"]}
    assert "fail" not in checks.values()
    assert checks.items() >= {"daemon": "ok", "journal": "ok", "lease": "ok", "driver": "warn"}.items()
    daemon.kill()
    code, out, _ = ctl(daemon, "doctor")
    assert code == 1
    assert "fail  daemon" in out


def test_what_the_daemon_does_not_know_is_an_error(daemon: Daemon) -> None:
    for arguments, said in (
        (["why", "77"], "gpulockctl status"),
        (["describe", "L9-9"], "gpulockctl status"),
        (["revoke", "1"], "gpulockctl status"),
        (["drain", "GPU-ffffffff"], "the host has 0: GPU-"),
        (["history", "--gpu", "77"], "the host has 0: GPU-"),
    ):
        code, out, err = ctl(daemon, *arguments)
        assert (code, out) == (1, "")
        assert err.startswith("gpulockctl: ")
        assert said in err


@pytest.mark.root
def test_an_ordinary_user_may_look_but_not_touch(daemon: Daemon) -> None:
    code, out, err = as_nobody(lambda: ctl(daemon, "status"))
    assert (code, out) == (77, "")  # the socket is its owner's and group's
    assert "gpulock" in err

    Path(daemon.socket).chmod(0o666)
    code, out, _ = as_nobody(lambda: ctl(daemon, "status"))
    assert code == 0
    assert "SIMULATED" in out
    for arguments in (["drain", "0"], ["undrain"], ["revoke", "0"]):
        code, out, err = as_nobody(lambda arguments=arguments: ctl(daemon, *arguments))  # type: ignore[misc]
        assert (code, out) == (77, "")
        assert "administrator" in err
    assert shown(daemon, "status").count("free") >= 2
