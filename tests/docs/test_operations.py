"""`docs/operations.md`: its messages, paths and permissions are those of the code, and its list of events is whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gpulock import link
from gpulock.documents import LeaseView
from gpulockd import config
from gpulockd.changes import versions
from gpulockd.config.environment import read_environment
from gpulockd.config.loading import DEFAULT_FILE
from gpulockd.core.actions import Announce
from gpulockd.http.metrics import Metrics
from gpulockd.http.routes import paths
from gpulockd.journal import directory, sqlite
from gpulockd.leases.scripts import PERMISSIONS, Keys
from gpulockd.logs.fields import NAMES, fields_of
from tests.http import documents

from .events import SOURCE, alarms
from .markdown import ROOT, Block, blocks, names, table
from .prose import commands, words

DOCUMENT = ROOT / "docs" / "operations.md"


def test_the_runbook_has_every_event_that_somebody_should_look_at() -> None:
    assert {names(row[0])[0] for row in table(DOCUMENT, "event").rows} == alarms()
    assert len(alarms()) > 10


def test_messages_are_spelled_as_the_daemon_spells_them() -> None:
    for row in table(DOCUMENT, "it says").rows:
        assert all(fragment in SOURCE for fragment in names(row[0])), row[0]
    client = Path(link.__file__).read_text()
    for row in table(DOCUMENT, "they see").rows:
        for fragment in names(row[0]):
            if " " in fragment:
                assert " at ".join(fragment.split(" at")[:1]) in client, fragment


def test_the_files_are_where_the_daemon_looks_for_them() -> None:
    listed = {names(row[0])[0] for row in table(DOCUMENT, "path").rows}
    daemon = config.Config().daemon
    state = daemon.state_dir
    expected = {daemon.socket, daemon.socket.parent, state, DEFAULT_FILE, DEFAULT_FILE.with_name("environment")}
    expected |= {state / name for name in (sqlite.FILE, sqlite.LOG, directory.PID_FILE, "lease.lock", "lease.epoch")}
    expected.add(state / versions.DIRECTORY)
    assert listed == {str(path) for path in expected}


def test_the_fields_of_the_log() -> None:
    """Those that are no name of what an event tells."""
    told = {name for name, _ in fields_of(Announce("gpu.sick", "", data={"gpu": "GPU-0", "reason": ""}), lambda _: 0)}
    told |= {"LOGGER", *NAMES.values()}
    assert {names(row[0])[0] for row in table(DOCUMENT, "field").rows} == told


def test_what_is_installed_is_shipped() -> None:
    typed = [words(said.text) for said in commands(DOCUMENT)]
    files = {word for line in typed if line[0] == "install" for word in line if "gpulockd." in word and word[0] != "/"}
    shipped = {str(path.relative_to(ROOT / "systemd")) for path in (ROOT / "systemd").rglob("*") if path.is_file()}
    assert files == shipped


def test_the_permissions_in_redis() -> None:
    (block,) = blocks(DOCUMENT, "redis")
    namespace = config.Config().redis.namespace
    line = f"ACL SETUSER gpulockd on >PASSWORD ~{namespace}:* &{namespace}:* {PERMISSIONS}"
    assert block.content.strip() == line


def test_the_keys_in_redis() -> None:
    keys, text = Keys(config.Config().redis.namespace), DOCUMENT.read_text()
    prefix = keys.released.removesuffix(":released")
    for key in (keys.lease("UUID"), keys.counter("UUID"), keys.heard, keys.snapshots):
        assert f"`{key.removeprefix(prefix + ':')}`" in text
    assert f"`{prefix}`" in text
    assert f"`{keys.released}`" in text


@pytest.mark.parametrize("block", blocks(DOCUMENT, "ini"), ids=lambda block: f"line-{block.line}")
def test_variables_are_settings(block: Block) -> None:
    environ = dict(line.split("=", 1) for line in block.content.splitlines())
    given, problems = read_environment(environ)
    assert (len(given), problems) == (len(environ), [])


def test_metrics_that_are_named_exist() -> None:
    body, _ = Metrics().exposition(documents.status(), "")
    named = set(re.findall(r"`(gpu_lock_\w+)`", DOCUMENT.read_text()))
    assert len(named) >= 5
    assert named - {"gpu_lock_monitor"} <= set(re.findall(r"^# TYPE (\w+)", body.decode(), re.MULTILINE))


def test_the_metrics_are_those_that_are_exported() -> None:
    held = documents.gpu(0, utilization=0.5, memory_used=1 << 30)
    lease: LeaseView = {**documents.LEASE, "kind": "redis", "ttl": 15.0, "age": 1.0}
    body, _ = Metrics().exposition(documents.status(held, lease=lease), "")
    exported = [
        [
            f"`{family.name}{'_total' if family.type == 'counter' else ''}`",
            family.type,
            ", ".join(
                f"`{label}`" for label in sorted({key for sample in family.samples for key in sample.labels} - {"le"})
            ),
            family.documentation,
        ]
        for family in text_string_to_metric_families(body.decode())
    ]
    assert table(DOCUMENT, "metric").rows == exported


def test_the_routes_are_those_that_are_served() -> None:
    assert table(DOCUMENT, "route").rows == [[f"`{path}`", meaning] for path, meaning in paths().items()]


def test_prometheus_is_told_the_right_port() -> None:
    http = config.Config().http
    assert f"{http.host}:{http.port}" in DOCUMENT.read_text()
