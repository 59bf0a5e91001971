"""What a daemon says of itself, beside what its core says."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpulock import documents
from gpulock.errors import UnknownGpu
from gpulockd.about import About
from gpulockd.version import __version__
from tests.core.script import Host, acquire, granted, play, uuid
from tests.support.shape import misfits


class Leases:
    """A store in which this host has reported itself, and another one."""

    async def fleet(self) -> list[dict[str, object]]:
        return [{"host": "there", "age": 4.0}, {"host": "here", "age": 9.0}]


@pytest.fixture
def host() -> Host:
    return play(Host(gpus=2), acquire("anna"), granted("anna", 0))


@pytest.fixture
def about(host: Host) -> About:
    inventory = SimpleNamespace(simulated=True, driver="none")
    clock = SimpleNamespace(now=lambda: host.now)
    return About(
        "here",
        cast(Any, clock),
        lambda: host.state,
        cast(Any, inventory),
        cast(Any, Leases()),
        lambda: "/run/it.sock",
        "active",
        host.now - 60,
    )


def test_a_status_has_the_promised_form(about: About) -> None:
    status = about.status()
    assert misfits(status, documents.StatusDocument) == []
    daemon = status["daemon"]
    assert (daemon["pid"], daemon["version"], daemon["uptime"]) == (os.getpid(), __version__, 60)
    assert (daemon["sessions"], daemon["journal"], daemon["socket"]) == (1, "ok", "/run/it.sock")


async def test_the_fleet_has_this_host_as_it_is_and_the_others_as_they_said(about: About) -> None:
    here, there = await about.fleet()
    assert misfits(here, documents.HostView) == []
    assert (here["pid"], here["age"], there) == (os.getpid(), 0.0, {"host": "there", "age": 4.0})


def test_a_gpu_is_known_by_any_of_its_names(about: About) -> None:
    assert about.uuid("1") == about.uuid(uuid(1)) == uuid(1)
    assert about.index(uuid(1)) == 1


def test_one_of_the_past_has_a_uuid_and_no_index(about: About) -> None:
    assert about.uuid("GPU-of-old") == "GPU-of-old"
    assert about.index("GPU-of-old") is None
    with pytest.raises(UnknownGpu):
        about.uuid("7")
