"""A host whose GPUs another daemon has leased: how it waits for them, and that the fleet still hears of it."""

from __future__ import annotations

from gpulockd.core.model import LeaseHolder

from .script import RENEW, Host, claim, claimed, passes, play, renewed

TTL = 15.0


def contender(expires_in: float) -> Host:
    host = Host(gpus=1, claimed=False, lease_ttl=TTL, fallback_timeout=30, poll_interval=2, max_poll_interval=10)
    return play(host, claimed(1, refused={0: LeaseHolder("other-host", 4242, expires_in)}))


def test_the_end_of_a_lease_is_not_waited_past() -> None:
    play(contender(7.5), passes(3), RENEW, renewed(), passes(3), RENEW, renewed(), passes(1.5), claim(0, floor=0))


def test_a_host_without_leases_goes_on_reporting_itself() -> None:
    host = contender(100)
    for _ in range(5):
        play(host, passes(TTL / 5), RENEW, renewed(lost={}))
    assert "lease.late" not in host.kinds()


def test_reports_and_claims_do_not_disturb_each_other() -> None:
    again = claimed(1, refused={0: LeaseHolder("other-host", 4242, 15)})
    host = contender(2)
    play(host, passes(2), claim(0, floor=0), again, passes(1), RENEW, passes(1), claim(0, floor=0))
    play(host, renewed(), again, passes(3), RENEW)
