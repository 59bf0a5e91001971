"""What is wrong in a file is told with its place, the key, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gpulockd.config import Config, ConfigError, load
from gpulockd.config.yamlfile import MAX_BYTES

from .conftest import Complaints, Loads

SECTIONS = "known here: gpu_lock, gpu_lock_monitor, redis, daemon, inventory, http, history, canary, profiles"
EMPTY = "remove the file to run on the defaults, or write {} into it"
BEGIN = "begin with a section, such as `gpu_lock:`"
DURATION = "30s, 5m, 2h, or seconds as a number"
REDIS_KEYS = "its keys: url, password_file, namespace, ttl, operation_timeout, on_loss"
RELATIVE = "a relative one would depend on where the daemon is started"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        # keys
        (
            "gpu_lock:\n    max_overtakes: 3\n    poll_intervall: 2\n",
            "config.yml:3:5: gpu_lock.poll_intervall: unknown key (did you mean poll_interval?)",
        ),
        ("http:\n  Port: 1\n", "config.yml:2:3: http.Port: unknown key (did you mean port?)"),
        ("http:\n  zzz: 1\n", "config.yml:2:3: http.zzz: unknown key (known here: host, port)"),
        ("poll_interval: 2\n", "config.yml:1:1: poll_interval: unknown key (did you mean gpu_lock.poll_interval?)"),
        ("http:\n  url: x\n", "config.yml:2:3: http.url: unknown key (did you mean redis.url?)"),
        (
            "gpu_lock_monitor:\n  timeout_levels:\n    waring: 3\n",
            "config.yml:3:5: gpu_lock_monitor.timeout_levels.waring: unknown key (did you mean warning?)",
        ),
        ("gpulock: {}\n", "config.yml:1:1: gpulock: unknown key (did you mean gpu_lock?)"),
        ("xyz: 1\n", f"config.yml:1:1: xyz: unknown key ({SECTIONS})"),
        ("1: 1\n", f"config.yml:1:1: 1: unknown key ({SECTIONS})"),
        (
            "redis:\n  ttl: 20\n\n  ttl: 30\n",
            "config.yml:4:3: redis.ttl: given twice (the first is on line 2; keep one of them)",
        ),
        (
            "redis: {}\nredis: {}\n",
            "config.yml:2:1: redis: given twice (the first is on line 1; keep one of them)",
        ),
        ("? [a]\n: 1\n", "config.yml:1:3: a key must be a word, and this is a list"),
        # types
        (
            "gpu_lock:\n  poll_interval: soon\n",
            f"config.yml:2:18: gpu_lock.poll_interval: must be a duration, not 'soon' ({DURATION})",
        ),
        (
            "gpu_lock: {poll_interval: true}\n",
            f"config.yml:1:27: gpu_lock.poll_interval: must be a duration, not true ({DURATION})",
        ),
        (
            "gpu_lock: {poll_interval: 0}\n",
            "config.yml:1:27: gpu_lock.poll_interval: must be more than 0, not 0",
        ),
        (
            "gpu_lock: {fallback_timeout: forever}\n",
            "config.yml:1:30: gpu_lock.fallback_timeout: must be a duration that ends, not 'forever'",
        ),
        (
            "redis:\n  ttl:\n",
            "config.yml:2:3: redis.ttl: must be a duration, not empty (remove the key to have its default)",
        ),
        ("http: {port: 1.5}\n", "config.yml:1:14: http.port: must be a whole number, not 1.5"),
        (
            "gpu_lock: {exponential_backoff: yes}\n",
            "config.yml:1:33: gpu_lock.exponential_backoff: must be true or false, not 'yes' (did you mean true?)",
        ),
        ("http: {port: 70000}\n", "config.yml:1:14: http.port: must be at most 65535, not 70000"),
        ("http: {port: '80'}\n", "config.yml:1:14: http.port: must be a whole number, not '80' (remove the quotes)"),
        ("http: {host: ''}\n", "config.yml:1:14: http.host: must be some text, not ''"),
        ("daemon: {host: 5}\n", "config.yml:1:16: daemon.host: must be text, not 5 (put it in quotes: '5')"),
        (
            "daemon: {log_level: warn}\n",
            (
                "config.yml:1:21: daemon.log_level: must be debug, info, warning or error, not 'warn'"
                " (did you mean warning?)"
            ),
        ),
        (
            "redis: {on_loss: revok}\n",
            "config.yml:1:18: redis.on_loss: must be keep or revoke, not 'revok' (did you mean revoke?)",
        ),
        (
            "inventory: {orphans: 1}\n",
            "config.yml:1:22: inventory.orphans: must be wait or kill, not 1",
        ),
        (
            "daemon: {admins: alice}\n",
            "config.yml:1:18: daemon.admins: must be a list of user names and uids, not 'alice' ([alice, 1001])",
        ),
        (
            "daemon: {admins: [root, -1]}\n",
            "config.yml:1:18: daemon.admins: must be a list of user names and uids, not ['root', -1] (-1 is neither)",
        ),
        (
            "daemon: {socket: run/x.sock}\n",
            f"config.yml:1:18: daemon.socket: must be an absolute path, not 'run/x.sock' ({RELATIVE})",
        ),
        (
            f"daemon: {{socket: /{'x' * 107}}}\n",
            (
                f"config.yml:1:18: daemon.socket: must have at most 107 bytes, not '/{'x' * 58}..."
                " (it has 108; no Unix socket's path may)"
            ),
        ),
        ("redis: {ttl: 4}\n", "config.yml:1:14: redis.ttl: must be at least 5, not 4"),
        (
            "redis: {namespace: a b}\n",
            (
                "config.yml:1:20: redis.namespace: must be a word without spaces and braces, not 'a b'"
                " (it begins every key in Redis)"
            ),
        ),
        (
            "redis: {password_file: secret}\n",
            f"config.yml:1:24: redis.password_file: must be an absolute path, not 'secret' ({RELATIVE})",
        ),
        ("redis: localhost\n", f"config.yml:1:8: redis: must be a section, not 'localhost' ({REDIS_KEYS})"),
        ("redis: [ttl]\n", f"config.yml:1:8: redis: must be a section, not ['ttl'] ({REDIS_KEYS})"),
        # YAML itself
        ("", f"config.yml:1:1: there is nothing in it ({EMPTY})"),
        ("# a\n", f"config.yml:1:1: there is nothing in it ({EMPTY})"),
        ("- a\n", f"config.yml:1:1: must consist of sections, and is a list ({BEGIN})"),
        (
            "\nhello\n",
            f"config.yml:2:1: must consist of sections, and is a single value ({BEGIN})",
        ),
        ("http:\n\tport: 1\n", "config.yml:2:1: a tab cannot indent YAML (use spaces)"),
        (
            "http: port: 1\n",
            "config.yml:1:11: a colon where no key can stand (check the indentation, or quote the value)",
        ),
        (
            "http:\n  host: 'x\n",
            "config.yml:3:1: it ends before it closes what line 2 opens (a quote or a bracket is missing)",
        ),
        (
            "http:\n    port: 1\n  host: x\n",
            "config.yml:3:3: the indentation fits none of the lines above (keys of one section begin in one column)",
        ),
        ("{}\n---\n{}\n", "config.yml:2:1: a second document begins here (one file is one document: remove the `---`)"),
        (
            "http: @\n",
            (
                "config.yml:1:7: not YAML: found character '@' that cannot start any token"
                " (while scanning for the next token)"
            ),
        ),
        (
            "http: &h {port: 1}\nredis: *h\n",
            "config.yml:2:1: redis: an alias cannot be used here (repeat the value itself)",
        ),
        (
            "daemon: {admins: &a [*a]}\n",
            "config.yml:1:10: daemon.admins: an alias cannot be used here (repeat the value itself)",
        ),
        ("http: !x {}\n", "config.yml:1:7: http: the tag !x cannot be used here (leave it out)"),
        (
            f"gpu_lock: {{poll_interval: {'9' * 5000}}}\n",
            "config.yml:1:27: gpu_lock.poll_interval: cannot be read (too many digits, or a tag that does not fit)",
        ),
        ("http:\n  host: \x07\n", "config.yml:2:9: the character U+0007 cannot stand in YAML (remove it)"),
        (b"http:\n  host: \xff\n", "config.yml:2:9: the byte 0xff is not UTF-8 (save the file as UTF-8)"),
        (b"#" * (MAX_BYTES + 1), f"config.yml:1:1: too long for a configuration (at most {MAX_BYTES} bytes)"),
        ("[" * 700, "config.yml:1:1: brackets are nested too deeply (no setting needs that)"),
    ],
)
def test_a_mistake_is_told_with_its_place(content: str | bytes, complaint: str, complaints: Complaints) -> None:
    assert complaints(content) == [complaint]


def test_all_mistakes_are_told_at_once_in_reading_order(complaints: Complaints) -> None:
    content = """\
