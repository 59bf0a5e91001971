"""`gpulockctl doctor`: checks this installation, whether the daemon is up or not. Exits with 1 if a check failed."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpulock.errors import GpulockError

from ..context import Context
from ..doctor import clocks, endpoint, files, service, units
from ..doctor.finding import Finding
from ..render.findings import picture


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def run(context: Context, arguments: argparse.Namespace) -> int:  # noqa: ARG001  # every command has this form
    findings = examine(context)
    failed = any(finding.state == "fail" for finding in findings)
    context.answer(
        {"healthy": not failed, "checks": [finding._asdict() for finding in findings]},
        lambda look: picture(findings, look),
    )
    return int(failed)


def examine(context: Context) -> list[Finding]:
    systemd = units.in_charge()
    findings = endpoint.check(Path(context.socket), systemd=systemd)
    pid = None
    try:
        with context.client() as client:
            status = client.call("status")
            config = client.call("config")
    except GpulockError as error:
        findings += service.unreachable(error.message, systemd=systemd)
    else:
        pid = status["daemon"]["pid"]
        settings = {each["key"]: each["value"] for each in config["settings"]}
        findings += [*service.check(status), service.configuration(config)]
        findings.append(files.check(pid, settings.get("daemon.max_sessions")))
    return [*findings, *units.check(pid), *clocks.check()]
