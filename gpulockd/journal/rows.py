"""How locks, requests, quarantines and history stand in the tables, and how they are read back."""

from __future__ import annotations

import functools
import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..core.model import GpuProcess, Lock, LockState, Owner, Process, Quarantine, Recall, Request, Tie, Usage, Wish
from ..core.settings import Levels
from ..history import Ended, Stranger, Unmet

Value = str | int | float | None

LOCK_COLUMNS = (
    "token", "id", "pid", "start_time", "boot_id", "uid", "gid", "user", "command", "container", "admin", "reattach",
    "wish", "queued_at", "granted_at", "ends_at", "state", "recall", "depth", "beat_at", "progress", "note", "usage",
    "session", "cgroup",
)  # fmt: skip
REQUEST_COLUMNS = (
    "id", "owner", "reattach", "wish", "queued_at", "rank_at", "rank_number", "overtaken", "session", "msgid",
)  # fmt: skip
QUARANTINE_COLUMNS = ("gpu", "since", "lock", "holder", "reason", "culprits")
HISTORY_COLUMNS = (
    "token", "lock", "gpus", "user", "uid", "pid", "command", "task", "waited", "held", "granted_at", "ended_at",
    "how", "ended_by", "profile", "container", "watched", "idle", "peak_memory", "strangers",
)  # fmt: skip
UNMET_COLUMNS = (
    "request", "user", "uid", "pid", "command", "container", "task", "profile", "wanted", "waited", "ended_at", "how",
    "times",
)  # fmt: skip
NOTHING_SEEN = ("", "", 0.0, 0.0, None, ())
"""What the last of `HISTORY_COLUMNS` hold where nothing is known of it."""

