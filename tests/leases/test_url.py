"""`redis.url`: every form that is understood, and errors that never show a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpulockd.leases.client import open_client
from gpulockd.leases.scripts import Keys
from gpulockd.leases.url import Target, parse
from gpulockd.ports import StartupRefused


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://cache", Target("single", nodes=(("cache", 6379),))),
        ("redis://cache:7000/3", Target("single", nodes=(("cache", 7000),), db=3)),
        ("redis://cache?db=3", Target("single", nodes=(("cache", 6379),), db=3)),
        ("redis://[::1]:7000", Target("single", nodes=(("::1", 7000),))),
        ("redis://:word@cache", Target("single", nodes=(("cache", 6379),), password="word")),
        ("redis://gpu@cache", Target("single", nodes=(("cache", 6379),), username="gpu")),
        (
            "redis://g%40pu:w%2Fo%3Ard%25@cache",
            Target("single", nodes=(("cache", 6379),), username="g@pu", password="w/o:rd%"),
        ),
        ("redis://gpu:w@rd@cache", Target("single", nodes=(("cache", 6379),), username="gpu", password="w@rd")),
        (
            "rediss://cache?ssl_cert_reqs=none",
            Target("single", tls=True, nodes=(("cache", 6379),), options={"ssl_cert_reqs": "none"}),
        ),
        ("unix:///run/redis.sock", Target("single", path="/run/redis.sock")),
        ("unix:///run/my%20redis.sock?db=2", Target("single", path="/run/my redis.sock", db=2)),
        (
            "unix://gpu:word@/run/redis.sock",
            Target("single", path="/run/redis.sock", username="gpu", password="word"),
        ),
        (
            "unix:///run/redis.sock?password=w%26rd",
            Target("single", path="/run/redis.sock", password="w&rd"),
        ),
        (
            "redis+sentinel://gpu:word@a,b:7001,[::1]:7002/main/4?sentinel_password=quiet",
            Target(
                "sentinel",
                nodes=(("a", 26379), ("b", 7001), ("::1", 7002)),
                service="main",
                db=4,
                username="gpu",
                password="word",
                options={"sentinel_password": "quiet"},
            ),
        ),
        ("rediss+sentinel://a/main", Target("sentinel", tls=True, nodes=(("a", 26379),), service="main")),
        ("redis+cluster://a:7000,b", Target("cluster", nodes=(("a", 7000), ("b", 6379)))),
        ("rediss+cluster://a/", Target("cluster", tls=True, nodes=(("a", 6379),))),
    ],
)
def test_every_form(url: str, target: Target) -> None:
    assert parse(url) == target


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("cache:6379", "it does not begin with a known scheme"),
        ("http://cache", "it does not begin with a known scheme"),
        ("redis://", "a host is missing"),
        ("redis://:6379", "a host is missing"),
        ("redis://cache:99999", "a port is not a number up to 65535"),
        ("redis://cache:port", "a port is not a number up to 65535"),
        ("redis://[::1", "the host is malformed"),
        ("redis://cache/first", "the database is not a number"),
        ("redis://cache/1/2", "there is too much after the hosts"),
        ("redis://cache/1?db=2", "it names the database twice"),
        ("redis://cache?db=1&db=2", "an option after the ? stands there twice"),
        ("redis://cache?socket_timeout=60", "an option after the ? is not known here (known: db)"),
        ("redis://a,b", "redis:// names one server; write redis+sentinel:// or redis+cluster://"),
        ("unix://run/redis.sock", "a Unix socket needs an absolute path"),
        ("unix://", "a Unix socket needs an absolute path"),
        ("unix://u:one@/run/redis.sock?password=two", "it has two passwords"),
        ("redis+sentinel://a,b", "the name by which the sentinels know the master is missing"),
        ("redis+sentinel://a,,b/main", "a host is missing"),
        ("redis+cluster://a/2", "a cluster has no databases"),
        ("redis+cluster://a?db=2", "an option after the ? is not known here (known: none)"),
        ("redis://:pa/ss@cache", "a port is not a number up to 65535"),
        ("redis://:pa#ss@cache", "it contains the sign #"),
        ("redis://:pa?ss@cache", "an option after the ? is not known here"),
        ("redis://:1234/ss@cache", "a host is missing"),
    ],
)
def test_every_error(url: str, why: str) -> None:
    with pytest.raises(StartupRefused) as caught:
        parse(url)
    assert str(caught.value).startswith("redis.url cannot be used: ")
    assert why in str(caught.value)
    assert "unix:///PATH" in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2/x@cache",
        "redis://:hunter2#x@cache",
        "redis://:hunter2?x@cache",
        "redis://:x/hunter2@cache:1",
        "redis://gpu:hunter2@cache:port",
        "redis://gpu:hunter2@[::1",
        "redis://gpu:hunter2@[nothing]",
        "redis://gpu:hunter2@cache/1/2",
        "redis://gpu:hunter2@ca\u2100che",
        "hunter2://cache",
        "unix://gpu:hunter2@run/redis.sock",
        "unix:///run/redis.sock?passwort=hunter2",
        "redis+sentinel://a/main/x?sentinel_password=hunter2",
    ],
)
def test_no_error_shows_a_password(url: str) -> None:
    with pytest.raises(StartupRefused) as caught:
        parse(url)
    shown: BaseException | None = caught.value
    while shown is not None:
        assert "hunter2" not in str(shown)
        shown = None if shown.__suppress_context__ else shown.__context__
    assert "hunter2" not in caught.value.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://gpu:word@cache:7000/3", "redis://cache:7000/3"),
        ("rediss://:word@[::1]", "rediss://[::1]:6379/0"),
        ("unix://gpu:word@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("redis+sentinel://gpu:word@a,b/main?sentinel_password=word", "redis+sentinel://a:26379,b:26379/main"),
        ("rediss+cluster://gpu:word@a", "rediss+cluster://a:6379"),
    ],
)
def test_what_people_see_has_no_credentials(url: str, shown: str) -> None:
    assert str(parse(url)) == shown
    assert "word" not in repr(parse(url))


def test_a_password_file_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    target = parse("redis://gpu@cache")
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(StartupRefused, match=r"redis\.password_file is empty"):
        open_client(target, str(empty), 1)
    with pytest.raises(StartupRefused, match=r"redis\.password_file cannot be read: .*No such file"):
        open_client(target, str(tmp_path / "none"), 1)
    with pytest.raises(StartupRefused, match=r"redis\.password_file is set, and redis.url has a password too"):
        open_client(parse("redis://:word@cache"), str(empty), 1)


def test_tls_options_that_cannot_be_used_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupRefused, match="ssl_ca_certs names no file"):
        open_client(parse(f"rediss://cache?ssl_ca_certs={tmp_path}/none.pem"), "", 1)
    with pytest.raises(StartupRefused, match="ssl_cert_reqs is something else"):
        open_client(parse("rediss://cache?ssl_cert_reqs=perhaps"), "", 1)


@pytest.mark.parametrize("namespace", ["", "gpu lock", "gpu{lock", "}", "gpu\nlock"])
def test_a_namespace_that_would_break_the_hash_tag_is_refused(namespace: str) -> None:
    with pytest.raises(StartupRefused, match=r"redis\.namespace cannot be"):
        Keys(namespace)
