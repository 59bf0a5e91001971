"""Whatever happens to Redis, and to the way there: what status says, what metrics count, what holders hear.

The daemon is real, and so are server and clients. Faults that take their time take it together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.waiting import wait_until

from .site import STOP, TIMEOUT, TTL, Site, health, metrics, metrics_with, site, wait_until_renewed

pytestmark = [pytest.mark.system, pytest.mark.redis, pytest.mark.slow]

PAUSE = 2.5 * TTL
"""Long enough for everybody to look at it: a pause ends by itself."""
LONG_TTL = 3 * TTL
"""Where nothing may become too late, though the machine has a bad second."""
Deed = Callable[[Site], object]


def through_the_proxy(**changes: object) -> Deed:
    """Changes what becomes of the daemon's words."""

    def do(at: Site) -> None:
        for name, value in changes.items():
            assert hasattr(at.proxy, name)
            setattr(at.proxy, name, value)

    return do


def and_cut(deed: Deed) -> Deed:
    """And breaks the connections that are there."""

    def do(at: Site) -> None:
        deed(at)
        at.cut()

    return do


def other_password(at: Site) -> None:
    at.admin.execute_command("ACL", "SETUSER", "default", "resetpass", ">another")
    at.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def without_room(at: Site) -> None:
    """Its data is gone too: a full server renews what is there."""
    at.admin.config_set("maxmemory", "1")
    at.admin.flushall()


def nothing(_: Site) -> None:
    """It passes by itself."""


@dataclass(frozen=True)
class Fault:
    strike: Deed
    mend: Deed
    reason: str
    """In metrics."""
    said: str
    """In status."""
    on_the_way: bool = False
    """It befalls the proxy. The daemon reaches a server that is itself at fault without one."""
    up: bool = False
    """Whether Redis still answers some of it."""


FAULTS = {
    "killed": Fault(lambda at: at.server.kill(), lambda at: at.server.start(), "refused", "refuses the connection"),
    "frozen": Fault(lambda at: at.server.pause(), lambda at: at.server.resume(), "timeout", "gave no answer within"),
    "paused": Fault(
        lambda at: at.admin.execute_command("CLIENT", "PAUSE", str(int(1000 * PAUSE)), "ALL"),
        nothing,
        "timeout",
        "gave no answer within",
    ),
    "another password": Fault(
        other_password,
        lambda at: at.admin.execute_command("ACL", "SETUSER", "default", "nopass"),
        "auth",
        "does not accept the user or password",
    ),
    "a replica": Fault(
        lambda at: at.admin.execute_command("REPLICAOF", "127.0.0.1", "1"),
        lambda at: at.admin.execute_command("REPLICAOF", "NO", "ONE"),
        "readonly",
        "is a read-only replica",
    ),
    "full and emptied": Fault(
        without_room, lambda at: at.admin.config_set("maxmemory", "0"), "oom", "is out of memory (maxmemory)", up=True
    ),
    "too slow": Fault(
        through_the_proxy(delay=2 * TIMEOUT),
        through_the_proxy(delay=0.0),
        "timeout",
        "gave no answer within",
        on_the_way=True,
    ),
    "mute": Fault(
        through_the_proxy(loses_replies=True),
        and_cut(through_the_proxy(loses_replies=False)),
        "timeout",
        "gave no answer within",
        on_the_way=True,
    ),
    "deaf": Fault(
        through_the_proxy(loses_requests=True),
        and_cut(through_the_proxy(loses_requests=False)),
        "timeout",
        "gave no answer within",
        on_the_way=True,
    ),
    "cut off": Fault(
        and_cut(through_the_proxy(refuses=True)),
        through_the_proxy(refuses=False),
        "network",
        "cannot be reached",
        on_the_way=True,
    ),
    "half closed": Fault(
        and_cut(through_the_proxy(half_closes=True)),
        and_cut(through_the_proxy(half_closes=False)),
        "network",
        "cannot be reached",
        on_the_way=True,
    ),
}


@dataclass(frozen=True)
class Seen:
    """What the parties saw of a fault."""

    lease: dict[str, Any]
    metrics: dict[str, float]
    health: int
    refused: str
    kept: bool
    """Whether the holder's lock was still its own in the middle of it."""
    heard: list[Any]
    """What the holder was told."""
    tokens: tuple[int, int]
    """Of the lock before, and of the one that somebody waited for meanwhile."""
    after: dict[str, Any]
    metrics_after: dict[str, float]
    events: str


def befall(fault: Fault) -> Seen:
    """Lets it happen to a host with one holder, lets somebody wait, and mends it."""
    with site() as at:
        daemon = at.host(url=None if fault.on_the_way else at.server.url)
        daemon.start()
        with Frames(daemon.socket) as holder, Frames(daemon.socket) as waiter, Frames(daemon.socket) as hasty:
            lock = holder.call("acquire", notify=["lost"])
            fault.strike(at)
            wait_until(lambda: lease(daemon)["state"] == "degraded", lambda: f"too old: {daemon.status()['lease']}")
            wait_until(lambda: fault.said in lease(daemon)["why"], lambda: f"it says why: {lease(daemon)}")
            counted = metrics_with(daemon, "gpu_lock_lease_state{state=degraded}", 1)
            during = lease(daemon)
            healthy = wait_until(lambda: health(daemon) if health(daemon) != 200 else 0, "it is unwell")
            with pytest.raises(WireError) as refusal:
                hasty.call("acquire", gpus=["1"], wait_timeout=0)
            waiting = waiter.send("acquire", wait_timeout=60)
            kept = holder.call("beat") is not None
            fault.mend(at)
            granted = waiter.receive(waiting)
            wait_until(lambda: lease(daemon)["fault"] == "")
            return Seen(
                during,
                counted,
                healthy,
                str(refusal.value.code),
                kept and holder.call("beat") is not None,
                list(holder.notifications),
                (lock["token"], granted["token"]),
                lease(daemon),
                metrics_with(daemon, "gpu_lock_redis_up", 1),
                daemon.output(),
            )


