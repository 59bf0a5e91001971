"""Builds this tree's two wheels, and turns an installed distribution back into one, all without a network."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).resolve().parents[2]


def build(project: Path, into: Path) -> Path:
    """Build the wheel of `project` with the build backend that is installed here; returns its path."""
    into.mkdir(parents=True, exist_ok=True)
    before = set(into.glob("*.whl"))
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--wheel",
        "--outdir",
        str(into),
        str(project),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    (wheel,) = set(into.glob("*.whl")) - before
    return wheel


def repack(distribution: str, into: Path) -> Path:
    """Make a wheel of an installed distribution, from the list of its files that installing it left behind.

    What `make install` has checked against its hash is so at hand where no package index is.
    """
    installed = metadata.distribution(distribution)
    wheel_text = installed.read_text("WHEEL")
    assert installed.files
    assert wheel_text
    tags = [line.split(": ", 1)[1] for line in wheel_text.splitlines() if line.startswith("Tag: ")]
    made_by_installer = {"INSTALLER", "REQUESTED", "direct_url.json"}
    wheel = into / f"{distribution}-{installed.version}-{tags[0]}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in installed.files:
            elsewhere = ".." in file.parts  # a command, which the next installer makes anew
            if file.name not in made_by_installer and file.suffix != ".pyc" and not elsewhere:
                archive.write(str(file.locate()), str(file))
    return wheel


def names(wheel: Path) -> set[str]:
    """The paths inside a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def read(wheel: Path, suffix: str) -> str:
    """The text of the one file in a wheel whose path ends with `suffix`."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(suffix))
        return archive.read(name).decode()


def headers(wheel: Path) -> Message:
    """A wheel's METADATA."""
    return HeaderParser().parsestr(read(wheel, ".dist-info/METADATA"))
