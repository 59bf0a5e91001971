"""What is compared, as it is typed."""

from __future__ import annotations

import re

import pytest

from gpulockd.config.keys import SETTINGS
from gpulockd.evidence.bench.variants import (
    DAEMON,
    DEFAULTS,
    DURATIONS,
    POLLING,
    BadVariant,
    Variant,
    choose,
    parse_variant,
)
from tests.docs.markdown import ROOT


def test_variants_are_read() -> None:
    assert parse_variant("push") == Variant("push", "daemon", {})
    assert parse_variant("poll-0.5") == Variant("poll-0.5", "polling", {"gpu_lock.poll_interval": 0.5})
    assert parse_variant("eager=way=polling,poll_interval=500ms,exponential_backoff=false") == Variant(
        "eager", "polling", {"gpu_lock.poll_interval": 0.5, "gpu_lock.exponential_backoff": False}
    )
    assert parse_variant("fair=max_overtakes=0,redis.ttl=30,redis.on_loss=revoke") == Variant(
        "fair", "daemon", {"gpu_lock.max_overtakes": 0, "redis.ttl": 30, "redis.on_loss": "revoke"}
    )
    assert [parse_variant(name).name for name in DEFAULTS] == ["poll-2", "poll-1", "poll-0.5", "push"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pull", "push, poll-SECONDS"),
        ("a b=x=1", "cannot name"),
        ("a=poll_interval", "KEY=VALUE"),
        ("a=way=carrier", "daemon, polling"),
        ("a=daemon.socket=/tmp/x", "cannot be varied"),
        ("a=redis.url=redis://x", "cannot be varied"),
        ("a=way=polling,redis.ttl=20", "means nothing to polling"),
        ("a=poll_interval=soon", "not a duration"),
        ("a=poll_interval=0", "longer than 0"),
        ("poll-forever", "to end"),
    ],
)
def test_what_is_no_variant_is_told(text: str, why: str) -> None:
    with pytest.raises(BadVariant, match=why):
        parse_variant(text)


def test_durations_shrink_with_the_time_and_nothing_else_does() -> None:
    effective = parse_variant("x=way=polling,poll_interval=1,exponential_backoff=false").effective(0.1)
    assert effective["gpu_lock.poll_interval"] == pytest.approx(0.1)
    assert effective["gpu_lock.max_wait_time"] == pytest.approx(180)
    assert effective["gpu_lock.exponential_backoff"] is False
    assert parse_variant("x=redis.ttl=30").effective(0.1)["redis.ttl"] == 30


def test_the_older_way_ran_with_what_the_settings_are_today() -> None:
    """Their names and defaults are those of the configuration, which this room does not import."""
    assert {*DURATIONS, *POLLING, *DAEMON} <= set(SETTINGS)
    assert {key: SETTINGS[key].default for key in POLLING} == POLLING


ALL = [parse_variant(name) for name in ("poll-2", "push", "fair=max_overtakes=0")]


def test_the_first_variant_is_the_baseline_unless_another_is_named() -> None:
    assert choose(ALL, None, has_redis=True) == (ALL, "poll-2", [])
    assert choose(ALL, "push", has_redis=True).baseline == "push"


def test_without_redis_nobody_polls() -> None:
    chosen = choose(ALL, "poll-2", has_redis=False)
    assert (chosen.variants, chosen.baseline) == (ALL[1:], "push")
    assert [each.split(":")[0] for each in chosen.left_out] == ["poll-2 is left out", "Redis is not measured"]


def test_what_cannot_be_chosen_is_told() -> None:
    with pytest.raises(BadVariant, match="two variants are called push"):
        choose([ALL[1], ALL[1]], None, has_redis=True)
    with pytest.raises(BadVariant, match="no variant 'nobody'"):
        choose(ALL, "nobody", has_redis=True)
    with pytest.raises(BadVariant, match="nothing can be measured"):
        choose(ALL[:1], None, has_redis=False)


def test_those_that_people_are_told_to_type_are_understood() -> None:
    told = re.findall(r"--variant (\S+)", (ROOT / "docs" / "operations.md").read_text())
    assert len(told) >= 4
    for text in told:
        parse_variant(text)
