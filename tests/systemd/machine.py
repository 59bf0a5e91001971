"""A Debian machine with systemd as its PID 1, in namespaces of its own, and gpulockd installed in it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from tests.docs import markdown
from tests.packaging import wheels
from tests.support import processes
from tests.support.control_groups import cgroup2
from tests.support.waiting import PATIENCE, wait_until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OPERATIONS = ROOT / "docs" / "operations.md"
BIN = "/opt/gpulockd/bin"
UNIT = "gpulockd.service"
GPUS = 4
PYTHON = (3, 11)
"""That of the tree. The wheels are made of what is installed here, and so fit it only if this is the same one."""
ENVIRONMENT = {"extra": "", "python_full_version": "3.11.2"}
"""By which it is decided what a distribution requires there."""
_LOGIN = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/srv")


def missing() -> str | None:
    """What this host lacks for such a machine; None: nothing."""
    if os.geteuid():
        return "needs root: it boots a machine with systemd"
    if not _tree().is_dir():
        return f"there is no Debian tree at {_tree()}: run `make debian-tools` as root"
    if sys.version_info[:2] != PYTHON:
        return f"the Debian tree has Python {PYTHON[0]}.{PYTHON[1]}, and the wheels here are for another one"
    if cgroup2() is None:
        return "no cgroup2 is mounted that systemd could be given a part of"
    return None


def _tree() -> Path:
    """Where `make-tree.sh` puts it."""
    (name,) = (line for line in (HERE / "make-tree.sh").read_text().splitlines() if line.startswith("tree="))
    command = f'suite=bookworm\n{name}\nprintf %s "$tree"'
    return Path(subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout)


class Machine:
    """One booted machine. `end` it: nothing of it is left then."""

    def __init__(self, scratch: Path) -> None:
        place = cgroup2()
        assert place is not None
        self._cgroup = place / f"gpulockd-test-{os.getpid()}"
        self._cgroup.mkdir()
        self._log = scratch / "boot.log"
        self._room = scratch / "machine"
        self._room.mkdir()
        enter = ["sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', str(self._cgroup)]
        namespaces = ["--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net", "--fork", "--kill-child"]
        boot = ["sh", str(HERE / "boot.sh"), str(_tree()), str(self._room)]
        with self._log.open("w") as log:
            self._process = processes.start(
                [*enter, "unshare", *namespaces, "--", *boot],
                stdout=log,
                stderr=log,
            )
        self.pid = 0
        try:
            self.pid = wait_until(lambda: first_child(self._process.pid), "the machine has a first process")
            wait_until(self._booted, lambda: f"the machine has booted; its log:\n{self._log.read_text()}", within=60)
        except BaseException:
            self.end()
            raise

    def _booted(self) -> bool:
        assert self._process.poll() is None, f"the machine ended; its log:\n{self._log.read_text()}"
        if Path(f"/proc/{self.pid}/comm").read_text().strip() != "systemd":
            return False
        return self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded")

    def path(self, inside: str) -> Path:
        """A file of the machine, as this host reaches it."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def command(self, *command: str) -> list[str]:
        """What runs `command` inside."""
        return ["nsenter", "--target", str(self.pid), "--all", "--", "env", "-i", *_LOGIN, *command]

    def run(self, *command: str, check: bool = True, within: float = 100.0) -> str:
        """The output of `command`, which must end with 0 if `check`."""
        done = subprocess.run(
            self.command(*command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        told = f"{shlex.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert not check or done.returncode == 0, told
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Runs `command` inside, with pipes to it."""
        return processes.start(self.command(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None)

    def end(self) -> None:
        """Ends every process of the machine, and removes what the host had for it."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        processes.end(self._process)
        wait_until(self._gone, "the machine's processes have ended", within=4 * PATIENCE)

    def _gone(self) -> bool:
        with contextlib.suppress(OSError):  # a process may take a moment to die
            for directory, _, _ in os.walk(self._cgroup, topdown=False):
                Path(directory).rmdir()
        return not self._cgroup.exists()

    # What systemd says

    def show(self, prop: str, unit: str = UNIT) -> str:
        return self.run("systemctl", "show", f"--property={prop}", "--value", unit).strip()

    def main_pid(self) -> int:
        """The daemon's process id inside the machine."""
        return int(self.show("MainPID"))

    def journal(self) -> str:
        return self.run("journalctl", "--unit", "gpulockd", "--output", "cat", "--no-pager")

    def configure(self, name: str, content: str) -> None:
        """Puts a drop-in beside the unit, or takes it away again where `content` is empty."""
        drop_in = self.path(f"/etc/systemd/system/{UNIT}.d/{name}.conf")
        if content:
            drop_in.parent.mkdir(exist_ok=True)
            drop_in.write_text(content)
        else:
            drop_in.unlink(missing_ok=True)
        self.run("systemctl", "daemon-reload")

    def status(self) -> Any:
        """`gpulockctl status`, as a document."""
        return json.loads(self.run("gpulockctl", "status", "--json"))


def first_child(pid: int) -> int:
    """What `unshare` or `nsenter` runs in its namespaces; 0: nothing yet."""
    return int((Path(f"/proc/{pid}/task/{pid}/children").read_text().split() or ["0"])[0])


def install(machine: Machine, built: Path) -> None:
    """As docs/operations.md says, with simulated GPUs."""
    # No package index is asked: what the wheels require lies beside them.
    machine.path("/etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = .\n")
    machine.path("/etc/gpulockd").mkdir()
    machine.path("/etc/gpulockd/environment").write_text(f"GPULOCKD__INVENTORY__SIMULATE={GPUS}\n")
    machine.run(*carry_out(machine, "systemctl enable", built))


def carry_out(machine: Machine, feature: str, built: Path) -> list[str]:
    """The command that does, with the wheels in `built`, what docs/operations.md says in the block with `feature`."""
    (block,) = (block.content for block in markdown.blocks(OPERATIONS, "console") if feature in block.content)
    room = machine.path(f"/srv/{built.name}")
    shutil.copytree(built, room)
    lines = [line.removeprefix("# ") for line in block.splitlines()]
    (room / "steps.sh").write_text("\n".join(["set -eux", f"cd /srv/{built.name}", *lines]))
    return ["sh", f"/srv/{built.name}/steps.sh"]


def wheels_to_install(into: Path, tree: Path = ROOT) -> Path:
    """The two wheels of `tree`, and those of everything that they require, as `make install` has checked them."""
    todo = [line for project in (tree / "client", tree) for line in _required(wheels.build(project, into))]
    done = {"gpulock", "gpulockd"}
    while todo:
        requirement = Requirement(todo.pop())
        name = requirement.name.lower().replace("-", "_").replace(".", "_")
        if name not in done and (requirement.marker is None or requirement.marker.evaluate(ENVIRONMENT)):
            done.add(name)
            todo += metadata.requires(name) or ()
            wheels.repack(name, into)
    return into


def _required(wheel: Path) -> list[str]:
    return wheels.headers(wheel).get_all("Requires-Dist") or []
