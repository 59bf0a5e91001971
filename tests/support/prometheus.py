"""Debian's promtool and Prometheus, as `make debian-tools` unpacks them: on the path, or in the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.lacking import lacks

from . import processes
from .waiting import wait_until

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpulockd" / "prometheus" / "usr" / "bin"


def program(name: str) -> str:
    """Where `promtool` or `prometheus` is; skips the test, saying what to do, where it is not."""
    found = shutil.which(name) or shutil.which(name, path=str(CACHE))
    if found is None:
        lacks(f"{name} is not there, so nothing of monitoring/ is checked by it: run `make debian-tools`")
    return found


def promtool(*arguments: str | Path, stdin: str = "") -> str:
    """What it says. Raises `AssertionError` where it finds anything wrong."""
    command = [program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


class Prometheus:
    """One that runs, to be asked."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._base}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that it gives now."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, what: str, **parameters: str) -> Any:
        address = f"{self._base}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]


@contextmanager
def scraping(port: int, target: int, rules: Path, directory: Path) -> Iterator[Prometheus]:
    """A Prometheus on `port` that scrapes 127.0.0.1:`target` once a second, as the job gpulockd."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "gpulockd", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
    }
    file = directory / "prometheus.yml"
    file.write_text(json.dumps(config))  # which is YAML, too
    command = [
        program("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    log = directory / "prometheus.log"
    with log.open("w") as output:
        process = processes.start(command, stdout=output, stderr=output)
    try:
        prometheus = Prometheus(port)
        wait_until(prometheus.ready, lambda: f"Prometheus is ready; its log:\n{log.read_text()}", within=60)
        yield prometheus
    finally:
        processes.end(process)
