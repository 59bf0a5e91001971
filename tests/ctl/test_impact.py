"""`gpulockctl config impact`: where history and the moment of the change come from, and what is shown."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import gpulock
from gpulock.errors import InvalidRequest
from gpulockd.ctl.__main__ import main
from gpulockd.ctl.configuring import impact
from tests.evidence.past import CHANGE, END, simulated
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

from .conftest import Golden
from .peer import Peer

Run = Callable[..., tuple[int, str, str]]
AT = "2025-12-08T00:00"
"""`CHANGE`, in the time zone of these tests."""


@pytest.fixture
def run(peer: Peer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`config impact`, two weeks after the simulated history began."""
    monkeypatch.setattr(time, "time", lambda: END)

    def impact_of(*arguments: str) -> tuple[int, str, str]:
        code = main(["config", "impact", "--socket", str(peer.path), *arguments])
        return code, *capsys.readouterr()

    return impact_of


def history(seed: int = 3, *, requests: bool = True, **planted: float) -> dict[str, Any]:
    """As a daemon answers, the latest first."""
    records = sorted(simulated(seed, **planted).records, key=lambda each: -each.ended_at)  # type: ignore[arg-type]
    locks, vain = [], []
    for number, each in enumerate(records):
        if each.held is None:
            fields = {"request": f"R{number}", "how": "timeout", "ended_at": each.ended_at, "waited": each.waited}
            vain.append(fields)
        else:
            locks.append({"token": number, "ended_at": each.ended_at, "waited": each.waited, "held": each.held})
    return {"schema_version": 1, "locks": locks, **({"requests": vain} if requests else {})}


def test_a_change_for_the_worse(peer: Peer, run: Run, golden: Golden) -> None:
    peer.answers["history"] = history(worse=1.2)
    code, out, err = run("--at", AT)
    assert (code, err) == (1, "")
    golden("impact-80", out)
    (asked,) = [params for method, params in peer.asked if method == "history"]
    assert asked == {"limit": impact.PAGE, "requests": True, "since": 2 * 7 * 86_400.0}


def test_a_change_that_changed_nothing_as_json(peer: Peer, run: Run) -> None:
    peer.answers["history"] = history()
    code, out, _ = run("--at", AT, "--json")
    document = json.loads(out)
    assert (code, document["advice"], document["schema_version"]) == (0, "keep", 1)
    assert [(each["name"], each["direction"]) for each in document["moved"]] == [
        (name, "not more than noise") for name in ("wait", "hold", "throughput", "timeouts")
    ]
    assert set(document["moved"][0]["change"]) == {"value", "low", "high"}


def test_a_long_history_is_read_in_pages(peer: Peer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = history(worse=1.2)
    peer.answers["history"] = whole
    _, in_one, _ = run("--at", AT, "--json")
    monkeypatch.setattr(impact, "PAGE", 1000)

    def page(params: Mapping[str, Any]) -> Mapping[str, Any]:
        last = END - params.get("until", 0.0)
        locks = [each for each in whole["locks"] if each["ended_at"] < last]
        return {**whole, "locks": locks[: params["limit"]]}

    peer.answers["history"] = page
    _, out, _ = run("--at", AT, "--json")
    assert json.loads(out) == json.loads(in_one)
    assert peer.count("history") == len(whole["locks"]) // 1000 + 2


def test_a_daemon_that_tells_of_locks_alone_is_asked_for_these(peer: Peer, run: Run) -> None:
    def older(params: Mapping[str, Any]) -> Any:
        if set(params) != {"limit"}:
            return InvalidRequest("unknown parameter 'requests'")
        return history(worse=1.5, requests=False)

    peer.answers["history"] = older
    code, out, _ = run("--at", AT)
    assert code == 1
    assert "timeouts" not in out


def entry(at: float, outcome: str, *changes: object) -> dict[str, object]:
    return {"at": at, "outcome": outcome, "changes": list(changes)}


def test_the_change_is_the_last_one_that_was_applied(peer: Peer, run: Run) -> None:
    changed = {"key": "gpu_lock.poll_interval", "before": 2, "after": 1}
    entries = [entry(END - 10, "refused", changed), entry(END - 60, "applied"), entry(CHANGE, "applied", changed)]
    pages: dict[Any, dict[str, Any]] = {
        None: {"entries": entries[:2], "earlier": 7},
        7: {"entries": entries[2:], "earlier": None},
    }
    peer.answers["config_history"] = lambda asked: pages[asked.get("before")]
    peer.answers["history"] = history(worse=1.5)
    code, out, _ = run("--json")
    assert (code, json.loads(out)["at"]) == (1, CHANGE)
    peer.answers["config_history"] = {"entries": entries[:2], "earlier": None}
    code, _, err = run()
    assert (code, "have not changed yet" in err, "--at" in err) == (1, True, True)


def test_a_daemon_that_keeps_no_versions_needs_to_be_told(run: Run) -> None:
    code, _, err = run()
    assert code == 1
    assert "does not record when its settings change" in err
    assert "--at 2026-11-20T14:00" in err


def test_history_from_a_file(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "history.json"
    file.write_text(json.dumps(history(worse=1.5)))
    assert run("--from", str(file), "--at", AT)[0] == 1
    assert "does not say when" in run("--from", str(file))[2]
    file.write_text("[]")
    code, _, err = run("--from", str(file), "--at", AT)
    assert (code, "holds no history" in err, "gpulockctl history" in err) == (1, True, True)
    assert "cannot be read" in run("--from", str(tmp_path / "none"), "--at", AT)[2]


def test_too_little_history_is_no_answer(peer: Peer, run: Run) -> None:
    peer.answers["history"] = history()
    code, out, err = run("--at", "30m")
    assert (code, out) == (1, "")
    assert "too few hours" in err
    code, out, _ = run("--at", "30m", "--json")
    assert (code, json.loads(out)["advice"]) == (1, "undecided")


def test_what_is_no_moment_is_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("--at", "yesterday")
    assert end.value.code == 2
    assert "no moment: how long ago" in capsys.readouterr().err


@pytest.mark.system
def test_a_daemon_as_it_is_can_be_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever of the parameters it knows."""
    with Daemon(tmp_path) as daemon:
        with gpulock.acquire(socket=daemon.socket):
            pass
        wait_until(lambda: daemon.call("history")["locks"], "history has the lock")
        assert main(["config", "impact", "--socket", daemon.socket, "--at", "1h"]) == 1
    assert "there is no history before the change" in capsys.readouterr().err
