"""Golden renderings, and a clock and locale that are the same everywhere.

`pytest tests/ctl --regolden` writes the golden files anew; look at the difference before it is committed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gpulockd.ctl.render.text import Text

from .peer import Peer

GOLDEN = Path(__file__).parent / "golden"

Golden = Callable[[str, "Sequence[Text] | str"], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regolden", action="store_true", help="write the golden renderings of gpulockctl anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares a rendering with the golden file of that name."""

    def compare(name: str, rendering: Sequence[Text] | str) -> None:
        if not isinstance(rendering, str):
            rendering = "".join(line.written(colour=False, unicode=True) + "\n" for line in rendering)
        path = GOLDEN / f"{name}.txt"
        if request.config.getoption("--regolden", default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(rendering, encoding="utf-8")
        assert rendering == path.read_text(encoding="utf-8"), f"{path} differs; see --regolden"

    return compare


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """UTC, UTF-8, 80 columns, and nothing else of the terminal that the tests run in."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "TERM", "LC_ALL", "LC_CTYPE", "GPULOCK_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    zone = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    if zone is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = zone
    time.tzset()


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    with Peer(tmp_path / "gpulockd.sock") as running:
        yield running


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)
