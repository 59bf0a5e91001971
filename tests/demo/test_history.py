"""The judge of histories: it lets a true history pass, and finds each thing that must not be, planted alone."""

from __future__ import annotations

from typing import Any

import pytest

from demo.diary import Entry
from demo.history import Verdict, judge


def entry(at: float, who: str, what: str, **facts: Any) -> Entry:
    return Entry(who, at, what, facts)


def wants(at: float, who: str, *, gpus: int = 1, wait: float = 9.0, expect: str = "granted") -> Entry:
    return entry(at, who, "want", gpus=gpus, wait=wait, expect=expect)


def got(at: float, who: str, token: int, *gpus: int) -> Entry:
    return entry(at, who, "got", lock=f"L{token}", token=token, gpus=list(gpus or (0,)))


def leaves(at: float, who: str, token: int, *, lost: str | None = None, away: bool = False) -> list[Entry]:
    return [
        entry(at, who, "leaving", token=token, lost=lost, away=away),
        entry(at + 0.01, who, "left", token=token),
        entry(at + 0.02, who, "done"),
    ]


def holds(who: str, token: int, start: float, end: float, *gpus: int) -> list[Entry]:
    """One job of a worker that then ends."""
    return [wants(start - 0.01, who), got(start, who, token, *gpus), *leaves(end, who, token)]


def kills(at: float, victim: str, by: str = "killer") -> Entry:
    return entry(at, by, "kills", victim=victim)


def daemon_dies(at: float, back: float) -> list[Entry]:
    return [kills(at, "daemon"), entry(at + 0.1, "killer", "down"), entry(back, "killer", "up")]


def verdict(*parts: Entry | list[Entry]) -> Verdict:
    entries = [each for part in parts for each in (part if isinstance(part, list) else [part])]
    return judge(entries, origin=0.0)


def finding(*parts: Entry | list[Entry]) -> str:
    """The one finding."""
    findings = verdict(*parts).findings
    assert len(findings) == 1, findings
    return findings[0]


def test_nothing_is_no_finding() -> None:
    assert verdict().good


def test_one_after_another_is_good() -> None:
    judged = verdict(holds("a", 1, 0.0, 1.0), holds("b", 2, 1.5, 2.0), holds("c", 3, 0.2, 1.0, 1))
    assert judged.findings == ()
    assert judged.holds == 3


# Two at once.


def test_an_overlap_is_found() -> None:
    assert finding(holds("a", 1, 0.0, 1.0), holds("b", 2, 0.9, 2.0)) == (
        "two at once on GPU 0: a held it from 0.000 s to 1.000 s (token 1), and b got it at 0.900 s (token 2)"
    )


def test_an_overlap_inside_a_long_hold_is_found_though_another_ended_in_between() -> None:
    findings = verdict(holds("a", 1, 0.0, 9.0), holds("b", 2, 1.0, 2.0), holds("c", 3, 3.0, 4.0)).findings
    assert [text.partition(":")[0] for text in findings] == ["two at once on GPU 0"] * 2
    assert "c got it" in findings[1]


def test_an_overlap_on_one_of_several_gpus_is_found() -> None:
    assert "on GPU 1" in finding(holds("a", 1, 0.0, 1.0, 0, 1), holds("b", 2, 0.5, 2.0, 1, 2))


def test_a_killed_holder_held_until_it_was_about_to_be_killed() -> None:
    killed = [wants(0.0, "a"), got(0.1, "a", 1), kills(1.0, "a")]
    judged = verdict(killed, holds("b", 2, 1.001, 2.0))
    assert judged.findings == ()
    assert (judged.killed_holding, judged.passed_on) == (1, 1)
    assert "a held it from 0.100 s to 1.000 s" in finding(killed, holds("b", 2, 0.99, 2.0))


def test_a_killed_holder_whose_gpus_were_not_all_granted_again_passed_nothing_on() -> None:
    killed = [wants(0.0, "a"), got(0.1, "a", 1, 0, 1), kills(1.0, "a")]
    assert verdict(killed, holds("b", 2, 1.1, 2.0, 0)).passed_on == 0
    assert verdict(killed, holds("b", 2, 1.1, 2.0, 0), holds("c", 3, 1.1, 2.0, 1)).passed_on == 1


def test_a_killed_holder_that_wrote_on_was_alive_until_then() -> None:
    """Between the killer's line and its SIGKILL there is time for more."""
    killed = [wants(0.0, "a"), kills(1.0, "a"), got(1.2, "a", 1), entry(1.3, "a", "kept", token=1, asked=1.25)]
    assert "from 1.200 s to 1.300 s" in finding(killed, holds("b", 2, 1.29, 2.0))


def test_a_holder_that_was_killed_while_it_let_go_held_no_longer() -> None:
    leaving = entry(0.5, "a", "leaving", token=1, lost=None, away=False)
    judged = verdict(wants(0.0, "a"), got(0.1, "a", 1), leaving, kills(0.6, "a"), holds("b", 2, 0.55, 2.0))
    assert judged.findings == ()
    assert judged.killed_holding == 0


# Tokens.


def test_a_token_that_falls_is_found() -> None:
    assert finding(holds("a", 7, 0.0, 1.0), holds("b", 6, 2.0, 3.0)) == (
        "a token fell on GPU 0: a had 7 at 0.000 s, and b got 6 at 2.000 s"
    )


def test_tokens_of_different_gpus_are_not_compared() -> None:
    assert verdict(holds("a", 7, 0.0, 1.0, 0), holds("b", 6, 2.0, 3.0, 1)).good


def test_a_token_given_twice_is_found() -> None:
    assert "token 7 was given twice: to a" in finding(holds("a", 7, 0.0, 1.0, 0), holds("b", 7, 2.0, 3.0, 1))


