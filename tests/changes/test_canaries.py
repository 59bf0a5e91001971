"""A canary on one host and on several that share a store: begun, staged, promoted, taken back, and gone on with."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from gpulock.errors import BadConfiguration, ConfigurationRefused, LeaseUnavailable
from gpulockd.changes import Canaries, Changing
from gpulockd.changes.entries import Entry
from gpulockd.changes.versions import Versions
from gpulockd.config import Config, load
from gpulockd.core.actions import Announce
from gpulockd.core.canary import Thresholds
from gpulockd.core.settings import Trial
from gpulockd.ports import Author
from tests.support.waiting import eventually

from .shared import Shared

ANNA = Author("anna", 1001, 1)
BASE = b"# base\ngpu_lock: {max_wait_time: 20m}\n"
CANDIDATE = b"# candidate\ngpu_lock: {max_wait_time: 7s}\n"
FOR_EVER = math.inf


class Clock:
    """Moved by the test."""

    def __init__(self, boot_id: str = "boot 1") -> None:
        self.boot_id = boot_id
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_700_000_000.0 + self.time


class Host:
    """A daemon's configuration and canary, and what its requests would be filled in with."""

    def __init__(
        self, directory: Path, shared: Shared | None = None, clock: Clock | None = None, base: bytes = BASE
    ) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "state").mkdir(exist_ok=True)
        self.directory, self.shared = directory, shared
        self.file = directory / "config.yml"
        if not self.file.exists():
            self.file.write_bytes(base)
        self.clock = clock or Clock()
        self.announced: list[Announce] = []
        self.trials: list[Trial | None] = []
        self.changing = Changing(load(self.file, {}), directory / "state", self.clock, self._take_over, self._announce)
        self.changing.begin()
        bars = Thresholds(min_requests=20)
        self.canaries = Canaries(self.changing, directory / "state", self.clock, self._announce, lambda: bars, shared)

    def after(self, **changes: Any) -> Host:
        """The next daemon, after a kill."""
        return Host(self.directory, self.shared, **{"clock": self.clock, **changes})

    def _take_over(self, config: Config) -> None:
        self.trials.append(self.canaries.trial(config))

    def _announce(self, announce: Announce) -> None:
        self.announced.append(announce)
        self.canaries.observe(announce)

    @property
    def view(self) -> Any:
        return self.canaries.status()["canary"]

    @property
    def story(self) -> list[Entry]:
        """The history, from its end."""
        return Versions(self.directory / "state").page(20)[0]

    @property
    def tried(self) -> Any:
        """What a session with the candidate would wait; None: there is none."""
        trial = self.trials[-1] if self.trials else None
        return None if trial is None else trial.candidate.max_wait_time

    def ends(self, times: int, kind: str, side: str = "candidate", **data: object) -> None:
        """So many requests of one side end like this."""
        for _ in range(times):
            self._announce(Announce(kind, "", data={"variant": f"{self.view['id']}/{side}", **data}))

    async def hears(self) -> None:
        """A heartbeat."""
        assert self.shared is not None
        await self.canaries.heard(self.shared.revision)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "a")


async def test_a_share_has_the_candidate_then_more_and_then_all(host: Host) -> None:
    await host.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA, "too long")
    assert (host.view["course"], host.view["percent"], host.view["by"]) == ("running", 10, "anna")
    assert host.tried == 7
    assert host.changing.running.config.gpu_lock.max_wait_time == 1200
    await host.canaries.stage(50, ANNA)
    assert (host.trials[-1].percent if host.trials[-1] else 0) == 50
    await host.canaries.promote(ANNA, "it is better")
    assert (host.view["course"], host.tried) == ("promoted", None)
    assert host.changing.running.config.gpu_lock.max_wait_time == 7
    assert host.file.read_bytes() == CANDIDATE
    assert [each.how for each in reversed(host.story)] == ["start", "canary", "canary", "promote", "canary"]
    told: Any = (await host.changing.history(20))["entries"]
    assert [each["version"] for each in told if each["current"]] == [2]


