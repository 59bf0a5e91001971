"""Documents in which `«` and `»` enclose what is wrong: what an audit must find, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from gpulockd.audit import Outcome, Request, audit
from gpulockd.audit.profiles import Profile
from gpulockd.audit.profiles.generic import Generic
from gpulockd.audit.profiles.gpulockd import Gpulockd
from gpulockd.ctl.commands.audit import own_program

CONFIG = """\
gpu_lock:
  max_wait_time: 1800
  lock_timeout: 3600
  poll_interval: 2
  max_poll_interval: 10
  use_event_driven: true
  fallback_timeout: 30
gpu_lock_monitor:
  monitor_interval: 30
  timeout_levels:
    warning: 1800
    hard_timeout: 7200
  heartbeat:
    interval: 60
redis:
  url: redis://localhost:6379/0
  namespace: gpulockd
http:
  port: 8788
"""

PROFILES: dict[str, Profile] = {"gpulockd": Gpulockd(own_program()), "generic": Generic()}


class Mark(NamedTuple):
    line: int
    column: int


def marks(text: str) -> tuple[str, list[Mark]]:
    """The document without its marks, and where each of them was."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        clean = re.sub("[«»]", "", line)
        found += [Mark(number, match.start() - line[: match.start()].count("«") - line[: match.start()].count("»") + 1)
                  for match in re.finditer("«", line)]  # fmt: skip
        assert len(clean) == len(line) - 2 * line.count("«"), f"a mark without its other half: {line}"
    return re.sub("[«»]", "", text), found


class Workshop:
    """A project in a folder of its own: a configuration, documents, and what else a test puts there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("config.yml", CONFIG)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def audit(self, *docs: str, rules: str | None = None) -> Outcome:
        path = None if rules is None else self.write("audit.yml", rules)
        paths = [self.root / name for name in docs or ("guide.md",)]
        return audit(Request(self.root, [self.root / "config.yml"], paths, path, PROFILES))

    def audit_of(self, *configs: str) -> Outcome:
        """Of the guide against these files, with the profile for any project."""
        rules = self.write("audit.yml", "profile: generic\n")
        paths = [self.root / name for name in configs]
        return audit(Request(self.root, paths, [self.root / "guide.md"], rules, PROFILES))

    def found(self, text: str, rule: str, rules: str | None = None) -> list[Mark]:
        """Where `rule` finds something in a document, read without its marks."""
        self.write("guide.md", marks(text)[0])
        findings = [each for each in self.audit(rules=rules).findings if each.rule == rule]
        return [Mark(each.place.line, each.place.column) for each in findings]
