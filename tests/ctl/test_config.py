"""`gpulockctl config` beyond `show`: what each action asks, what people then read, and what root writes itself."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpulock.errors import BadConfiguration, ConfigurationUnwritable, RestartNeeded
from gpulockd.ctl.__main__ import main
from gpulockd.ctl.exits import MISCONFIGURED, REFUSED

from .peer import Peer

Ctl = Callable[..., tuple[int, str, str]]

CHANGE = {"key": "gpu_lock.max_wait_time", "before": 1800, "after": float("inf"), "restart": False}


def change(outcome: str, *changes: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema_version": 1, "outcome": outcome, "version": 7, "file": "/etc/x.yml", "changes": list(changes)}


def text(version: int, content: str | None) -> dict[str, Any]:
    return {"schema_version": 1, "version": version, "content": content}


def story(*entries: Mapping[str, Any], earlier: int | None = None) -> dict[str, Any]:
    return {"schema_version": 1, "file": "/etc/x.yml", "entries": list(entries), "earlier": earlier}


def entry(**facts: Any) -> dict[str, Any]:
    plain = {
        "at": 0.0,
        "how": "apply",
        "outcome": "applied",
        "version": 7,
        "current": True,
        "user": "anna",
        "uid": 1001,
        "pid": 1,
        "command": "",
        "reason": "films",
        "digest": "",
        "changes": [CHANGE],
        "why": "",
    }
    return {**plain, **facts}


def canary(**facts: Any) -> dict[str, Any]:
    outcomes = {"granted": 97, "timed_out": 2, "failed": 1}
    plain = {
        "id": "c1",
        "course": "running",
        "percent": 10.0,
        "time_left": 7200.0,
        "by": "anna",
        "reason": "films",
        "at": 0.0,
        "why": "",
        "outcomes": {"stable": outcomes, "candidate": outcomes},
        "shared": True,
        "thresholds": {"timeouts": 0.05, "failures": 0.1, "redis_cpu": 0.8, "min_requests": 50},
    }
    return {"schema_version": 1, "canary": {**plain, **facts}}


@pytest.fixture
def ctl(peer: Peer, capsys: pytest.CaptureFixture[str]) -> Ctl:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["--socket", str(peer.path), "config", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "new.yml"
    file.write_text("# mine\n")
    return file


RELOAD = {"reason": "", "dry_run": False}
ANSWERS: Sequence[tuple[Sequence[str], str, Mapping[str, Any], Mapping[str, Any], str]] = [
    (["reload", "--reason", "edited"], "reload", {**RELOAD, "reason": "edited"}, change("applied"), "Version 7"),
    (["reload", "--dry-run"], "reload", {**RELOAD, "dry_run": True}, change("dry-run"), "No setting would change"),
    (["reload"], "reload", RELOAD, change("unchanged"), "Nothing to do: version 7"),
    (["apply", "FILE"], "config_apply", {"content": "# mine\n", **RELOAD}, change("applied", CHANGE), "forever"),
    (["rollback"], "config_rollback", RELOAD, change("applied", CHANGE), "Undo: gpulockctl config rollback"),
    (["rollback", "3"], "config_rollback", {"version": 3, **RELOAD}, change("dry-run", CHANGE), "Nothing was done"),
    (["cat", "3"], "config_version", {"version": 3}, text(3, "# three\n"), "# three\n"),
    (["cat"], "config_version", {}, text(4, "# four\n"), "# four\n"),
    (
        ["history", "--limit", "3"],
        "config_history",
        {"limit": 3},
        story(entry(), entry(version=None, outcome="refused")),
        "* 7",
    ),
    (["history"], "config_history", {"limit": 20}, story(), "no history yet"),
    (["canary"], "canary", {}, {"schema_version": 1, "canary": None}, "no canary"),
    (["canary"], "canary", {}, canary(), "is running at 10 % of the sessions, for another 2h"),
    (["canary"], "canary", {}, canary(course="rolled-back", why="too many"), "Taken back by itself: too many"),
    (
        ["canary", "FILE", "--percent", "10", "--for", "24h", "--reason", "films"],
        "canary_start",
        {"content": "# mine\n", "percent": 10.0, "lasts": 86400.0, "reason": "films"},
        canary(),
        "3.0%",
    ),
    (["canary", "--percent", "50%"], "canary_stage", {"percent": 50.0, "reason": ""}, canary(), "config promote"),
    (["promote"], "canary_promote", {"reason": ""}, canary(course="promoted"), "c1 is promoted"),
    (["abort", "--reason", "no"], "canary_abort", {"reason": "no"}, canary(course="aborted"), "c1 is aborted"),
]


@pytest.mark.parametrize(
    ("arguments", "method", "params", "answer", "shown"), ANSWERS, ids=[" ".join(each[0]) for each in ANSWERS]
)
def test_an_action_asks_and_shows(
    peer: Peer,
    ctl: Ctl,
    file: Path,
    arguments: Sequence[str],
    method: str,
    params: Mapping[str, Any],
    answer: Mapping[str, Any],
    shown: str,
) -> None:
    peer.answers[method] = answer
    typed = [str(file) if each == "FILE" else each for each in arguments]
    code, out, err = ctl(*typed)
    assert (code, err) == (0, "")
    assert shown in out
    assert (method, params) in peer.asked
    code, out, _ = ctl(*typed, "--json")
    assert code == 0
    assert json.loads(out).keys() == answer.keys()


def test_diff_shows_the_lines_that_differ(peer: Peer, ctl: Ctl) -> None:
    contents = {1: "one\n", 2: "two\n", 4: "two\n# more\n"}
    peer.answers["config_version"] = lambda asked: {
        "version": asked.get("version", 4),
        "content": contents[asked.get("version", 4)],
    }
    entries = [entry(version=4), entry(version=None), entry(version=3, outcome="set-aside"), entry(version=2)]
    peer.answers["config_history"] = story(*entries)
    code, out, _ = ctl("diff")
    assert (code, out.splitlines()) == (0, ["--- version 2", "+++ version 4", "@@ -1 +1,2 @@", " two", "+# more"])
    assert "-one" in ctl("diff", "1", "2")[1]
    assert json.loads(ctl("diff", "1", "2", "--json")[1])["diff"][-1] == "+two"
    assert ctl("diff", "2", "2")[1] == "No difference.\n"
    peer.answers["config_history"] = story(entry(version=4))
    assert ctl("diff")[0] == 1


def test_a_bad_file_is_told_by_its_own_name_line_and_column(peer: Peer, ctl: Ctl, file: Path) -> None:
    facts = {"file": "/etc/x.yml", "line": 2, "column": 3, "key": "gpu_lock.x", "message": "unknown key", "hint": ""}
    refusal = BadConfiguration("bad", hint="nothing was changed", data={"problems": [facts, {**facts, "line": 9}]})
    for method in ("config_apply", "canary_start", "reload"):
        peer.answers[method] = refusal
    for typed in (["apply", str(file)], ["canary", str(file), "--percent", "5"]):
        code, out, err = ctl(*typed)
        assert (code, out) == (MISCONFIGURED, "")
        assert err.splitlines()[:2] == [f"{file}:{line}:3: gpu_lock.x: unknown key" for line in (2, 9)]
        assert "stays as it is" in err
    code, _, err = ctl("reload")
    assert (code, err.startswith("/etc/x.yml:2:3: ")) == (MISCONFIGURED, True)


def test_what_needs_a_restart_is_told_in_the_same_way_and_is_no_bad_file(peer: Peer, ctl: Ctl, file: Path) -> None:
    facts = {"file": "/etc/x.yml", "line": 2, "column": 3, "key": "redis.ttl", "message": "15 is in force", "hint": ""}
    refusal = RestartNeeded("in short", hint="systemctl restart gpulockd", data={"problems": [facts], "changes": []})
    peer.answers |= dict.fromkeys(("config_apply", "config_rollback", "reload"), refusal)
    for typed, place in ((["apply", str(file)], file), (["rollback"], "/etc/x.yml"), (["reload"], "/etc/x.yml")):
        for more in ([], ["--dry-run"]):
            code, out, err = ctl(*typed, *more)
            assert (code, out) == (REFUSED, "")
            assert err.splitlines() == [
                f"{place}:2:3: redis.ttl: 15 is in force",
                "gpulockctl: the configuration stays as it is",
                "  systemctl restart gpulockd",
            ]


def test_a_version_that_had_no_file_prints_nothing(peer: Peer, ctl: Ctl) -> None:
    peer.answers["config_version"] = text(1, None)
    code, out, err = ctl("cat")
    assert (code, out) == (0, "")
    assert "version 1 had no file" in err


def pages(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A daemon with 1200 versions, which tells at most 300 of them at once."""
    first = asked.get("before", 1200)
    last = max(first - min(asked["limit"], 300), 0)
    return story(*(entry(version=number) for number in range(first, last, -1)), earlier=last or None)


