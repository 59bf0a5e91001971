"""The doctor's checks, each on the real thing or a copy of it: sockets, a systemctl script, /proc files."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpulock import wire
from gpulockd.ctl.__main__ import main
from gpulockd.ctl.doctor import clocks, endpoint, files, service, units
from gpulockd.ctl.doctor.finding import Finding
from gpulockd.version import __version__

from . import documents
from .nobody import as_nobody
from .peer import Peer


def only(findings: list[Finding], check: str) -> Finding:
    (found,) = [finding for finding in findings if finding.check == check]
    return found


@pytest.fixture
def listening(place: Path) -> Iterator[Path]:
    path = place / "gpulockd.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o660)
        yield path


# The socket


def test_a_socket_that_is_there_and_may_be_used(listening: Path) -> None:
    findings = endpoint.check(listening, systemd=False)
    assert [finding.state for finding in findings] == ["ok", "ok"]
    assert "(0660 " in only(findings, "socket").message


def test_no_directory_no_socket_no_socket_at_all(place: Path) -> None:
    (finding,) = endpoint.check(place / "missing" / "gpulockd.sock", systemd=True)
    assert finding.state == "fail"
    assert f"{place / 'missing'} does not exist" in finding.message

    (finding,) = endpoint.check(place / "gpulockd.sock", systemd=True)
    assert (finding.state, finding.next) == ("fail", "is GPULOCK_SOCKET or --socket right?")

    (place / "gpulockd.sock").write_text("")
    (finding,) = endpoint.check(place / "gpulockd.sock", systemd=True)
    assert finding.state == "fail"
    assert "is a plain file, not a socket" in finding.message


def test_the_systems_socket_has_a_group_and_a_unit(listening: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "DEFAULT_SOCKET", str(listening))
    finding = only(endpoint.check(listening, systemd=True), "socket")
    assert finding.state == "warn"
    assert "its group is not gpulock" in finding.message
    listening.unlink()
    (finding,) = endpoint.check(listening, systemd=True)
    assert finding.next == "systemctl enable --now gpulockd.socket gpulockd.service"
    (finding,) = endpoint.check(listening, systemd=False)
    assert finding.next == "start gpulockd"


def test_a_socket_for_everybody_is_worth_a_warning(listening: Path) -> None:
    listening.chmod(0o666)
    finding = only(endpoint.check(listening, systemd=False), "socket")
    assert finding.state == "warn"
    assert finding.next == f"chmod 660 {listening}"


@pytest.mark.root
def test_an_ordinary_user_is_told_which_group(listening: Path) -> None:
    os.chown(listening, 0, 12345)
    access = only(as_nobody(lambda: endpoint.check(listening, systemd=False)), "access")
    assert access.state == "fail"
    assert "not a member of gid 12345" in access.message
    assert "then log in again" in access.next

    access = only(as_nobody(lambda: endpoint.check(listening, systemd=False), groups=(12345,)), "access")
    assert access.state == "ok"
    assert "as a member of gid 12345" in access.message


@pytest.mark.root
def test_a_login_older_than_its_membership_is_told_apart(listening: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(listening, 0, 12345)
    monkeypatch.setattr(endpoint, "_listed", lambda user, gid: gid == 12345)
    access = only(as_nobody(lambda: endpoint.check(listening, systemd=False)), "access")
    assert access.state == "fail"
    assert "this login is older than that" in access.message


@pytest.mark.root
def test_a_directory_that_may_not_be_entered(listening: Path) -> None:
    listening.parent.chmod(stat.S_IRWXU)
    (finding,) = as_nobody(lambda: endpoint.check(listening, systemd=False))
    assert finding.state == "fail"
    assert "may not enter" in finding.message


# The daemon


def test_a_healthy_daemon() -> None:
    status = documents.one_gpu()
    status["daemon"]["version"] = __version__
    findings = service.check(status)
    assert {finding.state for finding in findings} == {"ok"}
    assert [finding.check for finding in findings] == ["daemon", "journal", "lease", "driver", "gpus"]
    assert only(findings, "driver").message == "NVIDIA 550.54.15"
    status["gpus"].append(documents.gpu(1, drained="new fan"))
    assert only(service.check(status), "gpus") == Finding("gpus", "ok", "1 in service, 1 drained")


def test_an_older_daemon_a_simulation_and_an_empty_host_stand_out() -> None:
    status = documents.idle()
    status["daemon"]["version"] = "0.0.9"
    status["gpus"] = []
    findings = service.check(status)
    assert only(findings, "daemon").state == "warn"
    assert f"this gpulockctl is {__version__}" in only(findings, "daemon").message
    assert only(findings, "driver").message.startswith("SIMULATED")
    assert only(findings, "gpus").state == "fail"


def test_a_daemon_in_trouble() -> None:
    status = documents.troubled()
    findings = service.check(status)
    assert only(findings, "journal") == Finding(
        "journal", "fail", "it cannot be written, so nothing is granted: disk full", "df; journalctl -u gpulockd"
    )
    lease = only(findings, "lease")
    assert lease.state == "fail"
    assert "renewed 11s ago, good for 15s: Redis did not answer within 1s" in lease.message
    assert "gpulockctl config show" in lease.next
    assert [(each.state, each.next) for each in findings if each.check == "gpus"] == [
        ("fail", "gpulockctl why 3"),
        ("warn", "gpulockctl why 4"),
    ]


def test_a_quarantine_and_a_late_lease_are_warnings() -> None:
    status = documents.busy()
    status["lease"]["state"] = "late"
    findings = service.check(status)
    assert only(findings, "lease").state == "warn"
    assert only(findings, "gpus").message == "GPU 2 is in quarantine: pid 49917 is still on it"


def test_a_holder_that_is_waited_for_is_named() -> None:
    message = only(service.check(documents.awaited()), "gpus").message
    pid = documents.CAROL["pid"]
    assert message == (
        f"GPU 0 is in quarantine: the driver cannot tell who is on it, and pid {pid}, who had it, may live"
    )


def test_the_driver_is_looked_for_where_no_daemon_answers(tmp_path: Path) -> None:
    missing = service.unreachable("nobody answers", systemd=True, proc=tmp_path)
    assert only(missing, "daemon").state == "fail"
    assert "systemctl status gpulockd" in only(missing, "daemon").next
    assert only(missing, "driver").state == "warn"
    assert "gpulockd --simulate 2" in only(missing, "driver").next

    (tmp_path / "driver/nvidia").mkdir(parents=True)
    (tmp_path / "driver/nvidia/version").write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module  550.54.15\nGCC version: 12\n"
    )
    found = only(service.unreachable("nobody answers", systemd=False, proc=tmp_path), "driver")
    assert (found.state, found.message) == ("ok", "NVIDIA UNIX Open Kernel Module  550.54.15")


# systemd


class Systemctl:
    """A systemctl of our own on $PATH, which shows what it was given."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        script = directory / "systemctl"
        script.write_text(f'#!/bin/sh\n[ "$1" = show ] && cat "{directory}/$2"\n')
        script.chmod(0o755)
        self.unit("gpulockd.service")
        self.unit("gpulockd.socket", SubState="listening", MainPID="", NRestarts="")

    def unit(self, name: str, **changes: str) -> None:
        shown = {
            "LoadState": "loaded",
            "ActiveState": "active",
            "SubState": "running",
            "UnitFileState": "enabled",
            "MainPID": "812",
            "NRestarts": "0",
            "Result": "success",
        } | changes
        (self._directory / name).write_text("".join(f"{key}={value}\n" for key, value in shown.items()))


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Systemctl(tmp_path)


