"""Every command against a peer that answers as it is told: what is asked, what is shown, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gpulock import documents as forms
from gpulock.errors import InvalidRequest, JournalUnavailable, LeaseUnavailable, NotPermitted, UnknownGpu
from gpulockd.ctl import context
from gpulockd.ctl.__main__ import main
from gpulockd.ctl.catalogue import COMMANDS

from . import documents
from .peer import Peer

Said = tuple[int, str, str]
Ctl = Callable[..., Said]


@pytest.fixture
def ctl(peer: Peer, capsys: pytest.CaptureFixture[str]) -> Ctl:
    """Runs gpulockctl on the peer's socket: exit code, standard output, standard error."""

    def run(*arguments: str) -> Said:
        try:
            code = main(["--socket", str(peer.path), *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


ANSWERS: Sequence[tuple[Sequence[str], str, Mapping[str, Any], Mapping[str, Any], str]] = [
    # command line, method, its parameters, the answer, and something that people then read
    (["status"], "status", {}, documents.busy(), "quarantined"),
    (["status", "--fleet"], "status", {"fleet": True}, documents.fleet(), "4 hosts, 22 GPUs"),
    (["queue"], "queue", {}, documents.queue(), "R3-41"),
    (["why", "2"], "why", {"subject": "2"}, documents.why(), "Next:"),
    (["why", "50112"], "why", {"subject": "pid:50112"}, documents.why(), "Next:"),
    (["describe", "L3-21"], "describe", {"subject": "L3-21"}, documents.described_lock(), "page 310"),
    (["config", "show"], "config", {}, documents.settings(), "GPU_LOCK_MAX_WAIT_TIME"),
    (["config"], "config", {}, documents.settings(), "forever"),
    (
        ["revoke", "0", "--reason", "maintenance", "--grace", "1m"],
        "revoke",
        {"subject": "0", "reason": "maintenance", "grace": 60.0},
        {"lock": "L3-17", "pid": 48213, "state": "recalled", "deadline": 60.0},
        "L3-17: pid 48213 is told to let go; SIGTERM in 1m 00s",
    ),
    (
        ["revoke", "L3-17"],
        "revoke",
        {"subject": "L3-17", "reason": ""},
        {"lock": "L3-17", "pid": 48213, "state": "killing", "deadline": 0.0},
        "was sent SIGKILL before",
    ),
    (
        ["drain", "3", "--reason", "new fan"],
        "drain",
        {"gpu": "3", "reason": "new fan"},
        {"gpus": [documents.uuid(3)]},
        "GPU 3 drained: nothing new is granted, holders stay. Undo: gpulockctl undrain 3",
    ),
    (["drain"], "drain", {"reason": ""}, {"gpus": [documents.uuid(3)] * 4}, "4 GPUs drained"),
    (["undrain", "3"], "undrain", {"gpu": "3"}, {"gpus": [documents.uuid(3)]}, "GPU 3 back in service"),
    (["undrain"], "undrain", {}, {"gpus": [documents.uuid(3)]}, "1 GPU back in service"),
]


@pytest.mark.parametrize(
    ("arguments", "method", "params", "answer", "shown"), ANSWERS, ids=[" ".join(each[0]) for each in ANSWERS]
)
def test_a_command_asks_and_shows(
    peer: Peer,
    ctl: Ctl,
    arguments: Sequence[str],
    method: str,
    params: Mapping[str, Any],
    answer: Mapping[str, Any],
    shown: str,
) -> None:
    peer.answers[method] = answer
    code, out, err = ctl(*arguments)
    assert (code, err) == (0, "")
    assert shown in out
    assert (method, params) in peer.asked
    assert "\x1b" not in out

    code, out, err = ctl(*arguments, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document.pop("schema_version") == forms.SCHEMA_VERSION
    assert document.keys() == {name for name in answer if name != "schema_version"}


def test_the_schema_version_is_the_documents_own() -> None:
    assert context.SCHEMA_VERSION == forms.SCHEMA_VERSION


def test_json_is_the_document_that_was_answered(peer: Peer, ctl: Ctl) -> None:
    peer.answers["status"] = documents.busy()
    _, out, _ = ctl("--json", "status")
    assert json.loads(out) == documents.busy()
    assert out.isascii()


def test_json_has_no_infinity(peer: Peer, ctl: Ctl) -> None:
    peer.answers["config"] = documents.settings()
    _, out, _ = ctl("config", "show", "--json")
    values = {each["key"]: each["value"] for each in json.loads(out)["settings"]}
    assert values["gpu_lock.lock_timeout"] == "forever"


def test_history_names_gpus_by_index_and_passes_filters_on(peer: Peer, ctl: Ctl) -> None:
    peer.answers |= {"history": documents.history(), "status": documents.busy()}
    code, out, _ = ctl("history", "--gpu", "2", "--user", "carol", "--task", "ocr", "--limit", "5")
    assert code == 0
    assert ("history", {"limit": 5, "gpu": "2", "user": "carol", "task": "ocr"}) in peer.asked
    first, second = out.splitlines()[1:3]
    assert " 2 " in first
    assert " 0, 1 " in second

    code, out, _ = ctl("history", "--how", "died", "--since", "2h", "--until", "30m", "--requests")
    assert code == 0
    assert ("history", {"limit": 20, "how": "died", "since": 7200.0, "until": 1800.0, "requests": True}) in peer.asked
    peer.asked.clear()

    code, out, _ = ctl("history", "--json")
    assert ("history", {"limit": 20}) in peer.asked
    assert len(json.loads(out)["locks"]) == 4
    assert peer.count("status") == 0  # programs know a GPU by its UUID


def test_history_totals_are_of_all_that_is_kept(peer: Peer, ctl: Ctl) -> None:
    peer.answers["history"] = documents.history_totals()
    code, out, _ = ctl("history", "--totals", "--task", "ocr")
    assert code == 0
    assert ("history", {"limit": 20, "task": "ocr", "totals": True}) in peer.asked
    assert out.splitlines()[1].split()[:3] == ["bert", "ocr", "95"]
    assert peer.count("status") == 0  # no GPU is named
    assert json.loads(ctl("history", "--totals", "--json")[1])["totals"][0]["timeouts"] == 5


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest("'7' is no GPU, lock or request", hint="gpulockctl status shows their names"), 1),
        (UnknownGpu("no GPU 7", hint="gpulockctl status"), 1),
        (NotPermitted("uid 1007 may not revoke", hint="ask an administrator"), 77),
        (JournalUnavailable("the history cannot be read", hint="gpulockctl doctor"), 69),
        (LeaseUnavailable("the other hosts cannot be listed", hint="gpulockctl doctor"), 69),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_an_error_names_cause_and_way_out_on_stderr(peer: Peer, ctl: Ctl, error: Any, code: int) -> None:
    peer.answers["why"] = error
    assert ctl("why", "7") == (code, "", f"gpulockctl: {error.message}\n  {error.hint}\n")


def test_an_error_cannot_steer_the_terminal(peer: Peer, ctl: Ctl) -> None:
    peer.answers["why"] = InvalidRequest("no \x1b[2Jthing")
    _, _, err = ctl("why", "7")
    assert "\x1b" not in err


def test_no_daemon_is_69_and_says_what_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nothing.sock"
    for name in set(COMMANDS) - {"doctor", "audit", "bench", "top"}:
        subject = ["0"] if name in ("why", "describe", "revoke") else []
        assert main([name, *subject, "--socket", str(path)]) == 69, name
        out, err = capsys.readouterr()
        assert out == ""
        assert str(path) in err
        assert "gpulockctl doctor" in err


def test_the_environment_names_the_socket(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GPULOCK_SOCKET", str(peer.path))
    peer.answers["status"] = documents.idle()
    assert main(["status"]) == 0
    assert "SIMULATED" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["statsu"],
        ["status", "surplus"],
        ["status", "--fleet", "--watch"],
        ["top", "--interval", "0.1"],
        ["top", "--sort", "name"],
        ["why"],
        ["revoke", "0", "--grace", "soon"],
        ["history", "--limit", "0"],
        ["history", "--limit", "many"],
        ["history", "--since", "yesteryear"],
        ["history", "--since", "2999-01-01"],
        ["config", "set"],
        ["status", "--color", "sometimes"],
    ],
    ids=" ".join,
)
def test_a_line_that_makes_no_sense_is_2(ctl: Ctl, arguments: Sequence[str]) -> None:
    code, out, err = ctl(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: gpulockctl")


def test_help_and_version(ctl: Ctl) -> None:
    code, out, _ = ctl("--help")
    assert code == 0
    for name, summary in COMMANDS.items():
        assert f"  {name:<10}{summary}" in out
    for name in COMMANDS:
        code, out, _ = ctl(name, "--help")
        assert (code, out.splitlines()[0].split("[")[0]) == (0, f"usage: gpulockctl {name} ")
    code, out, _ = ctl("--version")
    assert code == 0
    assert out.startswith("gpulockctl ")


def test_colour_can_be_forced_and_refused(peer: Peer, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    peer.answers["status"] = documents.busy()
    assert "\x1b[33m" in ctl("status", "--color", "always")[1]
    assert "\x1b" not in ctl("status")[1]


def test_columns_decides_the_width_where_there_is_no_terminal(
    peer: Peer, ctl: Ctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.answers["status"] = documents.busy()
    monkeypatch.setenv("COLUMNS", "132")
    assert max(map(len, ctl("status")[1].splitlines())) == 132


def test_a_locale_without_utf8_gets_ascii(peer: Peer, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    peer.answers["status"] = documents.mig()
    monkeypatch.setenv("LC_ALL", "C")
    assert ctl("status")[1].isascii()