def lease(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = daemon.status()["lease"]
    return found


@pytest.fixture(scope="module")
def befallen(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Seen]]]:
    wanted = {_name_of_fault(item) for item in request.session.items}
    with ThreadPoolExecutor(len(FAULTS)) as threads:  # they wait, mostly
        yield {name: threads.submit(befall, fault) for name, fault in FAULTS.items() if name in wanted}


def _name_of_fault(test: Any) -> str | None:
    return test.callspec.params.get("name") if hasattr(test, "callspec") else None


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_stops_grants_is_told_and_counted_and_hurts_no_holder(
    name: str, befallen: dict[str, Future[Seen]]
) -> None:
    fault, seen = FAULTS[name], befallen[name].result(100)
    assert seen.lease["age"] >= STOP * TTL
    assert seen.metrics["gpu_lock_lease_age_seconds"] >= STOP * TTL
    assert seen.metrics[f"gpu_lock_lease_failures_total{{reason={fault.reason}}}"] >= 1
    if not fault.up:
        assert seen.lease["fault"] in seen.lease["failures"]
        assert seen.metrics["gpu_lock_redis_up"] == 0
    assert seen.health == 503
    assert seen.refused == "lease-unavailable"
    assert seen.kept
    assert seen.heard == []
    assert seen.tokens[0] < seen.tokens[1]
    assert (seen.after["state"], seen.after["why"]) == ("held", "")
    assert seen.metrics_after["gpu_lock_lease_state{state=held}"] == 1
    told = [line for line in ("lease.failed", "lease.late", "lease.degraded", "lease.recovered") if line in seen.events]
    assert told == ["lease.failed", "lease.late", "lease.degraded", "lease.recovered"]


@pytest.fixture
def at() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture
def daemon(at: Site) -> Daemon:
    daemon = at.host()
    daemon.start()
    return daemon


@pytest.fixture
def calm() -> Iterator[tuple[Site, Daemon]]:
    """One that gives an answer two seconds, and that stops granting after eight."""
    with site(LONG_TTL) as at:
        daemon = at.host(settings={"redis.operation_timeout": 2})
        daemon.start()
        yield at, daemon


def test_a_server_that_comes_back_empty_is_claimed_anew_under_its_holders(at: Site, daemon: Daemon) -> None:
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as other:
        lock = holder.call("acquire", notify=["lost"])
        at.server.kill()
        at.server.start()
        wait_until(lambda: "lease.lost" in daemon.output(), "the loss is noticed")
        granted = other.call("acquire", wait_timeout=30)
        assert granted["token"] >> 32 > lock["token"] >> 32, "the epoch is remembered, though Redis has forgotten it"
        holder.call("beat")
        assert not holder.notifications
    assert lease(daemon)["state"] == "held"
    assert at.server.client().dbsize() > 0


def test_a_renewal_that_succeeded_and_was_not_answered_changes_nothing(calm: tuple[Site, Daemon]) -> None:
    at, daemon = calm
    with Frames(daemon.socket) as holder:
        lock = holder.call("acquire", notify=["lost"])
        wait_until_renewed(daemon)  # so that the server knows the script: else what it does not answer, it does not do
        keys = sorted(at.admin.scan_iter("*lease:*"))
        before, ends = at.admin.mget(keys), [at.admin.pexpiretime(key) for key in keys]
        at.proxy.loses_replies = True
        wait_until(lambda: lease(daemon)["fault"] == "timeout", "an answer was lost")
        later = [at.admin.pexpiretime(key) for key in keys]
        assert all(new > old for new, old in zip(later, ends, strict=True)), "the renewal itself was not"
        at.proxy.loses_replies = False
        at.cut()
        wait_until(lambda: lease(daemon)["fault"] == "", "the next is answered")
        assert at.admin.mget(keys) == before, "the same epoch"
        assert "lease.degraded" not in daemon.output()
        holder.call("release")
        assert holder.call("acquire")["token"] == lock["token"] + 1
        assert not holder.notifications


def test_a_slow_server_is_slow_and_no_more(calm: tuple[Site, Daemon]) -> None:
    at, daemon = calm
    at.proxy.delay = 0.2
    wait_until_renewed(daemon)
    with Frames(daemon.socket) as client:
        client.call("acquire", wait_timeout=0)
    assert lease(daemon)["failures"] == {}
    assert metrics(daemon)["gpu_lock_redis_up"] == 1


def test_a_full_server_renews(calm: tuple[Site, Daemon]) -> None:
    at, daemon = calm
    at.admin.config_set("maxmemory", "1")
    wait_until_renewed(daemon)
    with Frames(daemon.socket) as client:
        client.call("acquire", wait_timeout=0)
    assert lease(daemon)["failures"] == {}