def test_units_in_order(systemctl: Systemctl, tmp_path: Path) -> None:
    assert units.in_charge(tmp_path)
    findings = units.check(812, tmp_path)
    assert [finding.state for finding in findings] == ["ok", "ok"]
    assert findings[0].message == "gpulockd.service is active (running), enabled"


@pytest.mark.parametrize(
    ("changes", "state", "said", "todo"),
    [
        ({"LoadState": "not-found"}, "warn", "gpulockd.service is not-found", "install systemd/"),
        (
            {"ActiveState": "failed", "SubState": "failed", "Result": "watchdog", "NRestarts": "7"},
            "fail",
            "is failed (failed), enabled, restarted 7 times, result watchdog",
            "systemctl start gpulockd",
        ),
        ({"UnitFileState": "disabled"}, "warn", "it will not start at boot", "systemctl enable"),
        ({"MainPID": "99"}, "warn", "pid 812 answers at the socket, not its pid 99", "GPULOCK_SOCKET"),
    ],
    ids=["missing", "failed", "disabled", "other"],
)
def test_a_service_in_trouble(
    systemctl: Systemctl, tmp_path: Path, changes: dict[str, str], state: str, said: str, todo: str
) -> None:
    systemctl.unit("gpulockd.service", **changes)
    finding = only(units.check(812, tmp_path), "service")
    assert finding.state == state
    assert said in finding.message
    assert todo in finding.next


