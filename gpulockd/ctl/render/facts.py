"""One thing with everything that is known of it, as names and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .amounts import brief, gib, percent
from .gpus import standing
from .look import Look
from .notes import aging, recall
from .people import culprit, person, process
from .text import Text, join
from .waiting import wish

if TYPE_CHECKING:
    from gpulock.documents import DescribeDocument, GpuView, LockView, RequestView

_INDENT = 2
Fact = tuple[str, "Text | str"]


def picture(document: DescribeDocument, look: Look) -> list[Text]:
    sections: list[list[Text]] = []
    if "gpu" in document:
        sections.append(_section(f"GPU {document['gpu']['index']}", _gpu(document["gpu"]), look.width))
    if "lock" in document:
        sections.append(_section(f"Lock {document['lock']['id']}", _lock(document["lock"]), look.width))
    if "request" in document:
        sections.append(_section(f"Request {document['request']['id']}", _request(document["request"]), look.width))
    lines: list[Text] = []
    for section in sections:
        lines += [Text(), *section] if lines else section
    return lines


def _section(title: str, facts: Sequence[Fact], width: int) -> list[Text]:
    shown = [(name, value if isinstance(value, Text) else Text(value)) for name, value in facts]
    names = max(len(name) for name, _ in shown)
    lines = [Text(title, "strong")]
    last = ""
    for name, value in shown:
        if not value:
            continue
        label = "" if name == last else name
        last = name
        for part in value.wrap(max(1, width - _INDENT - names - 2)):
            lines.append(Text(" " * _INDENT + f"{label:<{names}}  ", "quiet") + part)
            label = ""
    return lines


def _gpu(gpu: GpuView) -> list[Fact]:
    used = "unknown" if gpu["memory_used"] is None else gib(gpu["memory_used"])
    quarantine = gpu["quarantine"]
    facts: list[Fact] = [
        ("model", gpu["name"]),
        ("uuid", gpu["uuid"]),
        ("part of", gpu["parent"] or ""),
        ("state", Text(*standing(gpu)) + (f" by {gpu['lock']}" if gpu["lock"] else "")),
        ("memory", f"{used} of {gib(gpu['memory_total'])} GiB used"),
        ("utilization", percent(gpu["utilization"])),
        ("fault", Text(gpu["fault"] or "", "bad")),
    ]
    if quarantine is not None:
        facts.append(
            ("quarantine", f"for {brief(quarantine['since'])} after {quarantine['lock']}: {quarantine['reason']}")
        )
        facts.append(("left by", person(quarantine["holder"])))
        facts += [("in the way", Text(culprit(each), "warn")) for each in quarantine["culprits"]]
        if quarantine["awaited"] and not quarantine["culprits"]:
            facts.append(("waits for", Text(f"the end of pid {quarantine['holder']['pid']}", "warn")))
    if gpu["elsewhere"] is not None:
        facts.append(
            ("leased by", Text(f"host {gpu['elsewhere']['host']}, daemon pid {gpu['elsewhere']['pid']}", "warn"))
        )
    facts += [("blocked", Text(reason, "warn")) for reason in gpu["blocked"]]
    if gpu["processes"] is None:
        rule = "a GPU is clear once its last holder has let go or is dead"
        facts.append(("processes", f"the driver does not tell: {rule}"))
    facts += [("processes", f"{process(each)} [{_relation(each['relation'])}]") for each in gpu["processes"] or ()]
    return facts


def _relation(relation: str) -> str:
    words = {"holder": "of the holder", "tenant": "had a lock", "foreign": "without a lock", "culprit": "in the way"}
    return words.get(relation, relation)


def _lock(lock: LockView) -> list[Fact]:
    facts: list[Fact] = [
        ("token", str(lock["token"])),
        *(("gpus", uuid) for uuid in lock["gpus"]),
        ("holder", person(lock["owner"])),
        ("connected", "yes" if lock["connected"] else Text("not since the daemon restarted", "warn")),
        ("task", lock["task"]),
        ("profile", lock["profile"]),
        ("priority", str(lock["priority"])),
        *(("labels", f"{name}={value}") for name, value in sorted(lock["labels"].items())),
        ("waited", brief(lock["waited"])),
        ("held for", brief(lock["held_for"])),
        ("left", brief(lock["time_left"])),
    ]
    if lock["beat_age"] is not None:
        facts.append(
            ("last beat", join(", ", [f"{brief(lock['beat_age'])} ago", percent(lock["progress"]), lock["note"]]))
        )
    facts += [("age", Text(word, "warn")) for word in aging(lock)]
    facts.append(("recall", Text(recall(lock), "warn")))
    return facts


def _request(request: RequestView) -> list[Fact]:
    return [
        ("position", str(request["position"])),
        ("wants", wish(request)),
        ("owner", person(request["owner"])),
        ("task", request["task"]),
        ("priority", str(request["priority"])),
        ("waited", brief(request["waited"])),
        ("gives up in", brief(request["time_left"])),
        ("overtaken", f"{request['overtaken']}×"),
    ]
