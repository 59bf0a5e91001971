"""Which file is read, what is left at its default, and where each value came from."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from gpulockd.config import Config, load
from gpulockd.config.keys import SETTINGS, value_of

from .conftest import Loads


def test_without_a_file_there_are_the_defaults(tmp_path: Path) -> None:
    loaded = load(None, {}, tmp_path / "absent.yml")
    assert loaded.config == Config()
    assert loaded.file is None
    assert loaded.origins == dict.fromkeys(SETTINGS, "default")


def test_the_default_file_is_read_where_there_is_one(tmp_path: Path) -> None:
    there = tmp_path / "config.yml"
    there.write_text("http: {port: 1}\n")
    loaded = load(None, {}, there)
    assert loaded.file == there
    assert loaded.config.http.port == 1
    assert loaded.origins["http.port"] == f"{there}:1:14"


def test_a_named_file_takes_its_place(tmp_path: Path) -> None:
    default, named = tmp_path / "default.yml", tmp_path / "named.yml"
    default.write_text("http: {port: 1}\n")
    named.write_text("http: {host: '::1'}\n")
    assert load(named, {}, default).config == Config.model_validate({"http": {"host": "::1"}})


def test_a_default_file_that_cannot_be_read_is_no_reason_to_run_on_the_defaults(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="cannot be read: Is a directory"):
        load(None, {}, tmp_path)


def test_the_place_of_a_value_is_where_it_begins(loads: Loads) -> None:
    loaded = loads("daemon:\n  admins:\n    - root\n  host: >\n    a\n")
    assert loaded.origins["daemon.admins"] == "config.yml:3:5"
    assert loaded.origins["daemon.host"] == "config.yml:4:9"
    assert loaded.origins["daemon.socket"] == "default"


def test_a_section_without_a_line_is_an_empty_one(loads: Loads) -> None:
    content = "gpu_lock:\n  # poll_interval: 3\nredis:\ngpu_lock_monitor:\n  timeout_levels:\n"
    assert loads(content, {"GPULOCKD__REDIS__TTL": "30"}).config == Config.model_validate({"redis": {"ttl": 30}})


def test_a_file_may_begin_with_a_byte_order_mark(loads: Loads) -> None:
    loaded = loads(b"\xef\xbb\xbfhttp: {port: 3}\n")
    assert (loaded.config.http.port, loaded.origins["http.port"]) == (3, "config.yml:1:14")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5", 1.5), ("'90'", 90), ("30m", 1800), ("1h30m", 5400), ("forever", math.inf)]
)
def test_durations(text: str, seconds: float, loads: Loads) -> None:
    assert loads(f"gpu_lock: {{max_wait_time: {text}}}\n").config.gpu_lock.max_wait_time == seconds


def test_a_configuration_cannot_be_changed(loads: Loads) -> None:
    config = loads("{}").config
    with pytest.raises(ValidationError, match="frozen"):
        config.http.port = 1
    with pytest.raises(ValidationError, match="frozen"):
        config.gpu_lock_monitor.heartbeat = config.gpu_lock_monitor.heartbeat
    for key in SETTINGS:
        hash(value_of(config, key))