@pytest.mark.parametrize("changes", [{"ActiveState": "inactive"}, {"UnitFileState": "disabled"}, {"LoadState": ""}])
def test_a_socket_unit_in_trouble(systemctl: Systemctl, tmp_path: Path, changes: dict[str, str]) -> None:
    systemctl.unit("gpulockd.socket", **changes)
    assert only(units.check(812, tmp_path), "listener").state == "warn"


def test_a_host_without_systemd_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not units.in_charge(tmp_path)
    assert only(units.check(None, tmp_path), "units").state == "skip"


def test_a_systemctl_that_fails_is_worth_a_warning(
    systemctl: Systemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpulockd.socket").unlink()
    assert only(units.check(812, tmp_path), "units").state == "warn"


# Clocks and files


def test_this_hosts_clocks_are_sane() -> None:
    findings = clocks.check()
    assert only(findings, "clock").state == "ok"
    assert only(findings, "wall clock").state in ("ok", "warn", "skip")


def test_clocks_that_are_not() -> None:
    assert clocks.boottime(100.0, 100.0).state == "ok"
    assert "1m 00s of them suspended" in clocks.boottime(160.0, 100.0).message
    assert clocks.boottime(90.0, 100.0).state == "fail"
    assert clocks.wall(documents.NOON, True).state == "ok"
    assert clocks.wall(documents.NOON, False).state == "warn"
    assert clocks.wall(documents.NOON, None).state == "skip"
    assert "1970-01-01" in clocks.wall(5.0, True).message


@pytest.mark.parametrize(("said", "synchronised"), [("yes", True), ("no", False), ("", None)])
def test_timedatectl_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, synchronised: bool | None
) -> None:
    script = tmp_path / "timedatectl"
    script.write_text(f"#!/bin/sh\necho {said}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert clocks.synchronised() is synchronised
    script.write_text("#!/bin/sh\nexit 1\n")
    assert clocks.synchronised() is None


def test_open_files_against_sessions(tmp_path: Path) -> None:
    def limited(soft: str) -> Finding:
        (tmp_path / "812").mkdir(exist_ok=True)
        (tmp_path / "812/limits").write_text(
            "Limit                     Soft Limit           Hard Limit           Units     \n"
            f"Max open files            {soft:<20} 1048576              files     \n"
        )
        return files.check(812, 4096, tmp_path)

    assert limited("65536").state == "ok"
    assert limited("unlimited").state == "ok"
    few = limited("1024")
    assert (few.state, few.message) == ("warn", "at most 1024 open files; 4096 sessions need 8320")
    assert files.check(812, None, tmp_path).state == "skip"
    assert files.check(813, 4096, tmp_path).state == "skip"
    assert files.check(os.getpid(), 1).state == "ok"


# The command


def test_doctor_with_a_daemon(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    status = documents.one_gpu()
    status["daemon"] |= {"pid": os.getpid(), "version": __version__}
    peer.answers |= {"status": status, "config": documents.settings()}
    peer.path.chmod(0o660)
    code = main(["doctor", "--json", "--socket", str(peer.path)])
    document = json.loads(capsys.readouterr().out)
    assert (code, document["healthy"], document["schema_version"]) == (0, True, 1)
    checks = {each["check"]: each["state"] for each in document["checks"]}
    assert checks.items() >= {"socket": "ok", "access": "ok", "daemon": "ok", "files": "skip", "gpus": "ok"}.items()


def test_doctor_without_a_daemon_still_looks_at_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gpulockd.sock"
    with socket.socket(socket.AF_UNIX) as unheard:
        unheard.bind(str(path))  # and nobody listens: what a stopped daemon leaves behind
        path.chmod(0o660)
        assert main(["doctor", "--socket", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok    socket")
    assert any(line.startswith("fail  daemon") for line in lines)
    assert any(line.startswith("ok    clock") for line in lines)
    assert lines[-1].endswith("not looked at") or "failure" in lines[-1]


def test_the_group_is_the_units_own() -> None:
    unit = Path(__file__).parents[2] / "systemd/gpulockd.socket"
    assert f"SocketGroup={endpoint.GROUP}" in unit.read_text()
    assert f"ListenStream={wire.DEFAULT_SOCKET}" in unit.read_text()