async def test_what_acts_on_more_than_one_request_cannot_be_tried(host: Host) -> None:
    for content, said in (
        (b"gpu_lock: {max_wait_time: 7s, poll_interval: 1}", "gpu_lock.poll_interval"),
        (b"redis: {ttl: 20}\ngpu_lock: {max_wait_time: 20m}", "redis.ttl"),
        (BASE, "changes no setting"),
    ):
        with pytest.raises(ConfigurationRefused, match=said):
            await host.canaries.start(content, 10, FOR_EVER, ANNA)
    with pytest.raises(BadConfiguration, match="unknown key"):
        await host.canaries.start(b"gpu_lock: {max_wait: 7s}", 10, FOR_EVER, ANNA)
    assert (host.view, host.trials) == (None, [])


async def test_profiles_and_levels_can_be_tried(host: Host) -> None:
    content = BASE + b"profiles: {film: {max_hold: 50m}}\ngpu_lock_monitor: {timeout_levels: {warning: 5m}}\n"
    await host.canaries.start(content, 10, FOR_EVER, ANNA)
    (trial,) = host.trials
    assert trial is not None
    assert trial.candidate.under("film").lock_timeout == 3000
    assert trial.candidate.levels.warning == 300


async def test_there_is_one_canary_at_a_time_and_none_after_its_end(host: Host) -> None:
    for step in (host.canaries.stage(50, ANNA), host.canaries.promote(ANNA), host.canaries.abort(ANNA)):
        with pytest.raises(ConfigurationRefused, match="no canary runs"):
            await step
    await host.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    with pytest.raises(ConfigurationRefused, match="runs already, by anna"):
        await host.canaries.start(CANDIDATE, 20, FOR_EVER, ANNA)
    await host.canaries.abort(ANNA, "no need")
    assert (host.view["course"], host.tried) == ("aborted", None)
    with pytest.raises(ConfigurationRefused, match="no canary runs"):
        await host.canaries.stage(50, ANNA)
    await host.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)  # and another one may begin


async def test_a_change_meanwhile_is_not_undone_by_a_promotion(host: Host) -> None:
    await host.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    await host.changing.apply(BASE + b"http: {port: 8788}\n", ANNA)
    assert host.tried == 7  # it goes on, over what was applied
    with pytest.raises(ConfigurationRefused, match="was changed since the canary began"):
        await host.canaries.promote(ANNA)
    assert host.view["course"] == "running"


async def test_harm_takes_it_back(host: Host) -> None:
    await host.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    host.ends(500, "request.timed-out", "stable")
    host.ends(18, "lock.granted")
    host.ends(1, "request.timed-out")
    await asyncio.sleep(0)
    assert host.view["course"] == "running"
    host.ends(1, "request.timed-out")
    await eventually(lambda: host.view["course"] == "rolled-back")
    assert "10.0% of its requests timed out (of 20)" in host.view["why"]
    assert host.tried is None
    assert host.view["outcomes"]["stable"]["timed_out"] == 500
    assert host.announced[-1].kind == "canary.rolled-back"
    assert host.file.read_bytes() == BASE
    await eventually(lambda: host.story[0].author.user == "gpulockd")
    assert "rolled-back" in host.story[0].reason


async def test_what_counts_and_what_does_not(host: Host) -> None:
    await host.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    host.ends(3, "lock.granted")
    host.ends(2, "request.deadlocked")
    host.ends(4, "request.refused", code="lease-unavailable")
    host.ends(50, "request.refused", code="busy")
    host.ends(50, "request.cancelled")
    host.ends(50, "lock.ended")
    host.canaries.turned_away(f"{host.view['id']}/candidate")
    for other in ("another/candidate", ""):
        host._announce(Announce("request.timed-out", "", data={"variant": other}))
    assert host.view["outcomes"]["candidate"] == {"granted": 3, "timed_out": 0, "failed": 7}


async def test_a_busy_redis_takes_it_back(host: Host) -> None:
    await host.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    host.ends(20, "lock.granted")
    for share in (0.9, 0.2, 0.9, 0.9):
        host.canaries.use_of_redis(share)
    assert host.view["course"] == "running"
    host.canaries.use_of_redis(0.85)
    await eventually(lambda: host.view["course"] == "rolled-back")
    assert "Redis takes 85% of a processor" in host.view["why"]


