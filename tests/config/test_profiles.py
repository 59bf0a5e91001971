"""Profiles: what they change, what they leave to the general settings, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping

import pytest

from gpulockd.config import Config, core_settings, settings
from gpulockd.config.keys import FALLBACKS, SETTINGS, members_of, profile_and_key
from gpulockd.core.settings import Levels, Settings

from .conftest import Complaints, Loads
from .core_fields import nested

FILM = """\
gpu_lock:
  max_wait_time: 5m
profiles:
  film:
    max_hold: 8h
    timeout_levels:
      hard_timeout: forever
  ocr:
"""
DURATION = "30s, 5m, 2h, or seconds as a number"
KEYS = "max_wait_time, max_hold, timeout_levels"


def profile_of(loads: Loads, content: str, name: str) -> Settings:
    return core_settings(loads(content).config).under(name)


def test_a_profile_changes_what_it_names_and_nothing_else(loads: Loads) -> None:
    general = core_settings(loads(FILM).config)
    levels = Levels(warning=1800, soft=3600, hard=math.inf)
    expected = dataclasses.replace(general, lock_timeout=28800, levels=levels, profiles={})
    assert general.under("film") == expected
    assert general.under("film").max_wait_time == 300


def test_one_that_names_nothing_changes_nothing(loads: Loads) -> None:
    general = core_settings(loads(FILM).config)
    assert general.under("ocr") == dataclasses.replace(general, profiles={})


GENERAL = {
    "gpu_lock.lock_timeout": 2000,
    "gpu_lock_monitor.timeout_levels.warning": 1000,
    "gpu_lock_monitor.timeout_levels.soft_timeout": 2000,
    "gpu_lock_monitor.timeout_levels.hard_timeout": 3000,
}
OTHERS = {
    "max_wait_time": 1,
    "max_hold": 2500,
    "timeout_levels.warning": 1500,
    "timeout_levels.soft_timeout": 2500,
    "timeout_levels.hard_timeout": 4000,
}


@pytest.mark.parametrize("own", FALLBACKS)
def test_each_key_changes_what_its_fallback_does(own: str, loads: Loads) -> None:
    """Given in a profile, it comes to what its fallback would come to if it were given in general."""
    plain = core_settings(loads(text(GENERAL)).config)
    general = core_settings(loads(text({**GENERAL, FALLBACKS[own]: OTHERS[own]})).config)
    assert profile_of(loads, text({**GENERAL, f"profiles.p.{own}": OTHERS[own]}), "p") == general != plain


def text(values: Mapping[str, object]) -> str:
    """A file that gives these: YAML has JSON in it."""
    return json.dumps(nested(values))


def test_without_the_monitor_a_profile_warns_nobody(loads: Loads) -> None:
    content = "gpu_lock_monitor: {enabled: false}\nprofiles: {p: {timeout_levels: {warning: 1}}}\n"
    assert profile_of(loads, content, "p").levels == Levels(math.inf, math.inf, 7200)


def test_there_are_none_by_default(loads: Loads) -> None:
    assert core_settings(Config()).profiles == {}
    assert loads("profiles:\n").config == Config()


def test_people_see_what_holds_and_where_it_came_from(loads: Loads) -> None:
    shown = {view["key"]: (view["value"], view["source"]) for view in settings(loads(FILM))}
    assert list(shown) == [*SETTINGS, *(f"profiles.{name}.{own}" for name in ("film", "ocr") for own in FALLBACKS)]
    assert shown["profiles.film.max_hold"] == (28800, "config.yml:5:15")
    assert shown["profiles.film.timeout_levels.hard_timeout"] == ("forever", "config.yml:7:21")
    assert shown["profiles.film.max_wait_time"] == (300, "config.yml:2:18")
    assert shown["profiles.ocr.max_hold"] == (3600, "default")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            "profiles:\n  ocr:\n    max_hol: 3\n",
            "config.yml:3:5: profiles.ocr.max_hol: unknown key (did you mean max_hold?)",
        ),
        (
            "profiles: {ocr: {lock_timeout: 3}}\n",
            f"config.yml:1:18: profiles.ocr.lock_timeout: unknown key (known here: {KEYS})",
        ),
        (
            "profiles: {ocr: {timeout_levels: {waring: 3}}}\n",
            "config.yml:1:35: profiles.ocr.timeout_levels.waring: unknown key (did you mean warning?)",
        ),
        (
            "profiles: {ocr: {max_hold: soon}}\n",
            f"config.yml:1:28: profiles.ocr.max_hold: must be a duration, not 'soon' ({DURATION})",
        ),
        (
            "profiles: {ocr: {max_hold: 0}}\n",
            "config.yml:1:28: profiles.ocr.max_hold: must be more than 0, not 0",
        ),
        (
            "profiles:\n  ocr:\n    max_hold:\n",
            (
                "config.yml:3:5: profiles.ocr.max_hold: must be a duration, not empty"
                " (remove the key to have its default)"
            ),
        ),
        (
            "profiles: {ocr: 5m}\n",
            f"config.yml:1:17: profiles.ocr: must be a section, not '5m' (its keys: {KEYS})",
        ),
        (
            "profiles: [ocr]\n",
            (
                "config.yml:1:11: profiles: must be a section, not ['ocr']"
                " (its keys are names of your own, each with a section: `ocr: {max_hold: 5m}`)"
            ),
        ),
        (
            "profiles: {a.b: {max_hold: 5m}}\n",
            "config.yml:1:12: profiles.a.b: must be a name of letters, digits, - and _, not 'a.b'",
        ),
        ("profile: {}\n", "config.yml:1:1: profile: unknown key (did you mean profiles?)"),
        (
            "profiles: {ocr: {max_hold: 3h}}\n",
            (
                "config.yml:1:28: profiles.ocr.max_hold: is 10800, but must be at most"
                " gpu_lock_monitor.timeout_levels.hard_timeout, 7200 by default"
                " (no lock lasts longer than the hard timeout, so a default beyond it would not act)"
            ),
        ),
        (
            "profiles: {ocr: {timeout_levels: {soft_timeout: 60}}}\n",
            (
                "config.yml:1:49: profiles.ocr.timeout_levels.soft_timeout: is 60, but must be at least"
                " gpu_lock_monitor.timeout_levels.warning, 1800 by default"
                " (a holder is warned before it is asked to finish)"
            ),
        ),
        (
            (
                "gpu_lock: {lock_timeout: 60}\n"
                "profiles: {ocr: {max_hold: 2, timeout_levels: {warning: 1, soft_timeout: 1, hard_timeout: 1}}}\n"
            ),
            (
                "config.yml:2:28: profiles.ocr.max_hold: is 2, but must be at most"
                " profiles.ocr.timeout_levels.hard_timeout, 1 from config.yml:2:91"
                " (no lock lasts longer than the hard timeout, so a default beyond it would not act)"
            ),
        ),
        (  # the general value is wrong for the profile only, so the profile is to blame
            (
                "gpu_lock: {lock_timeout: 1h}\n"
                "profiles: {ocr: {timeout_levels: {warning: 1, soft_timeout: 1, hard_timeout: 1}}}\n"
            ),
            (
                "config.yml:2:78: profiles.ocr.timeout_levels.hard_timeout: is 1, but must be at least"
                " gpu_lock.lock_timeout, 3600 from config.yml:1:26"
                " (no lock lasts longer than the hard timeout, so a default beyond it would not act)"
            ),
        ),
        (  # of a value that is not known no rule is told
            "profiles: {ocr: {max_hold: soon, timeout_levels: {warning: 1, soft_timeout: 1, hard_timeout: 1}}}\n",
            f"config.yml:1:28: profiles.ocr.max_hold: must be a duration, not 'soon' ({DURATION})",
        ),
    ],
)
def test_what_is_wrong(content: str, complaint: str, complaints: Complaints) -> None:
    assert complaints(content) == [complaint]


def test_the_environment_has_none(complaints: Complaints) -> None:
    name = "GPULOCKD__PROFILES__OCR__MAX_HOLD"
    assert complaints("{}", {name: "5"}) == [f"environment {name}: sets nothing (profiles are read from the file only)"]


def test_names_of_keys() -> None:
    assert profile_and_key("profiles.ocr.timeout_levels.warning") == ("ocr", "timeout_levels.warning")
    assert profile_and_key("profiles") is profile_and_key("redis.ttl") is None
    assert members_of("profiles.ocr.timeout_levels") == ["warning", "soft_timeout", "hard_timeout"]
