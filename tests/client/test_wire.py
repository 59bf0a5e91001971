"""Messages: what is read is what was written, and what does not belong is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gpulock import wire
from gpulock.errors import InvalidRequest

texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30)
waits = st.none() | st.floats(0, 1e9)
acquires = st.builds(
    wire.Acquire,
    gpus=st.integers(1, 8) | st.lists(texts.filter(bool), min_size=1, max_size=4).map(tuple),
    wait_timeout=waits,
    max_hold=waits,
    priority=st.integers(-10, 10),
    task=texts,
    profile=texts,
    labels=st.dictionaries(texts, texts, max_size=3),
    within=st.none() | texts,
    notify=st.lists(st.sampled_from(wire.NOTIFICATIONS), max_size=3).map(tuple),
)


@given(acquires)
def test_an_acquire_is_read_as_it_was_written(acquire: wire.Acquire) -> None:
    assert wire.read(wire.Acquire, wire.write(acquire)) == acquire


def test_what_stands_at_its_default_is_not_sent() -> None:
    assert wire.write(wire.Acquire()) == {}
    assert wire.write(wire.Acquire(gpus=2, task="ocr")) == {"gpus": 2, "task": "ocr"}
    assert wire.write(wire.Subject("0")) == {"subject": "0"}


@pytest.mark.parametrize("name", wire.METHODS)
def test_every_method_refuses_an_unknown_parameter_by_name(name: str) -> None:
    with pytest.raises(InvalidRequest, match="colour") as caught:
        wire.read(wire.METHODS[name], {"colour": "blue"})
    assert caught.value.hint


@pytest.mark.parametrize("name", wire.METHODS)
def test_every_method_refuses_a_map_where_something_else_belongs(name: str) -> None:
    kind = wire.METHODS[name]
    for field in kind._fields:
        if field == "labels":
            continue
        with pytest.raises(InvalidRequest, match=field):
            wire.read(kind, {field: {"a": {"map": 1}}})


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"gpus": 0}, "gpus"),
        ({"gpus": True}, "gpus"),
        ({"gpus": []}, "empty list"),
        ({"gpus": [""]}, "empty"),
        ({"gpus": [-1]}, "gpus"),
        ({"gpus": ["0"] * 2000}, "too long"),
        ({"wait_timeout": "soon"}, "wait_timeout"),
        ({"wait_timeout": -1}, "wait_timeout"),
        ({"wait_timeout": False}, "wait_timeout"),
        ({"priority": 11}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"task": b"bytes"}, "task"),
        ({"task": "x" * 2000}, "too long"),
        ({"task": "clear the screen: \x1b[2J"}, "control characters"),
        ({"labels": {"a": 1}}, "labels"),
        ({"labels": {str(i): "" for i in range(100)}}, "too many"),
        ({"notify": ["everything"]}, "everything"),
        ({1: 2}, "unknown parameter 1"),
        ({b"gpus": 1}, "unknown parameter"),
    ],
)
def test_acquire_says_what_is_wrong(params: dict[object, object], complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        wire.read(wire.Acquire, params)


def test_selectors_may_be_numbers_and_durations_may_be_written() -> None:
    acquire = wire.read(wire.Acquire, {"gpus": [0, "GPU-1b"], "wait_timeout": "1h30m", "max_hold": 60})
    assert acquire == wire.Acquire(gpus=("0", "GPU-1b"), wait_timeout=5400, max_hold=60)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(InvalidRequest, match="'subject' is missing"):
        wire.read(wire.Subject, {})


def test_a_hello_that_names_no_version_speaks_the_first() -> None:
    assert wire.read(wire.Hello, {}).versions == (1,)


class TestSocketPath:
    def test_the_environment_comes_first(self) -> None:
        assert wire.socket_path({"GPULOCK_SOCKET": "/a/b.sock", "XDG_RUNTIME_DIR": "/run/user/1"}) == "/a/b.sock"

    def test_root_uses_the_systems(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 0)
        assert wire.socket_path({"XDG_RUNTIME_DIR": "/run/user/0"}) == wire.DEFAULT_SOCKET

    def test_others_use_their_own_where_the_system_has_none(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        monkeypatch.setattr(wire, "DEFAULT_SOCKET", str(tmp_path / "none.sock"))
        own: dict[str, Any] = {"XDG_RUNTIME_DIR": "/run/user/1000"}
        assert wire.socket_path(own) == "/run/user/1000/gpulockd/gpulockd.sock"
        assert wire.socket_path({}) == str(tmp_path / "none.sock")

    def test_others_use_the_systems_where_there_is_one(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        monkeypatch.setattr(wire, "DEFAULT_SOCKET", str(tmp_path))
        assert wire.socket_path({"XDG_RUNTIME_DIR": "/run/user/1000"}) == str(tmp_path)