# Over a kill.


async def test_the_next_daemon_goes_on_with_it(host: Host) -> None:
    await host.canaries.start(CANDIDATE, 10, 3600, ANNA)
    before = host.view
    again = host.after()
    await again.canaries.begin()
    assert again.tried == 7
    assert again.view == before
    await again.canaries.abort(ANNA)
    last = again.after()
    await last.canaries.begin()
    assert (last.view["course"], last.tried) == ("aborted", None)


async def test_counts_are_saved_and_its_end_is_noticed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpulockd.changes.canaries.SAVE_EVERY", 0.005)
    looking = asyncio.create_task(host.canaries.run())
    try:
        await host.canaries.start(CANDIDATE, 10, 60, ANNA)
        host.ends(7, "lock.granted")

        def saved() -> int:
            record = host.canaries._file.read()
            return record.outcomes["candidate"].granted if record else 0

        await eventually(lambda: saved() == 7)
        again = host.after()
        await again.canaries.begin()
        assert again.view["outcomes"]["candidate"]["granted"] == 7
        host.clock.time += 59
        assert host.view["time_left"] == 1
        host.clock.time += 2
        await eventually(lambda: host.view["course"] == "expired")
        assert host.tried is None
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def test_after_another_boot_what_was_left_counts(host: Host) -> None:
    await host.canaries.start(CANDIDATE, 10, 60, ANNA)
    clock = Clock("boot 2")
    clock.time = 5.0
    again = host.after(clock=clock)
    await again.canaries.begin()
    assert again.view["time_left"] == 60


async def test_a_disk_that_is_full_takes_nothing_in_and_still_lets_it_be_taken_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("gpulockd.changes.canaryfile.write", full)
        with pytest.raises(ConfigurationRefused, match="No space left"):
            await host.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
        assert (host.view, host.trials) == (None, [])
    await host.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    monkeypatch.setattr("gpulockd.changes.canaryfile.write", full)
    await host.canaries.abort(ANNA)
    assert (host.view["course"], host.tried) == ("aborted", None)


@pytest.mark.parametrize("content", ["", "[]", '{"id": 7}', "\0"])
async def test_a_record_that_cannot_be_read_is_no_canary(host: Host, content: str) -> None:
    await host.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    (host.directory / "state" / "configurations" / "canary.json").write_text(content)
    again = host.after()
    await again.canaries.begin()
    assert (again.view, again.trials) == (None, [])


# Several hosts.


@pytest.fixture
def hosts(tmp_path: Path) -> tuple[Host, Host, Shared]:
    shared = Shared()
    return Host(tmp_path / "a", shared), Host(tmp_path / "b", shared), shared


Hosts = tuple[Host, Host, Shared]


async def test_one_command_steers_all(hosts: Hosts) -> None:
    a, b, _ = hosts
    await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    await b.hears()
    assert (b.tried, b.view["id"], b.view["shared"]) == (7, a.view["id"], True)
    await b.canaries.stage(50, ANNA)
    await a.hears()
    assert (a.view["percent"], b.view["percent"]) == (50, 50)
    await a.canaries.promote(ANNA)
    await b.hears()
    for each in hosts[:2]:
        assert (each.view["course"], each.tried, each.file.read_bytes()) == ("promoted", None, CANDIDATE)
        assert each.changing.running.config.gpu_lock.max_wait_time == 7


async def test_harm_on_one_takes_it_back_on_all(hosts: Hosts) -> None:
    a, b, _ = hosts
    await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    await b.hears()
    b.ends(20, "request.timed-out")
    await eventually(lambda: b.view["course"] == "rolled-back" and b.view["shared"])
    await a.hears()
    assert (a.view["course"], a.tried, a.view["why"]) == ("rolled-back", None, b.view["why"])