redis:
  on_loss: maybe
  on_loss: keep
gpu_lock:
  poll_intervall: 1
  poll_interval: 20
daemon:
  max_sessions: many
"""
    assert [line.partition(" (")[0] for line in complaints(content)] == [
        "config.yml:2:12: redis.on_loss: must be keep or revoke, not 'maybe'",
        "config.yml:3:3: redis.on_loss: given twice",
        "config.yml:5:3: gpu_lock.poll_intervall: unknown key",
        "config.yml:6:18: gpu_lock.poll_interval: is 20, but must be at most gpu_lock.max_poll_interval, 10 by default",
        "config.yml:8:17: daemon.max_sessions: must be a whole number, not 'many'",
    ]


def test_a_password_is_never_shown(complaints: Complaints) -> None:
    for url in ("http://u:geheim@h/0", "http://:ge@h/eim@h", "x?password=geheim&a=b", "geheim@h:1"):
        [line] = complaints(f"redis: {{url: '{url}'}}\n")
        assert "redis.url: must be the URL of a Redis" in line
        assert "eim" not in line


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "no.yml"
    with pytest.raises(ConfigError, match=r"no\.yml: no such file \(check the path after --config\)"):
        load(missing, {})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_content_raises_anything_else(loads: Loads, content: bytes) -> None:
    try:
        loaded = loads(content)
    except ConfigError:
        return
    assert loaded.config == Config(), "nothing that short and random sets anything"
