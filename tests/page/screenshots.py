"""The pictures of the status page in the documents: `make screenshots`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.chromium import NEW_PAGE, browser, driving
from tests.support.ports import free_port

from .scenes import now, served, weekday


class Shot(NamedTuple):
    name: str
    width: int
    dark: bool
    scale: float
    height: int | None = None


SHOTS: Sequence[Shot] = (
    Shot("light", 1440, dark=False, scale=1),
    Shot("dark", 1440, dark=True, scale=1, height=1560),
    Shot("phone", 390, dark=True, scale=2, height=1100),
)


async def taken(address_of_browser: str) -> dict[str, bytes]:
    pictures = {}
    async with served(weekday(now()), free_port()) as address, driving(address_of_browser) as chromium:
        for shot in SHOTS:
            page = await chromium.open(address, width=shot.width, dark=shot.dark, scale=shot.scale)
            await page.until("document.querySelectorAll('.bar[data-label=true]').length > 5", within=NEW_PAGE)
            await page.until("document.fonts.status === 'loaded'")
            pictures[shot.name] = await page.screenshot(height=shot.height)
    return pictures


def main(directory: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile, browser(Path(profile)) as address:
        for name, picture in asyncio.run(taken(address)).items():
            (directory / f"{name}.png").write_bytes(picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
