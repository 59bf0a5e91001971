"""The description of HTTP is valid OpenAPI, names every route, and is what a daemon answers: schemathesis tries it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gpulockd.http import HttpServer, Metrics
from gpulockd.http.openapi import describe
from gpulockd.http.routes import ROUTES, paths
from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.ports import free_port

from .documents import LEASE, gpu, in_quarantine, lock, request, status

SCHEMATHESIS = (sys.executable, "-m", "schemathesis.cli")
RUN = (
    "run",
    *("--checks=all", "--max-examples=20", "--seed=1", "--no-color", "--generation-database=none"),
)
STREAMS = "max-stream-events = 1\n"
"""Of the stream of boards, the first: it has no end, and the next may be seconds away."""
EVERYTHING = status(
    gpu(0, state="held", lock="L1-1"),
    in_quarantine(1),
    gpu(2, drained="repair", blocked=["drained: repair"]),
    queue=[request(1, 7.5)],
    locks=[lock("L1-1", beat_age=4.0, progress=0.5)],
    lease={**LEASE, "kind": "redis", "ttl": 15.0, "age": 2.0},
)


def test_the_description_is_valid_and_names_every_route() -> None:
    description = describe("1.2.3")
    OpenAPIV31SpecValidator(description).validate()
    assert description["info"]["version"] == "1.2.3"
    app = HttpServer("127.0.0.1", 0, status=lambda: EVERYTHING, metrics=Metrics()).application()
    served = {route.resource.canonical for route in app.router.routes() if route.resource is not None}
    assert set(description["paths"]) == served == set(paths())
    assert {method for route in description["paths"].values() for method in route} == {"get"}
    assert {route.method for route in app.router.routes()} == {"GET", "HEAD"}


def test_only_health_says_503_with_an_answer() -> None:
    described = describe("1.2.3")["paths"]
    healthy = {path for path in described if path.endswith("/health")}
    assert {route.path for route in ROUTES if route.is_health} == healthy
    assert len(healthy) == 4


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """Every check that it has, against a daemon with a lock held, one waited for, and one in the past."""
    port = free_port()
    with (
        Daemon(tmp_path, simulate=2, settings={"http.port": port}) as daemon,
        Frames(daemon.socket) as frames,
        Frames(daemon.socket) as other,
    ):
        frames.call("acquire", gpus=1, task="earlier")
        frames.call("release")
        frames.call("acquire", gpus=2, task="ocr")
        frames.call("beat", progress=0.5, note="page 7")
        other.send("acquire", gpus=1, task="waiting")
        description = tmp_path / "openapi.json"
        description.write_text(json.dumps(describe("1.2.3")))
        config = tmp_path / "schemathesis.toml"
        config.write_text(STREAMS)
        command = [*SCHEMATHESIS, f"--config-file={config}", *RUN, f"--url=http://127.0.0.1:{port}", str(description)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout, done.stdout
    assert f"Tested: {len(paths())}" in done.stdout, done.stdout
