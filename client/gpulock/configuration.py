"""The forms of the answers about the configuration: what is in force, how it changed, and what is being tried."""

from __future__ import annotations

from typing import Literal, TypedDict


class SettingView(TypedDict):
    key: str
    value: object
    source: str
    """`default`, `FILE:LINE:COLUMN`, or `environment NAME`."""


class ConfigDocument(TypedDict):
    schema_version: int
    settings: list[SettingView]
    """What is in force."""
    file: str
    """The daemon's own."""
    edited: bool
    """Whether it holds something else by now, which is not in force: lines and columns are those of what is."""


class ChangeView(TypedDict):
    """A setting that a configuration changes; nil on the side where there is no such profile."""

    key: str
    before: object
    after: object
    restart: bool
    """Whether it needs a restart. A running daemon refuses such a change, as a whole."""


class ChangeDocument(TypedDict):
    """Answer of `reload`, `config_apply` and `config_rollback`."""

    schema_version: int
    outcome: Literal["applied", "unchanged", "dry-run"]
    version: int | None
    """The one in force."""
    file: str
    changes: list[ChangeView]


class ConfigEntryView(TypedDict):
    """One line of the configuration's history."""

    at: float
    """Wall clock, seconds since 1970, for people."""
    how: str
    """`start`, `reload`, `apply`, `rollback`; `found`: somebody had edited the file and not applied it."""
    outcome: Literal["applied", "begun", "refused", "set-aside"]
    version: int | None
    current: bool
    user: str
    uid: int | None
    pid: int | None
    command: str
    reason: str
    digest: str
    changes: list[ChangeView]
    why: str


class ConfigHistoryDocument(TypedDict):
    schema_version: int
    file: str
    entries: list[ConfigEntryView]
    """The latest first."""
    earlier: int | None
    """Where the next page begins: its `before`. nil: there is none."""


class ConfigVersionDocument(TypedDict):
    schema_version: int
    version: int
    content: str | None
    """nil: there was no file, and the defaults held."""


class OutcomesView(TypedDict):
    """Of one variant, on the daemon's own host."""

    granted: int
    timed_out: int
    failed: int


class ThresholdsView(TypedDict):
    timeouts: float
    failures: float
    redis_cpu: float
    min_requests: int


class CanaryView(TypedDict):
    id: str
    course: Literal["running", "promoted", "aborted", "rolled-back", "expired"]
    percent: float
    time_left: float | None
    by: str
    reason: str
    at: float
    """Wall clock of its last change, seconds since 1970, for people."""
    why: str
    """Why it was ended, where no person did it."""
    outcomes: dict[str, OutcomesView]
    """By variant: `stable` and `candidate`."""
    thresholds: ThresholdsView
    shared: bool
    """Whether other hosts know of it as it is."""


class CanaryDocument(TypedDict):
    """Answer of `canary` and of everything that changes it: the one that runs, or the last that did."""

    schema_version: int
    canary: CanaryView | None
