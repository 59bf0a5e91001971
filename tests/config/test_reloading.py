"""What of a configuration a running daemon takes over, and how two of them differ."""

from __future__ import annotations

from pathlib import Path

from gpulockd.config import NEEDS_RESTART, Loaded, Source, changes, core_settings, taken_over
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


def test_what_needs_a_restart_stays_as_it_runs_and_says_so() -> None:
    running = given("redis: {ttl: 20}")
    after = taken_over(running, given("gpu_lock: {max_wait_time: 1m}\nredis: {ttl: 30}\nhttp: {port: 9}"))
    assert (after.config.gpu_lock.max_wait_time, after.config.redis.ttl, after.config.http.port) == (60, 20, 8788)
    assert after.origins["redis.ttl"] == "/etc/gpulockd/config.yml:1:14, until a restart"
    assert after.origins["http.port"] == "default, until a restart"
    assert core_settings(after.config).max_wait_time == 60
    assert [each.key for each in changes(after, given(after.content.decode() if after.content else ""))] == [
        "redis.ttl",
        "http.port",
    ]


def test_the_environment_goes_before_what_is_read_again() -> None:
    source = Source(SOURCE.path, must_exist=True, environ={"GPULOCKD__GPU_LOCK__MAX_WAIT_TIME": "7"})
    assert changes(source.parsed(b"{}"), source.parsed(b"gpu_lock: {max_wait_time: 9}")) == []
