"""systemd: are the units installed, enabled and running, and is the daemon that answers theirs?"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .finding import Finding

_PATIENCE = 10.0  # seconds for systemctl
_ASKED = ("LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID", "NRestarts", "Result")


_BOOTED = Path("/run/systemd/system")


def in_charge(booted: Path = _BOOTED) -> bool:
    """Whether systemd starts and stops things here; it makes the directory `booted` early in the boot."""
    return booted.is_dir() and shutil.which("systemctl") is not None


def check(daemon_pid: int | None, booted: Path = _BOOTED) -> list[Finding]:
    """`daemon_pid` is who answers at the socket, None where nobody does."""
    systemctl = shutil.which("systemctl")
    if systemctl is None or not booted.is_dir():
        return [Finding("units", "skip", "this host was not started by systemd")]
    service = _show(systemctl, "gpulockd.service")
    listener = _show(systemctl, "gpulockd.socket")
    if service is None or listener is None:
        return [Finding("units", "warn", "systemctl does not answer", "systemctl status gpulockd")]
    return [_service(service, daemon_pid), _socket(listener)]


def _service(unit: dict[str, str], daemon_pid: int | None) -> Finding:
    if missing := _missing("gpulockd.service", unit):
        return missing
    said = f"gpulockd.service is {unit['ActiveState']} ({unit['SubState']}), {unit['UnitFileState']}"
    restarts = unit["NRestarts"]
    if restarts not in ("", "0"):
        said += f", restarted {restarts} times"
    if unit["ActiveState"] != "active":
        result = f", result {unit['Result']}" if unit["Result"] not in ("", "success") else ""
        return Finding("service", "fail", said + result, "systemctl start gpulockd; journalctl -u gpulockd -n 30")
    if daemon_pid is not None and unit["MainPID"] != str(daemon_pid):
        message = f"{said}, but pid {daemon_pid} answers at the socket, not its pid {unit['MainPID']}"
        return Finding("service", "warn", message, "is GPULOCK_SOCKET or --socket another daemon's?")
    if unit["UnitFileState"] not in ("enabled", "static", "indirect"):
        return Finding("service", "warn", f"{said}: it will not start at boot", "systemctl enable gpulockd.service")
    return Finding("service", "ok", said)


def _socket(unit: dict[str, str]) -> Finding:
    if missing := _missing("gpulockd.socket", unit):
        return missing
    said = f"gpulockd.socket is {unit['ActiveState']}, {unit['UnitFileState']}"
    if unit["ActiveState"] != "active" or unit["UnitFileState"] != "enabled":
        return Finding("listener", "warn", said, "systemctl enable --now gpulockd.socket")
    return Finding("listener", "ok", said)


def _missing(name: str, unit: dict[str, str]) -> Finding | None:
    if unit["LoadState"] == "loaded":
        return None
    check = "service" if name.endswith(".service") else "listener"
    return Finding(check, "warn", f"{name} is {unit['LoadState'] or 'unknown'}", "install systemd/ of the distribution")


def _show(systemctl: str, unit: str) -> dict[str, str] | None:
    command = [systemctl, "show", unit, *(f"--property={name}" for name in _ASKED)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return {name: found.get(name, "") for name in _ASKED}
