"""What of a configuration a running daemon takes over, and how two of them differ."""

from __future__ import annotations

from pathlib import Path

from gpulockd.config import NEEDS_RESTART, Loaded, Source, changes, needing_restart
from gpulockd.config.keys import SETTINGS
from gpulockd.config.reloading import Change

SOURCE = Source(Path("/etc/gpulockd/config.yml"), must_exist=True, environ={})


def given(text: str) -> Loaded:
    return SOURCE.parsed(text.encode())


def test_what_needs_a_restart_is_a_setting_with_a_reason() -> None:
    assert NEEDS_RESTART.keys() <= SETTINGS.keys()
    assert all(NEEDS_RESTART.values())


def test_equal_configurations_do_not_differ_however_they_are_written() -> None:
    assert changes(given("gpu_lock: {max_wait_time: 30m}"), given("# the default\n{}")) == []


def test_each_difference_is_told_with_what_it_takes() -> None:
    assert changes(given("{}"), given("gpu_lock: {max_wait_time: 15m}\nredis: {ttl: 20}")) == [
        Change("gpu_lock.max_wait_time", 1800, 900, needs_restart=False),
        Change("redis.ttl", 15, 20, needs_restart=True),
    ]


def test_a_profile_that_comes_or_goes_is_a_difference_in_each_of_its_settings() -> None:
    before, after = given("{}"), given("profiles: {film: {max_hold: 50m}}")
    came = changes(before, after)
    assert Change("profiles.film.max_hold", None, 3000, needs_restart=False) in came
    assert {each.key for each in came} == {each.key for each in changes(after, before)}
    assert all(each.key.startswith("profiles.film.") for each in came)


def test_a_password_makes_a_difference_and_is_not_shown() -> None:
    (change,) = changes(given("redis: {url: 'redis://:one@h'}"), given("redis: {url: 'redis://:two@h'}"))
    assert change.key == "redis.url"
    assert "one" not in str(change.before)
    assert "two" not in str(change.after)


def test_what_keeps_it_from_being_taken_over_is_told_by_its_place_and_both_values() -> None:
    running = given("redis: {ttl: 20}\nhttp:\n  host: 127.0.0.2\n")
    wanted = given("gpu_lock: {max_wait_time: 1m}\nhttp: {port: 9, host: 127.0.0.3}\ndaemon: {host: gpu-07}\n")
    problems = needing_restart(running, wanted)
    assert {(each.line, each.column): f"{each.key}: {each.message}" for each in problems} == {
        (2, 14): "http.port: 8788 is in force, and 9 needs a restart: it is open",
        (2, 23): "http.host: 127.0.0.2 is in force, and 127.0.0.3 needs a restart: the port is open on it",
        (3, 16): 'daemon.host: "" is in force, and gpu-07 needs a restart: the leases are held under this name',
        (None, None): "redis.ttl: 20 is in force, and 15, the default, needs a restart: the leases are held for it",
    }
    assert {each.file for each in problems} == {"/etc/gpulockd/config.yml"}
    harmless = given("redis: {ttl: 20}\nhttp: {host: 127.0.0.2}\ngpu_lock: {lock_timeout: 1m}")
    assert needing_restart(running, harmless) == []


def test_the_environment_goes_before_what_is_read_again() -> None:
    source = Source(SOURCE.path, must_exist=True, environ={"GPULOCKD__GPU_LOCK__MAX_WAIT_TIME": "7"})
    assert changes(source.parsed(b"{}"), source.parsed(b"gpu_lock: {max_wait_time: 9}")) == []
