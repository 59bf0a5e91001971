"""The service as it is installed: started by its socket, confined, watched, stopped, and told what is wrong."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import pytest

from tests.support import processes
from tests.support.waiting import wait_until

from .machine import BIN, GPUS, Machine

pytestmark = [pytest.mark.system, pytest.mark.root]

HOLD = "import gpulock; lock = gpulock.acquire(task='hold'); print(lock.id, flush=True); input()"


@contextmanager
def holder(machine: Machine, *become: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that holds a GPU until it reads a line; and its lock."""
    process = machine.start(*become, f"{BIN}/python", "-c", HOLD)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        processes.end(process)


def locks(machine: Machine) -> dict[str, bool]:
    """Every lock, and whether its holder is connected."""
    return {lock["id"]: lock["connected"] for lock in machine.status()["locks"]}


def test_it_runs_as_operations_md_installs_it(machine: Machine) -> None:
    assert machine.show("ActiveState") == "active"
    assert machine.show("StatusText") == f"{GPUS} simulated GPUs, lease: local"
    assert f'Status: "{GPUS} simulated GPUs' in machine.run("systemctl", "status", "--no-pager", "gpulockd")
    assert machine.run("gpulockctl", "--version").strip().endswith(version("gpulockd"))
    assert "FAIL" not in machine.run("gpulockctl", "doctor")
    assert machine.run("systemctl", "is-enabled", "gpulockd.socket", "gpulockd.service").split() == ["enabled"] * 2


def test_it_is_confined_and_may_still_end_whoever_does_not_let_go(machine: Machine) -> None:
    status = machine.path(f"/proc/{machine.main_pid()}/status").read_text()
    facts = dict(line.split(":\t", 1) for line in status.splitlines())
    assert facts["Uid"].split()[0] != "0"
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 1 << 5  # CAP_KILL

    with holder(machine) as (process, lock):  # root's, and the daemon is not root
        machine.run("gpulockctl", "revoke", lock, "--grace", "0s")
        assert process.wait(30) != 0
    wait_until(lambda: not locks(machine), "its GPU is free")


def test_only_members_of_the_group_may_come_in(machine: Machine) -> None:
    ask = ["gpulockctl", "queue"]
    as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup"]
    machine.run(*as_user, "--groups=gpulock", *ask)
    outside = subprocess.run(
        machine.command(*as_user, "--clear-groups", *ask), capture_output=True, text=True, timeout=30, check=False
    )
    assert outside.returncode == 77
    assert "join the group" in outside.stderr


def test_the_first_client_starts_it(machine: Machine) -> None:
    machine.run("systemctl", "stop", "gpulockd.service")
    assert machine.show("ActiveState") == "inactive"
    assert machine.show("ActiveState", "gpulockd.socket") == "active"

    with holder(machine) as (_, lock):
        assert machine.show("ActiveState") == "active"
        assert locks(machine) == {lock: True}


def test_a_stopped_one_has_ended_well_and_keeps_the_locks(machine: Machine) -> None:
    with holder(machine) as (_, lock):
        machine.run("systemctl", "stop", "gpulockd.service")
        assert (machine.show("Result"), machine.show("ExecMainStatus")) == ("success", "0")
        machine.run("systemctl", "start", "gpulockd.service")
        wait_until(lambda: locks(machine) == {lock: True}, "its holder is back")


def test_one_that_hangs_is_killed_and_started_again(machine: Machine) -> None:
    machine.configure("test", "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\n")
    machine.run("systemctl", "restart", "gpulockd.service")
    with holder(machine) as (process, lock):
        stuck = machine.main_pid()
        machine.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "gpulockd.service")
        wait_until(lambda: machine.main_pid() not in (0, stuck), "another one runs", within=30)
        wait_until(lambda: locks(machine) == {lock: True}, "its holder is back")
        assert process.poll() is None
    assert "watchdog" in machine.run("journalctl", "--unit=gpulockd", "--identifier=systemd", "--no-pager").lower()


def test_a_wrong_configuration_is_told_and_the_service_comes_up_once_it_is_right(machine: Machine) -> None:
    file = machine.path("/etc/gpulockd/config.yml")
    right = file.read_text()
    try:
        file.write_text("gpu_lock:\n  poll_intervall: 2\n")
        machine.run("systemctl", "restart", "gpulockd.service", check=False)
        wait_until(lambda: machine.show("ExecMainStatus") == "78", "it says by its exit code what is wrong")
        assert "config.yml:2:3" in machine.journal()
    finally:
        file.write_text(right)
    wait_until(lambda: machine.show("ActiveState") == "active", "it runs again, by itself")


def setting(machine: Machine, key: str) -> object:
    settings = json.loads(machine.run("gpulockctl", "config", "show", "--json"))["settings"]
    return next(each["value"] for each in settings if each["key"] == key)


def test_a_reload_acts_without_a_restart_and_root_can_apply_what_the_daemon_may_not_write(machine: Machine) -> None:
    file = machine.path("/etc/gpulockd/config.yml")
    before, owner, pid = file.read_text(), file.stat(), machine.main_pid()
    try:
        file.write_text(before.replace("max_wait_time: 1800", "max_wait_time: 1200"))
        machine.run("systemctl", "reload", "gpulockd.service")
        assert setting(machine, "gpu_lock.max_wait_time") == 1200
        assert machine.show("ActiveState") == "active"
        file.write_text("gpu_lock: {max_wait_tim: 1200}\n")
        machine.run("systemctl", "reload", "gpulockd.service", check=False)
        assert "config.yml:1:12" in machine.journal()
        file.write_text(before.replace("max_wait_time: 1800", "max_wait_time: 1100").replace("ttl: 15", "ttl: 20"))
        machine.run("systemctl", "reload", "gpulockd.service", check=False)
        assert "redis.ttl: 15 is in force, and 20 needs a restart" in machine.journal()
        assert (setting(machine, "gpu_lock.max_wait_time"), setting(machine, "redis.ttl")) == (1200, 15)
        file.write_text(before.replace("max_wait_time: 1800", "max_wait_time: 1300"))
        machine.run("systemctl", "kill", "--kill-whom=main", "--signal=HUP", "gpulockd.service")
        wait_until(lambda: setting(machine, "gpu_lock.max_wait_time") == 1300, "the signal acts too")

        machine.path("/tmp/new.yml").write_text(before.replace("max_wait_time: 1800", "max_wait_time: 600"))
        machine.run("gpulockctl", "config", "apply", "/tmp/new.yml", "--reason", "shorter")
        assert setting(machine, "gpu_lock.max_wait_time") == 600
        machine.run("gpulockctl", "config", "rollback")
        assert setting(machine, "gpu_lock.max_wait_time") == 1300
        after = file.stat()
        assert (after.st_uid, after.st_gid, after.st_mode) == (owner.st_uid, owner.st_gid, owner.st_mode)
        assert machine.main_pid() == pid
    finally:
        file.write_text(before)
        machine.run("gpulockctl", "config", "reload")
    story = json.loads(machine.run("gpulockctl", "config", "history", "--json"))["entries"]
    assert {(each["how"], each["user"]) for each in story if each["outcome"] == "applied"} >= {
        *(("reload", each) for each in ("gpulockd", "SIGHUP", "root")),
        ("apply", "root"),
        ("rollback", "root"),
    }
