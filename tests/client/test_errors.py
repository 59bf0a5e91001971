"""The exception tree: every error keeps its type across the socket, and across processes."""

from __future__ import annotations

import pickle

import pytest

import gpulock
from gpulock import errors
from gpulock.errors import CODES, GpulockError, from_wire, to_wire


@pytest.mark.parametrize("kind", CODES.values(), ids=list(CODES))
def test_an_error_comes_back_from_the_wire_as_it_went(kind: type[GpulockError]) -> None:
    error = kind("GPU 0 is held", hint="gpulockctl status", data={"pid": 17})
    back = from_wire(to_wire(error))
    assert type(back) is kind
    assert (back.message, back.hint, back.data) == ("GPU 0 is held", "gpulockctl status", {"pid": 17})
    assert str(back) == "GPU 0 is held (gpulockctl status)"


@pytest.mark.parametrize("kind", [*CODES.values(), gpulock.SoftTimeout], ids=lambda kind: kind.code)
def test_an_error_can_be_sent_to_another_process(kind: type[GpulockError]) -> None:
    back = pickle.loads(pickle.dumps(kind("no", hint="do", data={"a": 1})))
    assert type(back) is kind
    assert (back.message, back.hint, back.data, back.wire_code) == ("no", "do", {"a": 1}, kind.code)


def test_codes_are_stable() -> None:
    assert sorted(CODES) == [
        "bad-configuration",
        "busy",
        "cancelled",
        "configuration-refused",
        "configuration-unwritable",
        "daemon-unavailable",
        "deadlock",
        "error",
        "internal-error",
        "invalid-request",
        "journal-unavailable",
        "lease-unavailable",
        "limit-exceeded",
        "lost",
        "nested-request",
        "not-held",
        "not-permitted",
        "protocol-error",
        "restart-needed",
        "unknown-gpu",
        "unknown-method",
        "unsatisfiable",
        "wait-timeout",
    ]


def test_a_code_of_a_later_version_is_kept() -> None:
    error = from_wire({"code": "gpu-on-fire", "message": "hot", "hint": None, "data": {}})
    assert type(error) is GpulockError
    assert error.wire_code == "gpu-on-fire"
    assert to_wire(error)["code"] == "gpu-on-fire"


@pytest.mark.parametrize("fault", [None, "a string", 7, [], {}, {"code": 5, "message": None, "hint": 1, "data": []}])
def test_whatever_a_peer_calls_an_error_becomes_one(fault: object) -> None:
    assert isinstance(from_wire(fault), GpulockError)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InvalidRequest, ValueError),
        (errors.LockTimeout, TimeoutError),
        (errors.NotPermitted, PermissionError),
        (errors.DaemonUnavailable, ConnectionError),
    ],
)
def test_those_who_know_only_builtin_errors_catch_them_too(kind: type[GpulockError], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)


def test_every_error_is_public() -> None:
    for kind in CODES.values():
        assert getattr(gpulock, kind.__name__) is kind
        assert kind.__name__ in gpulock.__all__
