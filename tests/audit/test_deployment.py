"""Unit files, compose files and alert rules against the configuration; and the running daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpulockd.audit import Live, Request, Setting, audit

from .marked import PROFILES, Workshop

ROOT = Path(__file__).parents[2]
Told = list[tuple[str, str, str]]


def told(workshop: Workshop, rules: str | None = None) -> Told:
    workshop.write("guide.md", "Nothing.\n")
    return [(str(each.place), each.says, each.truth) for each in workshop.audit(rules=rules).findings]


def test_units(workshop: Workshop) -> None:
    workshop.write("systemd/gpulockd.socket", "[Socket]\nListenStream=/run/gpulockd/gpulockd.sock\n")
    workshop.write("systemd/gpulockd.service", "[Service]\n# GPU_LOCK_POLL_INTERVAL=9\nLimitNOFILE=65536\n")
    assert told(workshop) == []
    workshop.write("systemd/gpulockd.socket", "[Socket]\nListenStream=/run/gpulockd.sock\n")
    unit = "[Service]\nLimitNOFILE=8000\nEnvironment=GPU_LOCK_POLL_INTERVAL=0.5 GPULOCKD__HTTP__PORT=8788\n"
    workshop.write("systemd/gpulockd.service", unit)
    service, socket = "systemd/gpulockd.service", "systemd/gpulockd.socket"
    assert told(workshop) == [
        (f"{service}:2:13", "LimitNOFILE=8000 stands here", "it must be at least 2 times daemon.max_sessions, 4096"),
        (f"{service}:3:36", "GPU_LOCK_POLL_INTERVAL is 0.5 here", "gpu_lock.poll_interval is 2"),
        (
            f"{socket}:2:14",
            "ListenStream=/run/gpulockd.sock stands here",
            "it must be daemon.socket, /run/gpulockd/gpulockd.sock",
        ),
    ]


def test_compose_files_and_thresholds_by_the_rules_file(workshop: Workshop) -> None:
    workshop.write("compose.yml", "services:\n  d:\n    ports: ['127.0.0.1:8788:8799']\n    environment:\n"
                   "      GPU_LOCK_MAX_WAIT_TIME: 300\n      - GPU_LOCK_LOCK_TIMEOUT=${T}\n")  # fmt: skip
    workshop.write("alerts.yml", "groups:\n  - rules:\n      - alert: LongWait\n        expr: wait_seconds > 900\n")
    rules = """\
alerts: [alerts.yml]
bindings:
  - {files: "compose*.yml", pattern: ":(\\\\d+)'", key: http.port}
  - {files: alerts.yml, pattern: "wait_seconds > (\\\\d+)", key: gpu_lock.max_wait_time, relation: equals, why: so}
"""
    assert told(workshop, rules) == [
        ("alerts.yml:4:30", "wait_seconds > 900 stands here", "it must be gpu_lock.max_wait_time, 1800"),
        ("compose.yml:3:29", ":8799' stands here", "it must be http.port, 8788"),
        ("compose.yml:5:31", "GPU_LOCK_MAX_WAIT_TIME is 300 here", "gpu_lock.max_wait_time is 1800"),
    ]
    workshop.write("guide.md", "| alert | meaning |\n|---|---|\n| `LongWait` | x |\n| `LongerWait` | x |\n")
    unknown = [each for each in workshop.audit(rules=rules).findings if each.rule == "alert-unknown"]
    assert [str(each.place) for each in unknown] == ["guide.md:4:4"]


def test_the_running_daemon(workshop: Workshop) -> None:
    guide = workshop.write("guide.md", "`gpu_lock_held` and `gpu_lock_waiters`\n")
    settings = {
        "gpu_lock.poll_interval": Setting("gpu_lock.poll_interval", 5, "from environment GPU_LOCK_POLL_INTERVAL"),
        "gpu_lock.max_wait_time": Setting("gpu_lock.max_wait_time", 1800, "from /etc/gpulockd/config.yml:3:4"),
        "redis.url": Setting("redis.url", "redis://:***@localhost", "from environment"),
        "daemon.kill_grace": Setting("daemon.kill_grace", 7, "from /etc/gpulockd/config.yml:9:3"),
    }
    live = Live(settings, frozenset({"gpu_lock_held"}))
    found = audit(Request(workshop.root, [workshop.root / "config.yml"], [guide], None, PROFILES, live)).findings
    assert [(each.rule, str(each.place), each.truth, each.origin) for each in found] == [
        ("live-differs", "config.yml:1:1", "the running daemon has 7", "from /etc/gpulockd/config.yml:9:3"),
        ("live-differs", "config.yml:4:3", "the running daemon has 5", "from environment GPU_LOCK_POLL_INTERVAL"),
        ("live-metric-missing", "guide.md:1:22", "the running daemon does not serve it", ""),
    ]


OWN = {
    "the watchdog": ("systemd/gpulockd.service", "WatchdogSec=30s", "WatchdogSec=40s"),
    "the descriptors": ("systemd/gpulockd.service", "LimitNOFILE=65536", "LimitNOFILE=8000"),
    "the socket": ("systemd/gpulockd.socket", "/run/gpulockd/gpulockd.sock", "/run/gpulockd.sock"),
    "the threshold of those who wait": ("monitoring/alerts/gpu_lock.yml", "seconds) > 900", "seconds) > 1801"),
    "the threshold of those who waited": (
        "monitoring/alerts/gpu_lock.yml",
        ") > 900\n          or",
        ") > 1801\n          or",
    ),
    "the port": ("monitoring/alerts/gpu_lock.yml", "127.0.0.1:8788", "127.0.0.1:8789"),
}


@pytest.mark.parametrize(("file", "right", "wrong"), OWN.values(), ids=OWN)
def test_this_projects_own_files_follow_from_its_configuration(
    workshop: Workshop, file: str, right: str, wrong: str
) -> None:
    for name in ("config.yml", "systemd/gpulockd.service", "systemd/gpulockd.socket", "monitoring/alerts/gpu_lock.yml"):
        workshop.write(name, (ROOT / name).read_bytes())
    rules = (ROOT / "audit.yml").read_text() + "off: [edition-missing]\n"
    assert told(workshop, rules) == []
    text = (ROOT / file).read_text()
    assert text.count(right) == 1
    workshop.write(file, text.replace(right, wrong))
    assert [place.partition(":")[0] for place, *_ in told(workshop, rules)] == [file]