@pytest.mark.parametrize(("limit", "times"), [(20, 1), (300, 1), (301, 2), (1200, 4), (5000, 4)])
def test_a_long_history_is_asked_for_in_pages(peer: Peer, ctl: Ctl, limit: int, times: int) -> None:
    peer.answers["config_history"] = pages
    told = json.loads(ctl("history", "--limit", str(limit), "--json")[1])
    assert [each["version"] for each in told["entries"]] == list(range(1200, max(1200 - limit, 0), -1))
    assert (told["earlier"] is None) == (limit >= 1200)
    assert peer.count("config_history") == times
    assert ("There are earlier ones" in ctl("history", "--limit", str(limit))[1]) == (limit < 1200)


def test_the_version_before_is_looked_for_as_far_back_as_it_takes(peer: Peer, ctl: Ctl) -> None:
    peer.answers["config_history"] = pages
    peer.answers["config_version"] = lambda asked: text(asked["version"], f"{asked['version']}\n")
    assert ctl("diff", "3", "900")[1].splitlines()[:2] == ["--- version 3", "+++ version 900"]
    assert peer.count("config_history") == 0
    peer.answers["config_version"] = lambda asked: text(asked.get("version", 500), "")
    ctl("diff")
    assert peer.asked[-1] == ("config_version", {"version": 499})


