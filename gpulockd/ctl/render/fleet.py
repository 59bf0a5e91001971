"""Every host that shares the daemon's Redis, one line each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .amounts import brief, count
from .look import Look
from .table import Column, table
from .text import Text, join

if TYPE_CHECKING:
    from gpulock.documents import HostGpuView, HostView, StatusDocument

_SHOWN_HOLDERS = 4

_COLUMNS = (
    Column("HOST"),
    Column("GPUS", least=4, most=64),
    Column("HELD", align="right"),
    Column("FREE", align="right"),
    Column("WAITING", align="right", drop=2),
    Column("HOLDERS", least=24, most=60, drop=3, filler=True),
    Column("DAEMON", drop=4),
    Column("AGE", align="right"),
)


def picture(status: StatusDocument, look: Look) -> list[Text]:
    hosts = sorted(status.get("fleet", []), key=lambda host: host["host"])
    if not hosts:
        alone = status["lease"]["kind"] == "local"
        why = (
            "This host shares no Redis with others: redis.url is empty."
            if alone
            else "No host has reported itself yet."
        )
        return Text(why, "quiet").wrap(look.width)
    rows = [_cells(host, status) for host in hosts]
    legend = Text("■ held   □ free   ▲ out of service", "quiet")
    return [_summary(hosts).cut(look.width), Text(), *table(_COLUMNS, rows, look.width), Text(), legend]


def _summary(hosts: list[HostView]) -> Text:
    gpus = [gpu for host in hosts for gpu in host["gpus"]]
    states = Counter(_state(gpu) for gpu in gpus)
    words = ", ".join(f"{states[state]} {state}" for state in ("held", "free", "out of service") if states[state])
    total = Text(f"{count(len(hosts), 'host')}, {count(len(gpus), 'GPU')}", "strong")
    return join(" · ", [total, words, f"{sum(host['waiting'] for host in hosts)} waiting"])


def _cells(host: HostView, status: StatusDocument) -> list[Text]:
    states = Counter(_state(gpu) for gpu in host["gpus"])
    simulated = " SIMULATED" if host["simulated"] else ""
    ttl = status["lease"]["ttl"]
    late = ttl is not None and host["age"] > ttl
    return [
        Text(host["host"], "strong") + Text(simulated, "warn"),
        _strip(host["gpus"]),
        Text(str(states["held"])),
        Text(str(states["free"]), "good" if states["free"] else ""),
        Text(str(host["waiting"])),
        Text(_holders(host["gpus"])),
        Text(f"{host['version']} pid {host['pid']}", "quiet"),
        Text(brief(host["age"]), "bad" if late else ""),
    ]


def _state(gpu: HostGpuView) -> str:
    if gpu["state"] == "held":
        return "held"
    return "out of service" if gpu["state"] != "free" or gpu["blocked"] else "free"


def _strip(gpus: list[HostGpuView]) -> Text:
    strip = Text()
    for gpu in sorted(gpus, key=lambda each: each["index"]):
        strip += {"held": Text("■"), "free": Text("□", "good")}.get(_state(gpu), Text("▲", "warn"))
    return strip


def _holders(gpus: list[HostGpuView]) -> str:
    """`anna 3 (finetune), bert 1 (ocr)`: who holds how many GPUs, for what."""
    held: Counter[tuple[str, str]] = Counter()
    for gpu in gpus:
        if gpu["holder"] is not None:
            held[gpu["holder"]["user"] or str(gpu["holder"]["uid"]), gpu["task"]] += 1
    words = [
        f"{user} {number}" + (f" ({task})" if task else "") for (user, task), number in held.most_common(_SHOWN_HOLDERS)
    ]
    return ", ".join(words + ["…"] * (len(held) > _SHOWN_HOLDERS))