OWNER_FIELDS = ("process", "uid", "gid", "user", "command", "container", "admin", "cgroup")
WISH_FIELDS = (
    "count", "selectors", "wait_timeout", "max_hold", "priority", "task", "profile", "labels", "within", "notify",
    "levels", "default_hold", "variant",
)  # fmt: skip
_WISH, _ENDS_AT, _RECALL, _USAGE = map(LOCK_COLUMNS.index, ("wish", "ends_at", "recall", "usage"))
PROCESS = slice(LOCK_COLUMNS.index("pid"), LOCK_COLUMNS.index("boot_id") + 1)
"""Of `lock_values`: pid, start time and boot id."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def lock_values(lock: Lock) -> tuple[Any, ...]:
    """By `LOCK_COLUMNS`, with plain values where the table has JSON."""
    owner = lock.owner
    return (
        lock.token,
        lock.id,
        owner.process.pid,
        owner.process.start_time,
        owner.process.boot_id,
        owner.uid,
        owner.gid,
        owner.user,
        owner.command,
        owner.container,
        owner.admin,
        lock.reattach,
        _wish_values(lock.wish),
        lock.queued_at,
        lock.granted_at,
        lock.ends_at,
        lock.state.value,
        None if lock.recall is None else asdict(lock.recall),
        lock.depth,
        lock.beat_at,
        lock.progress,
        lock.note,
        None if lock.usage is None else asdict(lock.usage),
        lock.session,
        owner.cgroup,
    )


def lock_row(values: Sequence[Any]) -> tuple[Value, ...]:
    """From `lock_values`, of an older version too: columns have been added at the end."""
    row = [*values, *_missing(values, LOCK_COLUMNS)]
    row[_WISH] = _wish_text(values[_WISH])
    row[_ENDS_AT] = _finite(values[_ENDS_AT])
    row[_RECALL] = None if values[_RECALL] is None else _recall_text(values[_RECALL])
    row[_USAGE] = None if row[_USAGE] is None else _encode(row[_USAGE])
    return tuple(row)


def read_lock(row: sqlite3.Row, gpus: tuple[str, ...]) -> Lock:
    """Its session is that of the daemon that wrote the row."""
    return Lock(
        id=row["id"],
        token=row["token"],
        gpus=gpus,
        owner=Owner(
            process=Process(row["pid"], row["start_time"], row["boot_id"]),
            uid=row["uid"],
            gid=row["gid"],
            user=row["user"],
            command=row["command"],
            container=row["container"],
            admin=bool(row["admin"]),
            cgroup=row["cgroup"] or "",
        ),
        session=row["session"],
        reattach=row["reattach"],
        wish=_read_wish(json.loads(row["wish"])),
        queued_at=row["queued_at"],
        granted_at=row["granted_at"],
        ends_at=_endless(row["ends_at"]),
        state=LockState(row["state"]),
        recall=None if row["recall"] is None else _read_recall(json.loads(row["recall"])),
        depth=row["depth"],
        beat_at=row["beat_at"],
        progress=row["progress"],
        note=row["note"],
        usage=None if row["usage"] is None else _read_usage(json.loads(row["usage"])),
    )


def request_values(request: Request) -> tuple[Any, ...]:
    """By `REQUEST_COLUMNS`, with plain values where the table has JSON."""
    return (
        request.id,
        _owner_values(request.owner),
        request.reattach,
        _wish_values(request.wish),
        request.queued_at,
        *request.rank,
        request.overtaken,
        request.session,
        request.msgid,
    )


def request_row(values: Sequence[Any]) -> tuple[Value, ...]:
    """From `request_values`, of an older version too: columns have been added at the end."""
    whole: list[Any] = [*values, *_missing(values, REQUEST_COLUMNS)]
    name, owner, reattach, wish, *rest = whole
    return (name, _owner_text(owner), reattach, _wish_text(wish), *rest)


def read_request(row: sqlite3.Row) -> Request:
    """Its session is that of the daemon that wrote the row, 0 where that is not known; what GPUs there are for it is
    not."""
    return Request(
        id=row["id"],
        session=row["session"] or 0,
        msgid=row["msgid"] or 0,
        owner=_read_owner(json.loads(row["owner"])),
        wish=_read_wish(json.loads(row["wish"])),
        candidates=frozenset(),
        queued_at=row["queued_at"],
        rank=(row["rank_at"], row["rank_number"]),
        overtaken=row["overtaken"],
        reattach=row["reattach"],
        recorded=True,
    )


def quarantine_row(gpu: str, quarantine: Quarantine) -> tuple[Value, ...]:
    return (
        gpu,
        quarantine.since,
        quarantine.lock,
        _owner_text(_owner_values(quarantine.holder)),
        quarantine.reason,
        _encode([asdict(culprit) for culprit in quarantine.culprits]),
    )


def read_quarantine(row: sqlite3.Row) -> Quarantine:
    return Quarantine(
        since=row["since"],
        lock=row["lock"],
        holder=_read_owner(json.loads(row["holder"])),
        reason=row["reason"],
        culprits=tuple(map(_read_process, json.loads(row["culprits"]))),
    )


def ended_values(lock: Lock, ended_at: float, booted_at: float, how: str, by: str) -> tuple[Any, ...]:
    """By `HISTORY_COLUMNS`, with plain values where the table has JSON; without the last where they are not known.

    `booted_at`: the wall clock when the boot clock stood at 0, for the two times that people read.
    """
    owner = lock.owner
    values = (
        lock.token,
        lock.id,
        lock.gpus,
        owner.user,
        owner.uid,
        owner.process.pid,
        owner.command,
        lock.wish.task,
        lock.granted_at - lock.queued_at,
        ended_at - lock.granted_at,
        booted_at + lock.granted_at,
        booted_at + ended_at,
        how,
        by,
        lock.wish.profile,
        owner.container,
    )
    if (usage := lock.usage) is None:
        return values
    strangers = [(process.pid, process.user, process.command) for process in usage.foreign]
    return (*values, usage.watched, usage.idle, usage.peak_memory, strangers)


def history_row(values: Sequence[Any]) -> tuple[Value, ...]:
    """From `ended_values`."""
    token, lock, gpus, *rest, strangers = _whole(values)
    return (token, lock, _gpus_text(tuple(gpus)), *rest, _encode(strangers) if strangers else "[]")


@functools.lru_cache(maxsize=256)
def _gpus_text(gpus: tuple[str, ...]) -> str:
    """Of the few sets of GPUs that there are, again and again."""
    return _encode(gpus)


def ended_from(values: Sequence[Any]) -> Ended:
    """From `ended_values`."""
    named = dict(zip(HISTORY_COLUMNS, _whole(values), strict=True))
    named["gpus"], named["by"] = tuple(named["gpus"]), named.pop("ended_by")
    named["strangers"] = tuple(Stranger(*stranger) for stranger in named["strangers"])
    return Ended(**named)


def read_ended(row: Sequence[Any]) -> Ended:
    """From a row of `HISTORY_COLUMNS`."""
    token, lock, gpus, *rest, strangers = row
    return ended_from((token, lock, json.loads(gpus), *rest, () if strangers == "[]" else json.loads(strangers)))


def _whole(values: Sequence[Any]) -> Sequence[Any]:
    """`ended_values` with what they left out, and what versions before the fifth did not know."""
    missing = len(HISTORY_COLUMNS) - len(values)
    return (*values, *NOTHING_SEEN[-missing:]) if missing else values


def unmet_values(request: Request, ended_at: float, booted_at: float, how: str, times: int) -> tuple[Any, ...]:
    """By `UNMET_COLUMNS`, as they stand in the table."""
    owner, wish = request.owner, request.wish
    return (
        request.id,
        owner.user,
        owner.uid,
        owner.process.pid,
        owner.command,
        owner.container,
        wish.task,
        wish.profile,
        wish.count,
        ended_at - request.queued_at,
        booted_at + ended_at,
        how,
        times,
    )


def unmet_from(values: Sequence[Any]) -> Unmet:
    """From `unmet_values`, or a row of the table."""
    return Unmet(**dict(zip(UNMET_COLUMNS, values, strict=True)))


def _missing(values: Sequence[Any], columns: Sequence[str]) -> list[None]:
    return [None] * (len(columns) - len(values))


def _owner_values(owner: Owner) -> tuple[Any, ...]:
    """By `OWNER_FIELDS`."""
    process = owner.process
    return (
        (process.pid, process.start_time, process.boot_id),
        owner.uid,
        owner.gid,
        owner.user,
        owner.command,
        owner.container,
        owner.admin,
        owner.cgroup,
    )


def _owner_text(values: Sequence[Any]) -> str:
    named = dict(zip(OWNER_FIELDS, values, strict=False))  # an earlier version wrote fewer
    named["process"] = dict(zip(("pid", "start_time", "boot_id"), values[0], strict=True))
    return _encode(named)


def _read_owner(kept: Mapping[str, Any]) -> Owner:
    return Owner(**{**kept, "process": Process(**kept["process"])})


def _wish_values(wish: Wish) -> tuple[Any, ...]:
    """By `WISH_FIELDS`."""
    return (
        wish.count,
        wish.selectors,
        wish.wait_timeout,
        wish.max_hold,
        wish.priority,
        wish.task,
        wish.profile,
        dict(wish.labels),
        wish.within,
        tuple(wish.notify),
        (levels.warning, levels.soft, levels.hard) if (levels := wish.levels) is not None else None,
        wish.default_hold,
        wish.variant,
    )


def _wish_text(values: Sequence[Any]) -> str:
    named = dict(zip(WISH_FIELDS, values, strict=False))  # an earlier version wrote fewer
    if levels := named.get("levels"):
        named["levels"] = [_finite(age) for age in levels]
    named["wait_timeout"], named["max_hold"] = _finite(named["wait_timeout"]), _finite(named["max_hold"])
    named["notify"] = sorted(named["notify"])
    return _encode(named)


def _read_wish(kept: Mapping[str, Any]) -> Wish:
    return Wish(
        **{
            **kept,
            "selectors": tuple(kept["selectors"]),
            "wait_timeout": _endless(kept["wait_timeout"]),
            "max_hold": _endless(kept["max_hold"]),
            "notify": frozenset(kept["notify"]),
            "levels": Levels(*map(_endless, levels)) if (levels := kept.get("levels")) else None,
        }
    )


def _recall_text(values: Mapping[str, Any]) -> str:
    return _encode({**values, "deadline": _finite(values["deadline"])})


def _read_recall(kept: Mapping[str, Any]) -> Recall:
    return Recall(**{**kept, "deadline": _endless(kept["deadline"])})


def _read_usage(kept: Mapping[str, Any]) -> Usage:
    return Usage(**{**kept, "foreign": tuple(map(_read_process, kept["foreign"]))})


def _read_process(kept: Mapping[str, Any]) -> GpuProcess:
    return GpuProcess(**{**kept, "tie": Tie(kept.get("tie", ""))})


def _finite(seconds: float) -> float | None:
    """JSON has no infinity, and NULL is what people expect of `no end`."""
    return None if seconds == math.inf else seconds


def _endless(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