def test_what_is_no_configuration_is_not_sent(peer: Peer, ctl: Ctl, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"# caf\xe9\n")
    for typed in (
        ["apply", str(tmp_path / "absent")],
        ["apply", str(tmp_path / "latin")],
        ["canary", str(tmp_path / "latin"), "--percent", "5"],
        ["canary", str(tmp_path / "latin")],
        ["canary", "--percent", "5", "--for", "1h"],
    ):
        assert ctl(*typed)[0] == 1
    with pytest.raises(SystemExit):
        ctl("canary", "--percent", "110")
    assert peer.asked == []


def test_standard_input_can_be_applied(peer: Peer, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"# piped\n")))
    peer.answers["config_apply"] = change("applied")
    assert ctl("apply", "-")[0] == 0
    assert peer.asked[-1][1]["content"] == "# piped\n"


# Where the daemon may not write its own file.


@pytest.fixture
def owned(tmp_path: Path, peer: Peer) -> Path:
    """The daemon's file, which it may not write."""
    owned = tmp_path / "config.yml"
    owned.write_text("# old\n")
    owned.chmod(0o640)
    refusal = ConfigurationUnwritable("not mine", hint="be root", data={"file": str(owned), "version": 3})
    peer.answers |= {"config_apply": refusal, "config_rollback": refusal}
    peer.answers["config_version"] = {"version": 3, "content": "# third\n"}
    peer.answers["reload"] = change("applied", CHANGE)
    return owned


def test_root_writes_it_and_has_it_read(
    peer: Peer, ctl: Ctl, file: Path, owned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert ctl("apply", str(file), "--reason", "films")[0] == 0
    assert owned.read_text() == "# mine\n"
    assert stat.S_IMODE(owned.stat().st_mode) == 0o640
    assert peer.asked[-1] == ("reload", {"reason": "films"})
    assert ctl("rollback")[0] == 0
    assert owned.read_text() == "# third\n"
    assert peer.asked[-1] == ("reload", {"reason": "back to version 3"})


def test_nobody_else_does(ctl: Ctl, file: Path, owned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    code, _, err = ctl("apply", str(file))
    assert (code, err) == (1, "gpulockctl: not mine\n  be root\n")
    assert owned.read_text() == "# old\n"


def test_a_promotion_is_written_by_root_too(peer: Peer, ctl: Ctl, owned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    refusal = ConfigurationUnwritable("not mine", data={"file": str(owned), "content": "# candidate\n"})
    answers: list[Any] = [canary(course="promoted")]
    peer.answers["canary_promote"] = lambda asked: answers[0]
    assert ctl("promote")[0] == 0
    peer.answers["canary_promote"] = refusal
    assert ctl("promote")[0] == 1  # the daemon refuses the second time, too: then it is told
    assert owned.read_text() == "# candidate\n"