# Lost locks.


def test_a_lock_that_the_daemon_denies_is_found() -> None:
    denied = entry(0.5, "a", "denied", token=1, why="this session does not hold L1")
    assert finding(holds("a", 1, 0.0, 1.0), denied) == (
        "a lock was lost: at 0.500 s the daemon denied a token 1: this session does not hold L1"
    )


def test_a_holder_that_was_told_of_a_loss_is_found() -> None:
    assert "by 1.000 s: not-reattached" in finding(
        wants(0.0, "a"), got(0.1, "a", 1), leaves(1.0, "a", 1, lost="not-reattached")
    )


def test_a_lock_that_the_next_daemon_knows_is_good() -> None:
    kept = entry(3.5, "a", "kept", token=1, asked=3.4)
    judged = verdict(holds("a", 1, 0.0, 4.0), daemon_dies(1.0, back=3.0), kept)
    assert judged.findings == ()
    assert (judged.daemon_deaths, judged.outlasted, judged.confirmed) == (1, 1, 1)


def test_an_answer_that_the_dead_daemon_may_have_given_confirms_nothing() -> None:
    kept = entry(1.2, "a", "kept", token=1, asked=1.05)
    judged = verdict(holds("a", 1, 0.0, 4.0), daemon_dies(1.0, back=3.0), kept)
    assert (judged.findings, judged.outlasted, judged.confirmed) == ((), 1, 0)


def test_a_lock_that_no_later_daemon_was_asked_about_is_found() -> None:
    asked_before = entry(0.5, "a", "kept", token=1, asked=0.4)
    assert finding(holds("a", 1, 0.0, 4.0), daemon_dies(1.0, back=3.0), asked_before) == (
        "nobody knows what became of a lock: a held token 1 when the daemon died at 1.100 s, "
        "and no later daemon confirmed it"
    )


def test_of_a_holder_that_let_go_while_no_daemon_was_there_nothing_is_asked() -> None:
    assert verdict(wants(0.0, "a"), got(0.1, "a", 1), leaves(3.5, "a", 1, away=True), daemon_dies(1.0, 3.0)).good
    assert verdict(holds("a", 1, 0.0, 2.0), daemon_dies(1.0, back=3.0)).good


def test_of_a_holder_that_was_killed_meanwhile_nothing_is_asked() -> None:
    assert verdict(wants(0.0, "a"), got(0.1, "a", 1), kills(3.5, "a"), daemon_dies(1.0, back=3.0)).good


# Requests.


def test_a_request_that_is_refused_is_found() -> None:
    refused = entry(0.5, "a", "refused", code="journal-unavailable")
    assert finding(wants(0.0, "a"), refused, entry(0.6, "a", "done")) == (
        "a, which asked at 0.000 s, was refused at 0.500 s: journal-unavailable"
    )


@pytest.mark.parametrize(
    ("expect", "after", "found"),
    [
        ("timeout", 1.0, None),
        ("either", 1.0, None),
        ("granted", 1.0, "was refused"),
        ("timeout", 0.9, "was sent away after 0.900 s"),
        ("either", 0.9, "was sent away after 0.900 s"),
        ("timeout", 4.0, "was kept for 4.000 s"),
    ],
)
def test_a_wait_ends_when_it_should(expect: str, after: float, found: str | None) -> None:
    timed_out = entry(after, "a", "refused", code="wait-timeout")
    judged = verdict(wants(0.0, "a", wait=1.0, expect=expect), timed_out, entry(5.0, "a", "done"))
    assert judged.timeouts == 1
    assert [found in text for text in judged.findings if found] == ([True] if found else [])
    assert len(judged.findings) == (0 if found is None else 1)


def test_a_grant_in_place_of_a_timeout_is_found() -> None:
    granted = [wants(0.0, "a", wait=1.0, expect="timeout"), got(0.5, "a", 1), *leaves(1.0, "a", 1)]
    assert "was to wait out its 1 s, and was granted a lock" in finding(granted)


def test_a_request_without_an_answer_is_found() -> None:
    assert "a request was never answered: a asked at 0.500 s" in finding(wants(0.5, "a"), entry(9.0, "a", "done"))
    assert verdict(wants(0.5, "a"), kills(1.0, "a")).good


def test_an_answer_to_nothing_is_found() -> None:
    assert "had asked nothing" in finding(holds("a", 1, 0.0, 1.0), got(2.0, "a", 2), leaves(3.0, "a", 2))


def test_a_daemon_that_is_away_may_end_a_wait_early_and_no_other() -> None:
    gave_up = [wants(1.0, "a", expect="either"), entry(2.0, "a", "refused", code="daemon-unavailable")]
    ended = entry(9.0, "a", "done")
    assert verdict(gave_up, ended, daemon_dies(1.5, back=3.0)).good
    assert verdict(gave_up, ended, daemon_dies(0.2, back=1.1)).good
    assert "daemon-unavailable" in finding(gave_up, ended)
    assert "daemon-unavailable" in finding(gave_up, ended, daemon_dies(2.1, back=3.0))
    assert "daemon-unavailable" in finding(gave_up, ended, daemon_dies(0.2, back=0.9))


# Ends.


def test_a_worker_that_ends_by_itself_is_found() -> None:
    assert finding(wants(0.0, "a"), got(0.1, "a", 1)) == "a went without a word after 0.100 s, and nobody killed it"


def test_a_daemon_that_ends_by_itself_is_found() -> None:
    assert finding(
        holds("a", 1, 0.0, 0.5), daemon_dies(1.0, back=2.0), entry(3.0, "killer", "down"), entry(4.0, "killer", "up")
    ) == ("the daemon died at 3.000 s, and nobody had killed it")
