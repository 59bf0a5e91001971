"""The two wheels: what is in them, what they ask for, and that the client comes alone."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.packaging import wheels

ROOT = wheels.ROOT

# Imports the client, then every module of it (but the one that runs the command), and says which modules each step
# had loaded by its end.
IMPORT_EVERYTHING = """
import importlib, json, pkgutil, sys
import msgpack
after_msgpack = sorted(sys.modules)
import gpulock
after_import = sorted(sys.modules)
modules = [module.name for module in pkgutil.walk_packages(gpulock.__path__, "gpulock.")]
for name in modules:
    if name != "gpulock.__main__":
        importlib.import_module(name)
after_all = sorted(sys.modules)
print(json.dumps({"file": gpulock.__file__, "msgpack": after_msgpack, "gpulock": after_import, "all": after_all}))
"""


@pytest.fixture(scope="module")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(ROOT / "client", tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def daemon_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(ROOT, tmp_path_factory.mktemp("daemon"))


@pytest.fixture(scope="module")
def client_python(client_wheel: Path) -> Path:
    """The interpreter of an empty environment into which pip has installed `gpulock` and what it asks for."""
    place = client_wheel.parent
    wheels.repack("msgpack", place)
    environment = place / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "--python", str(python)]
    command = [*pip, "install", "--quiet", "--no-index", "--find-links", str(place), "gpulock"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return python


def run(python: Path, code: str) -> str:
    """Standard output of `code`, run by an interpreter that sees its own environment only."""
    command = [str(python), "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=python.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_installing_the_client_takes_only_msgpack_along(client_python: Path) -> None:
    code = "import importlib.metadata as m; print(*sorted(d.metadata['Name'] for d in m.distributions()))"
    assert run(client_python, code).split() == ["gpulock", "msgpack"]


def test_importing_the_client_loads_nothing_of_the_daemon(client_python: Path) -> None:
    loaded = json.loads(run(client_python, IMPORT_EVERYTHING))
    assert Path(loaded["file"]).is_relative_to(client_python.parents[1])
    at_home = sys.stdlib_module_names | {"gpulock"} | set(loaded["msgpack"])
    for stage in ("gpulock", "all"):
        strangers = {name for name in loaded[stage] if name.partition(".")[0] not in at_home}
        assert not strangers, f"{stage}: {strangers}"


def test_the_client_asks_for_msgpack_and_nothing_else(client_wheel: Path) -> None:
    asked = wheels.headers(client_wheel).get_all("Requires-Dist") or []
    assert [requirement.partition(">")[0] for requirement in asked] == ["msgpack"]


def test_the_daemon_asks_for_the_client_of_its_own_version(client_wheel: Path, daemon_wheel: Path) -> None:
    version = wheels.headers(client_wheel)["Version"]
    assert wheels.headers(daemon_wheel)["Version"] == version
    assert f"gpulock=={version}" in (wheels.headers(daemon_wheel).get_all("Requires-Dist") or [])


def test_the_daemon_does_not_ask_for_the_deprecated_pynvml(daemon_wheel: Path) -> None:
    asked = " ".join(wheels.headers(daemon_wheel).get_all("Requires-Dist") or [])
    assert "nvidia-ml-py" in asked
    assert "pynvml" not in asked


def test_the_installed_command_runs(client_python: Path) -> None:
    done = subprocess.run([client_python.parent / "gpulock", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("gpulock ")


def test_the_commands_are_the_documented_ones(client_wheel: Path, daemon_wheel: Path) -> None:
    def scripts(wheel: Path) -> dict[str, str]:
        parser = ConfigParser()
        parser.read_string(wheels.read(wheel, ".dist-info/entry_points.txt"))
        return dict(parser["console_scripts"])

    assert any(name.endswith(".data/scripts/gpulock") for name in wheels.names(client_wheel))
    assert scripts(daemon_wheel) == {
        "gpulockd": "gpulockd.__main__:main",
        "gpulockctl": "gpulockd.ctl.__main__:main",
    }


def test_every_file_of_the_packages_is_shipped(client_wheel: Path, daemon_wheel: Path) -> None:
    def in_tree(package: Path) -> set[str]:
        files = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(package.parent)) for path in files}

    client, daemon = wheels.names(client_wheel), wheels.names(daemon_wheel)
    assert in_tree(ROOT / "client/gpulock") <= client
    assert in_tree(ROOT / "gpulockd") <= daemon
    assert "gpulock/py.typed" in client
    assert "gpulockd/py.typed" in daemon
    assert any(name.startswith("gpulockd/leases/lua/") and name.endswith(".lua") for name in daemon)


def test_nothing_else_is_shipped(client_wheel: Path, daemon_wheel: Path) -> None:
    def tops(wheel: Path) -> set[str]:
        return {name.partition("/")[0].partition("-")[0] for name in wheels.names(wheel)}

    assert tops(client_wheel) == {"gpulock"}
    assert tops(daemon_wheel) == {"gpulockd"}


def test_the_daemon_brings_its_configuration_units_and_alerts(daemon_wheel: Path) -> None:
    shared = f"gpulockd-{wheels.headers(daemon_wheel)['Version']}.data/data/share/gpulockd/"
    shipped = {name.removeprefix(shared) for name in wheels.names(daemon_wheel) if name.startswith(shared)}
    folders = (ROOT / "systemd", ROOT / "monitoring")
    files = {str(path.relative_to(ROOT)) for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert shipped == {"config.yml"} | files
    assert wheels.read(daemon_wheel, "share/gpulockd/config.yml") == (ROOT / "config.yml").read_text()


def test_both_carry_the_licence(client_wheel: Path, daemon_wheel: Path) -> None:
    licence = (ROOT / "LICENSE").read_text()
    for wheel in (client_wheel, daemon_wheel):
        assert wheels.headers(wheel)["License-Expression"] == "MIT"
        assert wheels.read(wheel, ".dist-info/licenses/LICENSE") == licence
