"""The systemd units, by the word of systemd's own tools, and the promises that they make."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gpulock import wire
from gpulockd.config import Config
from gpulockd.server.admission import KEPT_FOR_ROOT
from gpulockd.server.keeping import OTHERS

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"

# systemd's measure of what a service could do to its host, in tenths: 0 is nothing at all, 100 everything.
EXPOSURE = 20


def tool(name: str) -> str:
    """The path of a tool of systemd; skips the test, saying why, where it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed, so the units go unchecked: run `make debian-tools` as root")
    return path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class Unit(dict[str, dict[str, list[str]]]):
    """A unit file: section -> key -> its values, in order (systemd lets a key come again to say more)."""

    def __init__(self, path: Path) -> None:
        section: dict[str, list[str]] = {}
        for line in path.read_text().splitlines():
            if line.startswith("["):
                section = self.setdefault(line.strip("[]"), {})
            elif "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                section.setdefault(key, []).append(value)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The root of a host with systemd's own units, ours, and an executable where ours expect the daemon."""
    own = next(
        (path for path in map(Path, ("/usr/lib/systemd/system", "/lib/systemd/system")) if path.is_dir()),
        None,
    )
    if own is None:
        pytest.skip("systemd's own units are not installed: run `make debian-tools` as root")
    shutil.copytree(own, tmp_path / "usr/lib/systemd/system", symlinks=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    system = tmp_path / "etc/systemd/system"
    system.mkdir(parents=True)
    for unit in UNITS.glob("gpulockd.*"):
        shutil.copy(unit, system)
    for key in ("ExecStart", "ExecReload"):
        (command,) = Unit(UNITS / "gpulockd.service")["Service"][key]
        executable = tmp_path / command.split()[0].lstrip("/")
        executable.parent.mkdir(parents=True, exist_ok=True)
        executable.write_text("#!/bin/sh\n")
        executable.chmod(0o755)
    return tmp_path


def verify(host: Path) -> subprocess.CompletedProcess[str]:
    return run(tool("systemd-analyze"), "verify", f"--root={host}", "gpulockd.service", "gpulockd.socket")


def test_verify_has_nothing_to_say(host: Path) -> None:
    done = verify(host)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verify_would_have_said_something(host: Path) -> None:
    """The test above would be worth nothing if the tool did not read our units in that root."""
    service = host / "etc/systemd/system/gpulockd.service"
    service.write_text(service.read_text().replace("WatchdogSec=", "WatchDogSec="))
    assert "WatchDogSec" in verify(host).stderr


def test_exposure_is_low() -> None:
    done = run(
        tool("systemd-analyze"),
        "security",
        "--offline=true",
        f"--threshold={EXPOSURE}",
        str(UNITS / "gpulockd.service"),
    )
    assert done.returncode == 0, done.stdout
    assert "Overall exposure level for gpulockd.service" in done.stdout


def test_sysusers_makes_the_user_and_the_group(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = run(tool("systemd-sysusers"), f"--root={tmp_path}", str(UNITS / "sysusers.d/gpulockd.conf"))
    assert done.returncode == 0, done.stderr
    groups = {line.split(":")[0]: line.split(":")[2] for line in (tmp_path / "etc/group").read_text().splitlines()}
    users = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert users["gpulockd"][3] == groups["gpulock"]
    assert users["gpulockd"][6].endswith("nologin")


@pytest.mark.root
def test_tmpfiles_makes_the_directory_and_a_first_configuration_once(tmp_path: Path) -> None:
    shipped = tmp_path / "opt/gpulockd/share/gpulockd/config.yml"
    shipped.parent.mkdir(parents=True)
    shipped.write_text("first: true\n")
    command = (
        tool("systemd-tmpfiles"),
        "--create",
        f"--root={tmp_path}",
        str(UNITS / "tmpfiles.d/gpulockd.conf"),
    )
    assert run(*command).returncode == 0
    assert (tmp_path / "run/gpulockd").stat().st_mode & 0o7777 == 0o755
    configuration = tmp_path / "etc/gpulockd/config.yml"
    assert configuration.read_text() == "first: true\n"

    configuration.write_text("edited: true\n")
    assert run(*command).returncode == 0
    assert configuration.read_text() == "edited: true\n"


def test_both_names_of_the_driver_are_allowed() -> None:
    service = Unit(UNITS / "gpulockd.service")["Service"]
    assert {"char-nvidia rw", "char-nvidia-frontend rw"} <= set(service["DeviceAllow"])
    assert service["PrivateDevices"] == ["no"]


def test_it_may_kill_and_nothing_more() -> None:
    service = Unit(UNITS / "gpulockd.service")["Service"]
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == ["CAP_KILL"]


def test_it_is_started_again_however_often_it_fails() -> None:
    service, socket = Unit(UNITS / "gpulockd.service"), Unit(UNITS / "gpulockd.socket")
    assert service["Service"]["Restart"] == ["always"]
    assert service["Unit"]["StartLimitIntervalSec"] == ["0"]
    assert socket["Socket"]["TriggerLimitIntervalSec"] == ["0"]


def test_nobody_sees_processes_hidden_or_strangers_renamed() -> None:
    service = Unit(UNITS / "gpulockd.service")["Service"]
    assert service["ProtectProc"] == ["default"]
    assert service["ProcSubset"] == ["all"]
    assert service["PrivateUsers"] == ["no"]


def test_the_socket_is_the_one_that_clients_look_for() -> None:

    socket = Unit(UNITS / "gpulockd.socket")["Socket"]
    assert socket["ListenStream"] == [wire.DEFAULT_SOCKET]
    assert socket["SocketGroup"] == ["gpulock"]
    assert socket["SocketMode"] == ["0660"]


def test_the_descriptor_store_has_room_for_every_session_and_the_daemon_knows_how_much() -> None:
    service = Unit(UNITS / "gpulockd.service")["Service"]
    (room,) = service["FileDescriptorStoreMax"]
    assert service["Environment"] == [f"GPULOCKD_FDSTORE={room}"]
    assert int(room) >= Config().daemon.max_sessions + KEPT_FOR_ROOT + OTHERS