async def test_without_the_store_nothing_begins_and_everything_ends(hosts: Hosts) -> None:
    a, b, shared = hosts
    shared.away = True
    with pytest.raises(LeaseUnavailable, match="cannot be told"):
        await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    assert not a.view
    shared.away = False
    await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    await b.hears()
    shared.away = True
    with pytest.raises(LeaseUnavailable):
        await a.canaries.stage(50, ANNA)
    assert a.view["percent"] == 10
    await a.canaries.abort(ANNA)
    assert (a.view["course"], a.tried, a.view["shared"]) == ("aborted", None, False)
    await a.hears()  # still away
    a = a.after()  # and killed meanwhile
    shared.away = False
    await a.canaries.begin()
    assert a.view["shared"]
    await b.hears()
    assert (b.view["course"], b.tried) == ("aborted", None)


async def test_harm_outweighs_a_stage_that_was_set_meanwhile(hosts: Hosts) -> None:
    a, b, shared = hosts
    await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    await b.hears()
    shared.away = True
    b.ends(20, "request.timed-out")
    await eventually(lambda: b.view["course"] == "rolled-back")
    shared.away = False
    await a.canaries.stage(50, ANNA)
    await b.hears()
    await a.hears()
    assert (a.view["course"], b.view["course"]) == ("rolled-back", "rolled-back")


async def test_a_change_that_another_host_was_quicker_with_is_refused_and_taken_over(hosts: Hosts) -> None:
    a, b, _ = hosts
    await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    await b.hears()
    await a.canaries.stage(50, ANNA)
    with pytest.raises(ConfigurationRefused, match="another host has changed"):
        await b.canaries.stage(20, ANNA)
    assert b.view["percent"] == 50
    await b.canaries.stage(20, ANNA)
    await a.hears()
    assert a.view["percent"] == 20


async def test_a_store_that_has_lost_everything_is_told_again(hosts: Hosts) -> None:
    a, b, shared = hosts
    await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    shared.stands = None
    await a.hears()
    await b.hears()
    assert b.tried == 7


async def test_a_daemon_that_was_away_learns_what_it_missed_before_it_serves(hosts: Hosts) -> None:
    a, b, _ = hosts
    await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    await b.hears()
    await a.canaries.abort(ANNA)
    b = b.after()
    await b.canaries.begin()
    assert (b.view["course"], b.trials) == ("aborted", [None])


async def test_a_host_with_another_file_takes_part_and_is_not_overwritten(tmp_path: Path, hosts: Hosts) -> None:
    a, _, shared = hosts
    other = b"gpu_lock: {max_wait_time: 20m}\nhttp: {port: 9000}\n"
    c = Host(tmp_path / "c", shared, base=other)
    await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    await c.hears()
    assert c.tried == 7
    await a.canaries.promote(ANNA)
    await c.hears()
    assert (c.view["course"], c.tried, c.file.read_bytes()) == ("promoted", None, other)


async def test_a_host_that_had_no_part_in_a_canary_is_not_overwritten_by_its_promotion(
    tmp_path: Path, hosts: Hosts
) -> None:
    a, b, shared = hosts
    await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    await a.canaries.promote(ANNA)
    late, same = Host(tmp_path / "late", shared), Host(tmp_path / "same", shared, base=CANDIDATE)
    for each, content in ((b, BASE), (late, BASE), (same, CANDIDATE)):
        await each.canaries.begin()
        assert (each.view["course"], each.file.read_bytes()) == ("promoted", content)


async def test_what_was_rolled_back_after_a_promotion_stays_so(hosts: Hosts) -> None:
    a, b, _ = hosts
    await a.canaries.start(CANDIDATE, 10, FOR_EVER, ANNA)
    await b.hears()
    await a.canaries.promote(ANNA)
    await b.hears()
    await b.changing.rollback(None, ANNA)
    await b.hears()
    again = b.after()
    await again.canaries.begin()
    assert again.file.read_bytes() == BASE


async def test_a_deadline_is_the_same_for_all_whatever_their_clocks_say(hosts: Hosts, tmp_path: Path) -> None:
    a, _, shared = hosts
    late = Host(tmp_path / "late", shared, clock=Clock("another boot"))
    late.clock.time = 77.0
    await a.canaries.start(CANDIDATE, 10, 3600, ANNA)
    assert shared.stands is not None
    shared.stands = (*shared.stands[:3], 600.0)  # fifty minutes later, by the store's clock
    await late.hears()
    assert late.view["time_left"] == 600
    late.clock.time += 599
    assert late.view["time_left"] == 1
