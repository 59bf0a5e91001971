"""Symbols that documents name, defaults that code has of its own, and configurations that would be refused."""

from __future__ import annotations

import pytest

from .marked import CONFIG, Workshop, marks

PACKAGE = {
    "src/app/__init__.py": "from .lock import Lock, acquire\nfrom . import wire\n",
    "src/app/lock.py": """\
import os
from typing import NamedTuple

DEFAULT_LOCK_TIMEOUT = 600

class Base:
    def __init__(self):
        self.token = 1

class Lock(Base):
    held: bool = False
    def release(self): ...

class Point(NamedTuple):
    x: int

def acquire(poll_interval=0.5, *, max_wait_time=1800.0, timeout=3):
    return os.environ.get("GPU_LOCK_POLL_INTERVAL", 2)

def read(config):
    return config.get("max_poll_interval", 5), config.get("fallback_timeout", 30)
""",
    "src/app/wire.py": "from .lock import Lock as Held\n",
    "src/app/broken.py": "def (\n",
}

SYMBOLS = """\
`app.lock.Lock.release()`, `app.lock.Lock.token`, `«app.lock.Lock.relase»`, `app.acquire(poll_interval=1)`,
`«app.lock.aquire»`, `app.wire.Held.held`, `«app.wire.Held.gone»`, `Lock.release`, `«Lock.free()»`,
`Point.x`, `Point._fields`, `os.path.join`, `app.yml`, `@app.acquire`, `«app.gone»`
"""


@pytest.fixture
def package(workshop: Workshop) -> Workshop:
    for name, text in PACKAGE.items():
        workshop.write(name, text)
    return workshop


def test_symbols(package: Workshop) -> None:
    rules = "profile: generic\npackages: [src/app]\n"
    assert package.found(SYMBOLS, "symbol-missing", rules) == marks(SYMBOLS)[1]


def test_defaults_in_code(package: Workshop) -> None:
    package.write("guide.md", "Nothing.\n")
    rules = "profile: generic\npackages: [src/app]\nvariable_prefix: ''\nvariable_separator: _\n"
    told = [(str(each.place), each.says, each.truth) for each in package.audit(rules=rules).findings]
    assert told == [
        ("src/app/lock.py:4:24", "DEFAULT_LOCK_TIMEOUT is 600 here by default", "gpu_lock.lock_timeout is 3600"),
        ("src/app/lock.py:17:27", "poll_interval is 0.5 here by default", "gpu_lock.poll_interval is 2"),
        ("src/app/lock.py:21:44", "max_poll_interval is 5 here by default", "gpu_lock.max_poll_interval is 10"),
    ]


def test_a_key_that_no_code_names(package: Workshop) -> None:
    package.write("guide.md", "Nothing.\n")
    config = "poll_interval: 0.5\nmax-poll-interval: 5\nmax_wait_time: 1800\nlock_retries: 3\nfallback_timeout: 30\n"
    package.write("config.yml", f"gpu_lock:\n  {config.strip().replace(chr(10), chr(10) + '  ')}\n")
    rules = "profile: generic\npackages: [src/app]\n"
    told = [(str(each.place), each.says) for each in package.audit(rules=rules).findings if each.rule == "key-unread"]
    assert told == [("config.yml:5:3", "gpu_lock.lock_retries is set")]
    package.write("config.yml", "a: {one_thing: 1, other_thing: 2, poll_interval: 0.5}\n")
    assert package.audit(rules=rules).findings == [], "code that names hardly any key reads them in another way"


def test_settings_that_contradict_each_other_are_told_by_the_daemons_own_rules(workshop: Workshop) -> None:
    workshop.write("config.yml", CONFIG.replace("max_poll_interval: 10", "max_poll_interval: 1"))
    workshop.write("guide.md", "```yaml\n# an example\ngpu_lock_monitor:\n  heartbeat:\n    interval: 400\n```\n")
    findings = workshop.audit().findings
    assert [(each.rule, str(each.place)) for each in findings] == [
        ("settings-refused", "config.yml:4:18"),
        ("block-refused", "guide.md:5:15"),
    ]
    assert "must be at most gpu_lock.max_poll_interval" in findings[0].message


def test_the_order_that_a_rules_file_wants(workshop: Workshop) -> None:
    workshop.write("guide.md", "```yaml\n# example\ngpu_lock:\n  max_wait_time: 2h\n  lock_timeout: 90 min\n```\n")
    rules = "profile: generic\norder:\n  - {smaller: gpu_lock.max_wait_time, larger: gpu_lock.lock_timeout, why: so}\n"
    (finding,) = workshop.audit(rules=rules).findings
    assert (finding.rule, str(finding.place), finding.hint) == ("block-refused", "guide.md:4:18", "so")
    assert finding.says == "gpu_lock.max_wait_time is 2h, and must be at most gpu_lock.lock_timeout, 90 min"
