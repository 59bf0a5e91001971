"""The daemon and what it says of itself: version, journal, lease, driver, GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpulock.durations import format_duration

from ...version import __version__
from .finding import Finding

if TYPE_CHECKING:
    from gpulock.configuration import ConfigDocument
    from gpulock.documents import GpuView, LeaseView, QuarantineView, StatusDocument

_LOG = "journalctl -u gpulockd -n 30"


def unreachable(why: str, *, systemd: bool, proc: Path = Path("/proc")) -> list[Finding]:
    """What is known of a daemon that does not answer."""
    todo = f"systemctl status gpulockd; {_LOG}" if systemd else "start gpulockd, or read why it ended in its log"
    return [Finding("daemon", "fail", why, todo), _driver_without_daemon(proc)]


def check(status: StatusDocument) -> list[Finding]:
    daemon = status["daemon"]
    return [
        _version(daemon["version"], daemon["pid"], daemon["uptime"]),
        _journal(daemon["journal"]),
        _lease(status["lease"]),
        _driver(daemon["driver"], simulated=daemon["simulated"]),
        *_gpus(status["gpus"]),
    ]


def configuration(document: ConfigDocument) -> Finding:
    file = document["file"]
    if not document["edited"]:
        return Finding("configuration", "ok", f"what {file} holds is in force")
    message = f"{file} holds something else by now, which is not in force"
    return Finding("configuration", "warn", message, "gpulockctl config reload --dry-run says what it would change")


def _version(theirs: str, pid: int, uptime: float) -> Finding:
    said = f"gpulockd {theirs}, pid {pid}, up {format_duration(uptime)}"
    if theirs == __version__:
        return Finding("daemon", "ok", said)
    message = f"{said}, but this gpulockctl is {__version__}"
    return Finding("daemon", "warn", message, "systemctl restart gpulockd; locks are kept meanwhile")


def _journal(state: str) -> Finding:
    if state == "ok":
        return Finding("journal", "ok", "it is written")
    return Finding(
        "journal", "fail", f"it cannot be written, so nothing is granted: {state}", "df; journalctl -u gpulockd"
    )


def _lease(lease: LeaseView) -> Finding:
    age = "" if lease["age"] is None or lease["ttl"] is None else f", renewed {format_duration(lease['age'])} ago"
    ttl = "" if lease["ttl"] is None else f", good for {format_duration(lease['ttl'])}"
    said = f"{lease['kind']} lease {lease['state']}{age}{ttl}"
    if lease["state"] == "held":
        return Finding("lease", "ok", said)
    message = f"{said}: {lease['why']}" if lease["why"] else said
    todo = "is Redis up, and redis.url right? gpulockctl config show" if lease["kind"] == "redis" else _LOG
    if lease["state"] == "degraded":
        return Finding("lease", "fail", f"{message}; nothing new is granted", todo)
    return Finding("lease", "warn", message, todo)


def _driver(driver: str, *, simulated: bool) -> Finding:
    if simulated:
        return Finding("driver", "warn", "SIMULATED: no hardware is used", "start gpulockd without --simulate")
    return Finding("driver", "ok", driver)


def _driver_without_daemon(proc: Path) -> Finding:
    try:
        first = (proc / "driver/nvidia/version").read_text().partition("\n")[0]
    except OSError:
        return Finding(
            "driver",
            "warn",
            "no NVIDIA driver is loaded",
            "install it, or try gpulockd out with: gpulockd --simulate 2",
        )
    return Finding("driver", "ok", first.removeprefix("NVRM version: ").strip())


def _gpus(gpus: list[GpuView]) -> list[Finding]:
    if not gpus:
        return [Finding("gpus", "fail", "the daemon has none", "nvidia-smi -L")]
    findings = []
    for gpu in gpus:
        name, why = f"GPU {gpu['index']}", f"gpulockctl why {gpu['index']}"
        if gpu["fault"] is not None:
            findings.append(Finding("gpus", "fail", f"{name} is sick: {gpu['fault']}", why))
        elif gpu["quarantine"] is not None:
            findings.append(Finding("gpus", "warn", f"{name} is in quarantine: {_blame(gpu['quarantine'])}", why))
        elif gpu["elsewhere"] is not None:
            findings.append(Finding("gpus", "warn", f"{name} is leased by host {gpu['elsewhere']['host']}", why))
    drained = sum(gpu["drained"] is not None for gpu in gpus)
    said = f"{len(gpus) - drained} in service" + (f", {drained} drained" if drained else "")
    return findings or [Finding("gpus", "ok", said)]


def _blame(quarantine: QuarantineView) -> str:
    if pids := ", ".join(str(culprit["pid"]) for culprit in quarantine["culprits"]):
        return f"pid {pids} is still on it"
    if quarantine["awaited"]:
        return f"the driver cannot tell who is on it, and pid {quarantine['holder']['pid']}, who had it, may live"
    return "being looked at"
