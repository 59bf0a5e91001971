"""What people see, held as text in `golden/`: read those files to judge it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpulock.documents import DescribeDocument, HistoryDocument, StatusDocument
from gpulockd.ctl.render import facts, findings, fleet, happening, history, queue, reasons, settings, top
from gpulockd.ctl.render.look import Look
from gpulockd.ctl.render.status import picture
from gpulockd.ctl.render.text import Text

from . import documents
from .conftest import Golden

NARROW, USUAL, WIDE = Look(width=50), Look(width=80), Look(width=140)
BOTH = pytest.mark.parametrize("look", [USUAL, WIDE], ids=["80", "140"])

HOSTS: list[Callable[[], StatusDocument]] = [
    documents.idle,
    documents.one_gpu,
    documents.busy,
    documents.troubled,
    documents.crowded,
    documents.mig,
    documents.awaited,
]


@BOTH
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_status(host: Callable[[], StatusDocument], look: Look, golden: Golden) -> None:
    golden(f"status-{host.__name__}-{look.width}", picture(host(), look))


def test_status_on_a_narrow_terminal(golden: Golden) -> None:
    golden("status-busy-50", picture(documents.busy(), NARROW))


def test_status_without_unicode(golden: Golden) -> None:
    lines = [*picture(documents.mig(), USUAL), Text(), *picture(documents.busy(), USUAL)]
    golden("status-ascii-80", "".join(line.written(colour=False, unicode=False) + "\n" for line in lines))


def test_status_in_colour(golden: Golden) -> None:
    lines = picture(documents.troubled(), USUAL)
    coloured = "".join(line.written(colour=True, unicode=True) + "\n" for line in lines)
    golden("status-colour-80", coloured.replace("\x1b", "␛"))


@BOTH
def test_fleet(look: Look, golden: Golden) -> None:
    golden(f"fleet-{look.width}", fleet.picture(documents.fleet(), look))


@BOTH
def test_queue(look: Look, golden: Golden) -> None:
    golden(f"queue-{look.width}", queue.picture(documents.queue(), look))


@BOTH
def test_history(look: Look, golden: Golden) -> None:
    indices = {documents.uuid(index): index for index in range(8)}
    golden(f"history-{look.width}", history.picture(documents.history(), look, indices, documents.NOON))


@BOTH
def test_history_with_requests(look: Look, golden: Golden) -> None:
    golden(
        f"history-requests-{look.width}",
        history.picture(documents.history_with_requests(), look, {documents.uuid(2): 2}, documents.NOON),
    )


@BOTH
def test_history_totals(look: Look, golden: Golden) -> None:
    golden(f"history-totals-{look.width}", history.totals(documents.history_totals(), look))


@BOTH
def test_top(look: Look, golden: Golden) -> None:
    ends = documents.history()["locks"]
    golden(f"top-{look.width}", top.picture(documents.busy(), ends, look._replace(height=24), "load", documents.NOON))


@pytest.mark.parametrize("height", [5, 24, 50, 300])
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_top_fills_the_window_and_no_more(host: Callable[[], StatusDocument], height: int) -> None:
    ends = documents.history()["locks"] * 20
    for width in (40, 80, 200):
        lines = top.picture(host(), ends, Look(width=width, height=height), "held", documents.NOON)
        assert max(line.width for line in lines) <= width
        assert lines[-1].plain.startswith("q quit")
        if height > 20:
            assert len(lines) == height
            assert any("11:59:19" in line.plain for line in lines), "the latest ends are there however many GPUs"


def test_top_orders_the_gpus() -> None:
    def first(order: str) -> str:
        lines = top.picture(documents.busy(), [], Look(width=120, height=40), order, documents.NOON)
        place = next(place for place, line in enumerate(lines) if line.plain.startswith("GPU"))
        return lines[place + 1].plain.split()[0]

    gpus = documents.busy()["gpus"]
    assert first("index") == str(gpus[0]["index"])
    assert first("load") == str(max(gpus, key=lambda gpu: gpu["utilization"] or 0.0)["index"])
    assert first("memory") == str(max(gpus, key=lambda gpu: gpu["memory_used"] or 0)["index"])


@BOTH
def test_settings(look: Look, golden: Golden) -> None:
    golden(f"config-{look.width}", settings.picture(documents.settings(), look))


def test_why(golden: Golden) -> None:
    golden("why-60", reasons.picture(documents.why(), Look(width=60)))


@pytest.mark.parametrize(
    "described",
    [
        documents.described_gpu,
        documents.described_quarantine,
        documents.described_awaited,
        documents.described_lock,
        documents.described_request,
    ],
    ids=lambda described: described.__name__.removeprefix("described_"),
)
def test_describe(described: Callable[[], DescribeDocument], golden: Golden) -> None:
    golden(f"describe-{described.__name__.removeprefix('described_')}-80", facts.picture(described(), USUAL))


def test_events(golden: Golden) -> None:
    seen = [
        happening.line(
            {"kind": kind, "message": message, "severity": severity, "at": documents.NOON + place, "data": {}}
        )
        for place, (kind, message, severity) in enumerate(
            [
                ("lock.granted", "L3-22 granted to anna (pid 48213)", "DEBUG"),
                ("gpu.drained", "GPU 3 is drained by root (pid 2211), uid 0", "warning"),
                ("lease.degraded", "nothing is granted any more: Redis did not answer", "error"),
                ("a.kind.longer.than.its.column", "is not cut", "info"),
            ]
        )
    ]
    golden("events", seen)


def test_findings(golden: Golden) -> None:
    from gpulockd.ctl.doctor.finding import Finding

    found = [
        Finding("socket", "ok", "/run/gpulockd/gpulockd.sock (0660 root:gpulock)"),
        Finding("access", "fail", "anna may not connect: not a member of gpulock", "usermod -aG gpulock anna"),
        Finding("daemon", "warn", "gpulockd 0.1.0, pid 812, up 3d 4h, but this gpulockctl is 0.2.0 " * 2, "restart"),
        Finding("units", "skip", "this host was not started by systemd"),
    ]
    golden("doctor-80", findings.picture(found, USUAL))


@pytest.mark.parametrize("width", [40, 47, 60, 79, 80, 100, 111, 112, 140, 300])
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_no_line_is_wider_than_the_terminal(host: Callable[[], StatusDocument], width: int) -> None:
    assert max(line.width for line in picture(host(), Look(width=width))) <= width
    assert max(line.width for line in fleet.picture(documents.fleet(), Look(width=width))) <= width
    assert max(line.width for line in queue.picture(documents.queue(), Look(width=width))) <= width
    assert max(line.width for line in history.totals(documents.history_totals(), Look(width=width))) <= width


def test_an_empty_fleet_queue_and_history_say_so() -> None:
    assert [line.plain for line in queue.picture({"schema_version": 1, "queue": []}, USUAL)] == ["Nobody waits."]
    assert "Nothing" in history.totals({"schema_version": 1, "locks": [], "totals": []}, USUAL)[0].plain
    assert "No lock" in history.picture({"schema_version": 1, "locks": []}, USUAL, {}, 0.0)[0].plain
    with_requests: HistoryDocument = {"schema_version": 1, "locks": [], "requests": []}
    assert "Nothing" in history.picture(with_requests, USUAL, {}, 0.0)[0].plain
    assert "No host" in fleet.picture(documents.busy(), USUAL)[0].plain
    assert "redis.url is empty" in fleet.picture(documents.idle(), USUAL)[0].plain


def test_a_monitor_that_does_not_take_back_says_so() -> None:
    for state, said in (("active", ""), ("reports", "only reported"), ("off", "The monitor is off")):
        host = documents.idle()
        host["daemon"]["monitor"] = state  # type: ignore[typeddict-item]
        lines = "\n".join(line.plain for line in picture(host, Look(width=100)))
        assert ("only reported" in lines, "The monitor is off" in lines) == (state == "reports", state == "off"), said


def test_one_reason_is_given_once() -> None:
    document = documents.why()
    document["reasons"] *= 2
    assert [line.plain for line in reasons.picture(document, USUAL)] == [
        line.plain for line in reasons.picture(documents.why(), USUAL)
    ]
