"""Where the program of a server is found, and what is said where it is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gpulockd.evidence.bench import programs
from gpulockd.evidence.bench.programs import Missing, find_redis, packaged


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `tank` with a program, beside a script of the same name that an installer made."""
    for name in ("bin/tank", "site/tank/engine/tank", "site/tank/notes"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\necho found\n")
    (tmp_path / "bin/tank").chmod(0o755)
    (tmp_path / "site/tank/engine/tank").chmod(0o755)
    about = tmp_path / "site/tank-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tank\nVersion: 1\n")
    (about / "RECORD").write_text("../bin/tank,,\ntank/engine/tank,,\ntank/notes,,\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_a_program_is_the_packages_own_and_no_script_that_runs_it(installed: Path) -> None:
    found = packaged("tank", "tank")
    assert Path(found) == installed / "tank/engine/tank"
    assert subprocess.run([found], capture_output=True, text=True, check=True).stdout == "found\n"


@pytest.mark.parametrize(
    ("package", "name", "why"),
    [
        ("tank", "turret", "tank is installed here without turret"),
        ("tank", "notes", "tank is installed here without notes"),  # not executable
        ("submarine", "periscope", "submarine is not installed, which brings periscope"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_one_that_is_not_there_is_missed_by_name(package: str, name: str, why: str) -> None:
    with pytest.raises(Missing, match=why):
        packaged(package, name)


def test_a_redis_on_path_goes_before_that_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_PACKAGES", {"submarine": "periscope"})
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert find_redis() is None
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    assert find_redis() == str(server)
