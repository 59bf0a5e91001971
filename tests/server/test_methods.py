"""The table: each method turns its message into the event, view or source that belongs to it."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import asdict, replace
from typing import Any

import pytest

from gpulock import wire
from gpulock.errors import InvalidRequest
from gpulockd.core import events
from gpulockd.core.actions import Announce, Severity
from gpulockd.core.model import Wish
from gpulockd.core.settings import Levels, Settings
from gpulockd.history import Ended, Sought, Stranger, Total, Unmet
from gpulockd.ports import Unavailable
from gpulockd.server.methods import METHODS, Access, wish
from tests.server.conftest import MakeServer
from tests.server.house import WALL, ScriptedPast, Server
from tests.support.frames import Frames, WireError

ENDED = Ended("L1-1", 7, ("GPU-0",), "ada", 1000, 42, "train.py", "ocr", 1.0, 2.0, 3.0, 4.0, "released", "")
ENDED = replace(ENDED, strangers=(Stranger(7, "bob", "python"),))
UNMET = Unmet("R1-2", "ada", 1000, 42, "train.py", "", "ocr", "", 1, 30.0, 4.0, "timeout", 1)


def test_the_table_has_every_method_of_the_protocol_and_its_parameters() -> None:
    assert {name: method.parameters for name, method in METHODS.items()} == dict(wire.METHODS)


def test_administrators_methods() -> None:
    restricted = {name for name, method in METHODS.items() if method.access is Access.ADMINISTRATOR}
    changing = {"reload", "config_version", "config_apply", "config_rollback"}
    trying = {"canary_start", "canary_stage", "canary_promote", "canary_abort"}
    assert restricted == {"revoke", "drain", "undrain"} | changing | trying


@pytest.mark.parametrize(
    ("method", "params", "event"),
    [
        ("cancel", {"msgid": 9}, events.CancelRequested(1, 1, 9)),
        ("release", {}, events.ReleaseRequested(1, 1, None)),
        ("release", {"lock": "L1-1"}, events.ReleaseRequested(1, 1, "L1-1")),
        ("extend", {"max_hold": "5m", "lock": "L1-1"}, events.ExtendRequested(1, 1, "L1-1", 300.0)),
        ("beat", {"progress": 0.5, "note": "half"}, events.BeatReported(1, 1, None, 0.5, "half")),
        ("revoke", {"subject": "0", "reason": "urgent"}, events.RevokeRequested(1, 1, "0", "urgent", None)),
        ("revoke", {"subject": "0", "grace": 0}, events.RevokeRequested(1, 1, "0", "", 0.0)),
        ("drain", {"gpu": "0", "reason": "fan"}, events.DrainRequested(1, 1, "0", "fan")),
        ("drain", {}, events.DrainRequested(1, 1, None, "")),
        ("undrain", {"gpu": "0"}, events.UndrainRequested(1, 1, "0")),
    ],
)
def test_commands(server: Server, method: str, params: dict[str, Any], event: events.Event) -> None:
    with Frames(server.path) as client:
        assert client.call(method, **params) == {}
        assert server.core.events[1:] == [event]


def test_acquire_waits_until_the_core_answers(server: Server) -> None:
    with Frames(server.path) as client:
        msgid = client.send("acquire", gpus=["0", 1], task="ocr", priority=3, labels={"a": "b"}, notify=["lost"])
        client.call("beat")
        [asked] = server.core.seen(events.AcquireRequested)
        expected = Wish(
            count=2,
            selectors=("0", "1"),
            wait_timeout=1800.0,
            max_hold=3600.0,
            priority=3,
            task="ocr",
            labels={"a": "b"},
            notify=frozenset({"lost"}),
            levels=Levels(),
            default_hold=True,
        )
        assert asked == events.AcquireRequested(1, msgid, expected)
        server.do(lambda: server.core.sessions.answer(1, msgid, {"lock": "L1-1"}))
        assert client.receive(msgid) == {"lock": "L1-1"}


class TestWish:
    settings = Settings(max_wait_time=10.0, lock_timeout=20.0, levels=Levels(hard=30.0))

    def test_what_the_client_leaves_out_is_the_daemons(self) -> None:
        assert wish(wire.Acquire(), self.settings) == Wish(
            count=1, wait_timeout=10.0, max_hold=20.0, levels=self.settings.levels, default_hold=True
        )

    def test_what_the_client_says_stands(self) -> None:
        asked = wire.Acquire(gpus=4, wait_timeout=0.0, max_hold=30.0, within="L1-1")
        levels = self.settings.levels
        expected = Wish(count=4, wait_timeout=0.0, max_hold=30.0, within="L1-1", levels=levels)
        assert wish(asked, self.settings) == expected

    def test_a_profile_has_its_own_defaults_and_bounds(self) -> None:
        film = Settings(max_wait_time=100.0, lock_timeout=200.0, levels=Levels(hard=300.0))
        settings = replace(self.settings, profiles={"film": film})
        levels = settings.under("film").levels
        expected = Wish(count=1, wait_timeout=100.0, max_hold=200.0, profile="film", levels=levels, default_hold=True)
        assert wish(wire.Acquire(profile="film"), settings) == expected
        assert wish(wire.Acquire(profile="film", max_hold=300.0), settings).max_hold == 300.0
        assert wish(wire.Acquire(profile="film", wait_timeout=1.0), settings).wait_timeout == 1.0
        with pytest.raises(InvalidRequest, match="at most 5m 00s, the daemon's hard_timeout"):
            wish(wire.Acquire(profile="film", max_hold=300.5), settings)

    @pytest.mark.parametrize(
        ("names", "hint"), [(["ocr", "film"], "there are: film, ocr"), ([], "the daemon's configuration has none")]
    )
    def test_one_that_there_is_not_is_refused(self, names: list[str], hint: str) -> None:
        settings = replace(self.settings, profiles=dict.fromkeys(names, self.settings))
        with pytest.raises(InvalidRequest, match="there is no profile 'flim' here") as caught:
            wish(wire.Acquire(profile="flim"), settings)
        assert caught.value.hint == hint
        assert caught.value.data == {"profile": "flim", "profiles": sorted(names)}

    def test_waiting_for_ever_is_allowed(self) -> None:
        assert wish(wire.Acquire(wait_timeout=math.inf), self.settings).wait_timeout == math.inf

    @pytest.mark.parametrize("hold", [30.5, math.inf])
    def test_holding_longer_than_any_lock_may_is_not(self, hold: float) -> None:
        with pytest.raises(InvalidRequest, match=r"'max_hold'.*at most 30s, the daemon's hard_timeout"):
            wish(wire.Acquire(max_hold=hold), self.settings)


class TestChanges:
    """What is asked about the configuration goes on with who asks, as the kernel says."""

    def test_an_administrators_wish_and_its_author(self, server: Server) -> None:
        with Frames(server.path) as client:
            client.call("config_apply", content="http: {port: 0}", reason="quiet", dry_run=True)
            client.call("config_rollback", version=3)
            client.call("reload", reason="edited")
            client.call("config_version", version=2)
            client.call("config_history", limit=3, before=4711)
            client.call("config")
        apply, rollback, reload, version, history, config = server.house.changes.asked
        assert apply[:2] == ("apply", b"http: {port: 0}")
        assert apply[3:] == ("quiet", {"dry_run": True})
        author = apply[2]
        assert (author.uid, author.pid, author.user) == (os.getuid(), os.getpid(), f"user{os.getuid()}")
        assert rollback == ("rollback", 3, author, "", {"dry_run": False})
        assert reload == ("reload", author, "edited", {"dry_run": False})
        assert version == ("version", 2)
        assert history == ("history", 3, 4711)
        assert config == ("in force",)

    def test_a_file_may_be_longer_than_any_other_string_and_has_an_end_too(self, server: Server) -> None:
        with Frames(server.path) as client:
            client.call("config_apply", content="# long\n" * 5000)
            with pytest.raises(WireError, match="too long to be sent"):
                client.call("config_apply", content="#" * (wire.MAX_CONTENT_BYTES + 1))
            with pytest.raises(WireError, match="not a string"):
                client.call("config_apply", content=7)


class TestHello:
    def test_the_key_is_told_to_the_client_and_its_digest_to_the_core(self, server: Server) -> None:
        server.core.script[events.SessionIntroduced] = lambda event: server.core.sessions.answer(
            event.session, event.msgid, {**event.answer, "session": event.session, "locks": []}
        )
        with Frames(server.path) as client:
            first = client.call("hello", client="test 1", reattach="of old")
            second = client.call("hello")
        introduced, again = server.core.seen(events.SessionIntroduced)
        assert introduced.client == "test 1"
        assert introduced.key == hashlib.sha256(first["reattach"].encode()).hexdigest()
        assert introduced.reattach == hashlib.sha256(b"of old").hexdigest()
        assert again.reattach is None
        assert len(second["reattach"]) >= 32
        assert first["reattach"] == "of old"
        assert (first["version"], first["daemon"], first["host"]) == (1, "gpulockd test", "test")
        assert first["reattach_grace"] == 60.0
        assert first["limits"]["request_bytes"] == wire.MAX_REQUEST_BYTES

    @pytest.mark.parametrize(
        ("versions", "words"),
        [([2, 3], "speaks 2, 3, the daemon 1 (upgrade gpulockd)"), ([0], "upgrade gpulock)"), ([], "speaks none")],
    )
    def test_no_common_version(self, server: Server, versions: list[int], words: str) -> None:
        with Frames(server.path) as client:
            with pytest.raises(WireError) as caught:
                client.call("hello", versions=versions)
            fault = caught.value.fault
            assert fault["code"] == "invalid-request"
            assert words in f"{fault['message']} ({fault['hint']})"
            assert fault["data"] == {"client": versions, "daemon": [1]}
            assert client.call("release") == {}


class TestQuestions:
    def test_status(self, server: Server) -> None:
        with Frames(server.path) as client:
            status = client.call("status")
        assert (status["host"], status["gpus"], status["queue"]) == ("test", [], [])
        assert status["daemon"]["sessions"] == 1
        assert "fleet" not in status
        assert server.house.refreshed == 1

    def test_status_of_the_fleet(self, make_server: MakeServer) -> None:
        async def fleet() -> list[dict[str, object]]:
            return [{"host": "other", "age": 1.0}]

        with Frames(make_server(fleet=fleet).path) as client:
            assert client.call("status", fleet=True)["fleet"] == [{"host": "other", "age": 1.0}]

    def test_status_of_a_fleet_that_is_out_of_reach(self, make_server: MakeServer) -> None:
        async def fleet() -> list[dict[str, object]]:
            raise Unavailable("redis refused the connection")

        with Frames(make_server(fleet=fleet).path) as client:
            with pytest.raises(WireError, match=r"lease-unavailable: .*redis refused the connection"):
                client.call("status", fleet=True)
            assert client.call("status")["host"] == "test"

    def test_queue(self, server: Server) -> None:
        with Frames(server.path) as client:
            assert client.call("queue") == {"schema_version": 1, "queue": []}

    @pytest.mark.parametrize("method", ["why", "describe"])
    def test_an_unknown_subject_is_refused_by_the_view(self, server: Server, method: str) -> None:
        with Frames(server.path) as client, pytest.raises(WireError) as caught:
            client.call(method, subject="nothing like it")
        assert "nothing like it" in caught.value.fault["message"]

    def test_history(self, make_server: MakeServer) -> None:
        past = ScriptedPast([ENDED])
        with Frames(make_server(history=past).path) as client:
            answer = client.call("history", limit=5, user="ada", gpu="0", how="died", since="1h", until=60)
        strangers = [{"pid": 7, "user": "bob", "command": "python"}]
        assert answer == {
            "schema_version": 1,
            "locks": [{**asdict(ENDED), "gpus": ["GPU-0"], "strangers": strangers}],
        }
        sought = Sought(gpu="GPU-0", user="ada", how="died", since=WALL - 3600, until=WALL - 60)
        assert past.asked == [("locks", 5, sought)]

    def test_history_has_more_for_those_who_ask(self, make_server: MakeServer) -> None:
        past = ScriptedPast([], [UNMET], [Total("ada", "ocr", locks=2)])
        with Frames(make_server(history=past).path) as client:
            answer = client.call("history", requests=True, totals=True)
        assert answer["requests"] == [asdict(UNMET)]
        assert answer["totals"] == [asdict(Total("ada", "ocr", locks=2))]
        assert past.asked == [("locks", 50, Sought()), ("requests", 50, Sought()), ("totals", Sought())]

    def test_history_that_cannot_be_read(self, make_server: MakeServer) -> None:
        past = ScriptedPast()
        past.failure = Unavailable("the disk is gone")
        with (
            Frames(make_server(history=past).path) as client,
            pytest.raises(WireError, match=r"journal-unavailable: .*the disk is gone"),
        ):
            client.call("history")


def test_watch_tells_every_event_from_then_on(server: Server) -> None:
    with Frames(server.path) as client:
        server.do(lambda: server.house.announce(Announce("lock.granted", "before")))
        assert client.call("watch") == {}
        announce = Announce("gpu.drained", "GPU 0 is drained", Severity.WARNING, {"gpu": "GPU-0", "pids": (1, 2)})
        server.do(lambda: server.house.announce(announce))
        assert client.notified("event") == {
            "kind": "gpu.drained",
            "message": "GPU 0 is drained",
            "severity": "warning",
            "at": 1_700_000_000.0,
            "data": {"gpu": "GPU-0", "pids": [1, 2]},
        }
        assert client.call("watch") == {}
        server.do(lambda: server.house.announce(announce))
        client.notified("event")
        assert client.call("release") == {}
        assert not client.notifications, "watching twice is watching once"


def test_an_event_that_cannot_be_encoded_is_left_out(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Frames(server.path) as client:
        client.call("watch")
        server.do(lambda: server.house.announce(Announce("odd", "odd", data={"set": {1, 2}})))
        server.do(lambda: server.house.announce(Announce("even", "even")))
        assert client.notified("event")["kind"] == "even"
    assert "the event odd cannot be encoded" in caplog.text
