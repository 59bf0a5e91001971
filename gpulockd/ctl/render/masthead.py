"""The first lines of every picture: which host this is, how it does, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .amounts import brief
from .gpus import model, standing
from .text import Text, join

if TYPE_CHECKING:
    from gpulock.documents import LeaseView, StatusDocument

_ORDER = ("held", "free", "quarantined", "drained", "leased elsewhere", "not granted", "sick")


def masthead(status: StatusDocument, width: int) -> list[Text]:
    """Host and GPUs to the left, daemon and lease to the right; below, whatever needs attention."""
    daemon = status["daemon"]
    left = [join(" · ", [Text(status["host"], "strong"), _models(status)]), _summary(status)]
    health = Text(f"gpulockd {daemon['version']}, up {brief(daemon['uptime'])}, ", "quiet") + _journal(
        daemon["journal"]
    )
    right = [health, _lease(status["lease"])]
    lines = [line for pair in zip(left, right, strict=True) for line in sides(*pair, width)]
    return [*lines, *(line for notice in notices(status) for line in notice.wrap(width))]


def sides(left: Text, right: Text, width: int) -> list[Text]:
    """One line with both, or two where they do not fit beside each other."""
    gap = width - left.width - right.width
    return [left + " " * gap + right] if gap >= 2 else [left.cut(width), right.cut(width)]


def notices(status: StatusDocument) -> list[Text]:
    """What a reader must not miss, whole sentences."""
    lease, journal = status["lease"], status["daemon"]["journal"]
    found = []
    if status["daemon"]["simulated"]:
        found.append(Text("SIMULATED: these GPUs exist in gpulockd only, no hardware is used.", "warn"))
    if lease["state"] == "degraded":
        found.append(Text(f"Nothing new is granted: {lease['why'] or 'the lease was not renewed'}.", "bad"))
    elif lease["state"] != "held":
        found.append(Text(f"The lease is {lease['state']}{': ' if lease['why'] else ''}{lease['why']}.", "warn"))
    if journal != "ok":
        found.append(Text(f"Nothing new is granted: the journal cannot be written: {journal}.", "bad"))
    match status["daemon"].get("monitor"):
        case "off":
            found.append(Text("The monitor is off: no lock is taken back, or reported, because of its age.", "warn"))
        case "reports":
            found.append(Text("Locks past their end are only reported, not taken back: auto_recovery is off.", "quiet"))
    return found


def _models(status: StatusDocument) -> str:
    models = Counter(model(gpu) for gpu in status["gpus"])
    return ", ".join(f"{number} × {name}" for name, number in models.items()) or "no GPU"


def _summary(status: StatusDocument) -> Text:
    standings = [standing(gpu) for gpu in status["gpus"]]
    counts = Counter(standings)
    words = [
        Text(f"{counts[each]} {each.word}", each.style)
        for each in sorted(counts, key=lambda each: _ORDER.index(each.word))
    ]
    waiting = Text(f"{len(status['queue'])} waiting") if status["queue"] else Text("nobody waits", "quiet")
    return join(" · ", [join(", ", words), waiting])


def _lease(lease: LeaseView) -> Text:
    if lease["state"] != "held":
        return Text(f"{lease['kind']} lease {lease['state']}", "bad" if lease["state"] == "degraded" else "warn")
    renewed = "held" if lease["age"] is None or lease["ttl"] is None else f"renewed {brief(lease['age'])} ago"
    return Text(f"{lease['kind']} lease {renewed}", "quiet")


def _journal(journal: str) -> Text:
    return Text("journal ok", "quiet") if journal == "ok" else Text("journal failing", "bad")
