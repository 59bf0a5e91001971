"""One Chromium for all tests of the page, and a daemon or a made-up host for it to look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.chromium import Chromium, browser, driving
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def address_of_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with browser(tmp_path_factory.mktemp("chromium")) as address:
        yield address


@pytest.fixture
async def chromium(address_of_browser: str) -> AsyncIterator[Chromium]:
    async with driving(address_of_browser) as chromium:
        yield chromium


@pytest.fixture
def port() -> int:
    return free_port()
