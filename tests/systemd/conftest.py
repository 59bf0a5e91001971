"""One machine for all tests here: booting it takes a second, installing gpulockd in it five."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

import pytest

from tests.support.lacking import lacks

from .machine import Machine, install, missing, wheels_to_install


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if (lack := missing()) is not None:
        lacks(lack)
    scratch = tmp_path_factory.mktemp("systemd")
    built = wheels_to_install(scratch / version("gpulockd"))
    machine = Machine(scratch)
    try:
        install(machine, built)
        yield machine
    finally:
        machine.end()


@pytest.fixture
def machine(installed: Machine) -> Iterator[Machine]:
    """With the service running as it was installed, and no lock held."""
    installed.run("systemctl", "start", "gpulockd.socket", "gpulockd.service")
    yield installed
    installed.configure("test", "")
    installed.run("systemctl", "restart", "gpulockd.service")
